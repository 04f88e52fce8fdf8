//! Frames off a receive buffer.

use bytes::{Buf, Bytes, BytesMut};

use crate::{DecodeError, DecodeProblem, FRAME_HEADER_LEN, MAX_PAYLOAD_LEN, WireCommand};

/// Takes commands off a receive buffer, one frame at a time.
///
/// Payloads are slices of the buffer that was filled from the socket; nothing is copied. A frame
/// that has not arrived whole is not an error, it is `None`. An error is final: there is no way to
/// find the next frame behind a bad one.
///
/// The decoder keeps no state of its own, so a copy of it is as good as the original.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    max_payload_len: usize,
}

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The type of the command.
    pub code: i32,
    /// The length of the payload in bytes, within the decoder's limit.
    pub payload_len: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { max_payload_len: MAX_PAYLOAD_LEN }
    }
}

impl Decoder {
    /// How much room a receive buffer gets at the least, in bytes.
    const MIN_RESERVE: usize = 8 * 1024;

    /// Refuses frames with more than `max_payload_len` bytes of payload.
    #[must_use]
    pub fn with_max_payload_len(max_payload_len: usize) -> Self {
        Self { max_payload_len }
    }

    /// Reads the header at the front of `received`, without taking it; none if it has not arrived
    /// whole.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the type is not known or the length is not within its limits.
    pub fn peek(&self, received: &[u8]) -> Result<Option<FrameHeader>, DecodeError> {
        let Some((mut header, _)) = received.split_at_checked(FRAME_HEADER_LEN) else {
            return Ok(None);
        };
        let code = header.get_i32();
        let len = header.get_i32();
        let refuse = |problem| Err(DecodeError::new(None, code, problem));
        if !WireCommand::is_known(code) {
            return refuse(DecodeProblem::UnknownType);
        }
        match usize::try_from(len) {
            Err(_) => refuse(DecodeProblem::NegativeLength(len)),
            Ok(len) if len > self.max_payload_len => {
                refuse(DecodeProblem::TooLong { len, max_len: self.max_payload_len })
            }
            Ok(payload_len) => Ok(Some(FrameHeader { code, payload_len })),
        }
    }

    /// Takes the next command off `received`; none if it has not arrived whole.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if what arrived is not a frame of the protocol. The connection is of no use
    /// any more then.
    pub fn decode(&self, received: &mut BytesMut) -> Result<Option<WireCommand>, DecodeError> {
        let Some(header) = self.peek(received)? else {
            return Ok(None);
        };
        let frame_len = FRAME_HEADER_LEN + header.payload_len;
        if received.len() < frame_len {
            return Ok(None);
        }
        let mut payload = received.split_to(frame_len).freeze();
        payload.advance(FRAME_HEADER_LEN);
        WireCommand::decode_payload(header.code, payload).map(Some)
    }

    /// Reads exactly one frame that fills `frame`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is not a frame, is not whole, or something follows it.
    pub fn decode_frame(&self, mut frame: Bytes) -> Result<WireCommand, DecodeError> {
        let end = |code, missing| {
            DecodeError::new(None, code, DecodeProblem::EndOfFrame { field: "the frame", missing })
        };
        let header = self
            .peek(&frame)?
            .ok_or_else(|| end(0, FRAME_HEADER_LEN.saturating_sub(frame.len())))?;
        frame.advance(FRAME_HEADER_LEN);
        match header.payload_len.checked_sub(frame.len()) {
            Some(0) => WireCommand::decode_payload(header.code, frame),
            Some(missing) => Err(end(header.code, missing)),
            None => Err(DecodeError::new(
                None,
                header.code,
                DecodeProblem::FieldLength {
                    field: "the frame",
                    len: header.payload_len as i64,
                    remaining: frame.len(),
                },
            )),
        }
    }

    /// How many bytes of room to make in `received` before the next read.
    ///
    /// The room grows with what has arrived, never with what a header claims: a peer that announces
    /// 16 MiB and sends nothing costs 8 KiB. Once half a frame is there, the room for its other
    /// half is made in one step.
    #[must_use]
    pub fn room_needed(&self, received: &[u8]) -> usize {
        let missing = match self.peek(received) {
            Ok(Some(header)) => {
                (FRAME_HEADER_LEN + header.payload_len).saturating_sub(received.len())
            }
            _ => 0,
        };
        missing.min(received.len()).max(Self::MIN_RESERVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SendBuffer, commands::*};

    fn frame(command: &WireCommand) -> Vec<u8> {
        let mut out = SendBuffer::new();
        command.encode(&mut out).unwrap();
        out.to_vec()
    }

    fn segment_read(len: usize) -> WireCommand {
        SegmentRead {
            segment: "s/t/0.#epoch.0".into(),
            offset: 0,
            at_tail: false,
            end_of_segment: false,
            data: vec![7; len].into(),
            request_id: 1,
        }
        .into()
    }

    #[test]
    fn a_frame_that_arrives_byte_by_byte_is_decoded_once_it_is_whole() {
        let bytes = frame(&segment_read(3));
        let mut received = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            received.extend_from_slice(&[*byte]);
            let decoded = Decoder::default().decode(&mut received).unwrap();
            assert_eq!(decoded.is_some(), at + 1 == bytes.len());
        }
        assert!(received.is_empty());
    }

    #[test]
    fn a_header_alone_decides_about_type_and_length() {
        let problem = |bytes: &[u8]| Decoder::default().peek(bytes).unwrap_err().problem().clone();
        assert_eq!(problem(&[0, 0, 0, 6, 0, 0, 0, 0]), DecodeProblem::UnknownType);
        assert_eq!(
            problem(&[0, 0, 0, 100, 0xFF, 0xFF, 0xFF, 0xFF]),
            DecodeProblem::NegativeLength(-1)
        );
        assert_eq!(
            problem(&[0, 0, 0, 100, 0x7F, 0xFF, 0xFF, 0xFF]),
            DecodeProblem::TooLong { len: 0x7FFF_FFFF, max_len: MAX_PAYLOAD_LEN }
        );
        assert!(Decoder::default().peek(&[0, 0, 0, 100, 0, 0xFF, 0xFF, 0xFF]).unwrap().is_some());
    }

    #[test]
    fn the_room_made_follows_what_arrived_and_not_the_header() {
        let claim = [0, 0, 0, 10, 0, 0xFF, 0xFF, 0xFF];
        assert_eq!(Decoder::default().room_needed(&claim), Decoder::MIN_RESERVE);
        let half = frame(&segment_read(1 << 20));
        assert_eq!(Decoder::default().room_needed(&half[..1 << 19]), 1 << 19);
    }

    #[test]
    fn payloads_are_slices_of_the_receive_buffer() {
        let mut received = BytesMut::from(&frame(&segment_read(100_000))[..]);
        let range = received.as_ptr_range();
        let Some(WireCommand::SegmentRead(read)) =
            Decoder::default().decode(&mut received).unwrap()
        else {
            panic!("not a SegmentRead");
        };
        assert!(range.contains(&read.data.as_ptr()));
        assert!(range.contains(&read.segment.as_ptr()));
    }
}
