//! Decodes frames from a receive buffer.

use bytes::{Buf, Bytes, BytesMut};

use crate::{DecodeError, DecodeProblem, FRAME_HEADER_LEN, MAX_PAYLOAD_LEN, WireCommand};

/// Decodes commands from a receive buffer, one frame at a time.
///
/// Payloads are slices of the buffer that was filled from the socket; nothing is copied. A frame
/// that has not arrived completely is `None`, not an error. An error is final: the next frame after
/// a bad one cannot be found.
///
/// The decoder has no state between calls, so copies of it are equivalent.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    max_payload_len: usize,
}

/// The header of a frame.
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
    /// The minimum capacity of a receive buffer, in bytes.
    const MIN_RESERVE: usize = 8 * 1024;

    /// Creates a decoder that refuses frames with more than `max_payload_len` bytes of payload.
    #[must_use]
    pub fn with_max_payload_len(max_payload_len: usize) -> Self {
        Self { max_payload_len }
    }

    /// Returns the header at the front of `received` without removing it; `None` if it has not
    /// arrived completely.
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

    /// Decodes and removes the next command of `received`; `None` if it has not arrived completely.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are not a frame of the protocol. The connection must be closed
    /// then.
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

    /// Decodes the one frame that fills `frame`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is not a frame, is not complete, or is followed by other bytes.
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

    /// Returns how many bytes to reserve in `received` before the next read.
    ///
    /// The capacity grows with the bytes that have arrived, never with the length in a header: a
    /// peer that announces 16 MiB and sends nothing costs 8 KiB. After half a frame has arrived,
    /// the capacity for its other half is reserved in one step.
    #[must_use]
    pub fn room_needed(&self, received: &[u8]) -> usize {
        self.room_needed_after(received, 0)
    }

    /// As [`Self::room_needed`], where the frame before had `before` bytes.
    ///
    /// The next frame may well be as long, so as much is reserved before it arrives: it is not
    /// copied to a longer block again and again. A peer costs no more by it than it has sent
    /// before.
    #[must_use]
    pub fn room_needed_after(&self, received: &[u8], before: usize) -> usize {
        let missing = match self.peek(received) {
            Ok(Some(header)) => {
                (FRAME_HEADER_LEN + header.payload_len).saturating_sub(received.len())
            }
            Ok(None) => before,
            Err(_) => 0,
        };
        missing.min(received.len().max(before)).max(Self::MIN_RESERVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_REQUEST_LIST, SendBuffer, TableEntry, TableKey, TableValue, commands::*};

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
    fn the_capacity_follows_the_bytes_that_arrived_and_not_the_header() {
        let claim = [0, 0, 0, 10, 0, 0xFF, 0xFF, 0xFF];
        assert_eq!(Decoder::default().room_needed(&claim), Decoder::MIN_RESERVE);
        let half = frame(&segment_read(1 << 20));
        assert_eq!(Decoder::default().room_needed(&half[..1 << 19]), 1 << 19);
    }

    #[test]
    fn after_a_long_frame_the_capacity_for_one_as_long_is_reserved_at_once_and_no_more() {
        let (decoder, before) = (Decoder::default(), 1 << 18);
        let long = frame(&segment_read(1 << 20));
        assert_eq!(decoder.room_needed_after(&[], before), before);
        assert_eq!(decoder.room_needed_after(&long[..5], before), before);
        assert_eq!(decoder.room_needed_after(&long[..100], before), before);
        assert_eq!(decoder.room_needed_after(&long[..1 << 19], before), 1 << 19);
        let short = frame(&segment_read(1 << 16));
        let missing = short.len() - 100;
        assert_eq!(decoder.room_needed_after(&short[..100], before), missing);
        assert_eq!(decoder.room_needed_after(&short[..100], 0), Decoder::MIN_RESERVE);
        assert_eq!(decoder.room_needed_after(&[], 10), Decoder::MIN_RESERVE);
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

    #[test]
    fn a_list_of_a_request_is_bounded_and_one_of_a_reply_is_not() {
        let update = |count: usize| -> WireCommand {
            let key = TableKey { data: vec![1; 4].into(), key_version: TableKey::NO_VERSION };
            let entry = TableEntry { key, value: TableValue { data: Bytes::new() } };
            UpdateTableEntries {
                request_id: 1,
                segment: "s".into(),
                delegation_token: "".into(),
                table_entries: vec![entry; count],
                table_segment_offset: -1,
            }
            .into()
        };
        let updated = |count: usize| -> WireCommand {
            TableEntriesUpdated { request_id: 1, updated_versions: vec![7; count] }.into()
        };
        let decode = |command: WireCommand| {
            Decoder::default().decode_frame(frame(&command).into()).map(|found| found == command)
        };
        assert_eq!(decode(update(MAX_REQUEST_LIST)), Ok(true));
        assert!(decode(update(MAX_REQUEST_LIST + 1)).is_err());
        assert_eq!(decode(updated(MAX_REQUEST_LIST + 1)), Ok(true));
    }
}
