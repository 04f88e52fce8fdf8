//! Encodes appends of several events into a frame, without an intermediate block.

use bytes::{BufMut as _, Bytes};
use uuid::Uuid;

use crate::{
    Command as _, EncodeError, FRAME_HEADER_LEN, MAX_FRAME_LEN, SendBuffer,
    commands::{AppendBlockEnd, ConditionalBlockEnd},
    event,
};

/// The fields of an append besides its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsAppend {
    /// The writer whose event numbers count.
    pub writer_id: Uuid,
    /// The number of the last event.
    pub last_event_number: i64,
    /// The reply repeats it.
    pub request_id: i64,
}

/// The fields of an append of bytes besides the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesAppend {
    /// The writer whose event numbers count.
    pub writer_id: Uuid,
    /// The number of this append.
    pub event_number: i64,
    /// The offset at which the segment must end.
    pub expected_offset: i64,
    /// The reply repeats it.
    pub request_id: i64,
}

/// The length of an append's frame without the events: header, writer, size, length of the data,
/// count, number, id.
const FIXED_LEN: usize = FRAME_HEADER_LEN + 16 + 4 + 4 + 4 + 8 + 8;

/// The maximum number of bytes of events in an append, headers included: a frame less its fixed
/// fields.
pub const MAX_APPEND_LEN: usize = MAX_FRAME_LEN - FIXED_LEN;

impl SendBuffer {
    /// Appends an [`AppendBlockEnd`] frame that is a whole append of `events`, each after its
    /// header.
    ///
    /// The frame equals that of an [`AppendBlockEnd`] with all events in its data, but the events
    /// are not collected first: a small event is copied once, a large one is not copied.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if there are more bytes than a frame holds; nothing is written then.
    pub fn push_events<'a>(
        &mut self,
        append: &EventsAppend,
        events: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Result<(), EncodeError> {
        let (mut count, mut data_len) = (0_usize, 0_usize);
        for event in events.clone() {
            count += 1;
            data_len = data_len.saturating_add(event.len() + event::EVENT_HEADER_LEN);
        }
        if data_len > MAX_APPEND_LEN {
            let len = data_len.saturating_add(FIXED_LEN);
            return Err(EncodeError::FrameTooLong { command: AppendBlockEnd::NAME, len });
        }
        let mut fixed = [0_u8; FRAME_HEADER_LEN + 16 + 4 + 4];
        {
            let mut fields = &mut fixed[..];
            fields.put_i32(AppendBlockEnd::CODE);
            fields.put_i32(field_len(FIXED_LEN - FRAME_HEADER_LEN + data_len));
            fields.put_slice(append.writer_id.as_bytes());
            fields.put_i32(field_len(data_len));
            fields.put_i32(field_len(data_len));
        }
        self.put_slice(&fixed);
        for event in events {
            self.put_slice(&event::header(event.len())?);
            self.put_bytes(event);
        }
        let mut fixed = [0_u8; 4 + 8 + 8];
        {
            let mut fields = &mut fixed[..];
            fields.put_i32(field_len(count));
            fields.put_i64(append.last_event_number);
            fields.put_i64(append.request_id);
        }
        self.put_slice(&fixed);
        Ok(())
    }

    /// Appends a [`ConditionalBlockEnd`] frame whose data are `pieces`, one after the other,
    /// without headers.
    ///
    /// The frame equals that of a [`ConditionalBlockEnd`] with all of them in its data, but they
    /// are not collected first.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if there are more bytes than a frame holds; nothing is written then.
    pub fn push_bytes_append<'a>(
        &mut self,
        append: &BytesAppend,
        pieces: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Result<(), EncodeError> {
        // Writer, number, offset, length of the data, and the id after it.
        const FIELDS_LEN: usize = 16 + 8 + 8 + 4 + 8;
        let data_len = pieces.clone().map(Bytes::len).fold(0, usize::saturating_add);
        if data_len > MAX_FRAME_LEN - FRAME_HEADER_LEN - FIELDS_LEN {
            let len = data_len.saturating_add(FRAME_HEADER_LEN + FIELDS_LEN);
            return Err(EncodeError::FrameTooLong { command: ConditionalBlockEnd::NAME, len });
        }
        let mut fixed = [0_u8; FRAME_HEADER_LEN + FIELDS_LEN - 8];
        {
            let mut fields = &mut fixed[..];
            fields.put_i32(ConditionalBlockEnd::CODE);
            fields.put_i32(field_len(FIELDS_LEN + data_len));
            fields.put_slice(append.writer_id.as_bytes());
            fields.put_i64(append.event_number);
            fields.put_i64(append.expected_offset);
            fields.put_i32(field_len(data_len));
        }
        self.put_slice(&fixed);
        for piece in pieces {
            self.put_bytes(piece);
        }
        self.put_slice(&append.request_id.to_be_bytes());
        Ok(())
    }
}

/// Checked against the frame limit, far below `i32::MAX`.
fn field_len(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::{Buf as _, BytesMut};

    use super::*;

    const APPEND: EventsAppend =
        EventsAppend { writer_id: Uuid::from_u128(7), last_event_number: 3, request_id: 9 };

    #[test]
    fn the_frame_is_that_of_the_command_with_all_events_in_its_data() {
        let events =
            [Bytes::from_static(b""), Bytes::from_static(b"small"), Bytes::from(vec![7; 5000])];
        let mut direct = SendBuffer::new();
        direct.push_events(&APPEND, events.iter()).unwrap();
        let mut data = BytesMut::new();
        for event in &events {
            event::put(&mut data, event).unwrap();
        }
        let command = AppendBlockEnd {
            writer_id: APPEND.writer_id,
            size_of_whole_events: data.len() as i32,
            data: data.freeze(),
            num_events: 3,
            last_event_number: 3,
            request_id: 9,
        };
        let mut gathered = SendBuffer::new();
        gathered.push(&command).unwrap();
        assert_eq!(direct.to_vec(), gathered.to_vec());
        assert_eq!(direct.remaining(), direct.to_vec().len());
    }

    #[test]
    fn bytes_without_headers_make_the_same_frame_as_the_command() {
        let pieces = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 5000])];
        let append = BytesAppend {
            writer_id: Uuid::from_u128(7),
            event_number: 3,
            expected_offset: 100,
            request_id: 9,
        };
        let mut direct = SendBuffer::new();
        direct.push_bytes_append(&append, pieces.iter()).unwrap();
        let command = ConditionalBlockEnd {
            writer_id: append.writer_id,
            event_number: 3,
            expected_offset: 100,
            data: pieces.concat().into(),
            request_id: 9,
        };
        let mut gathered = SendBuffer::new();
        gathered.push(&command).unwrap();
        assert_eq!(direct.to_vec(), gathered.to_vec());
        let too_long = Bytes::from(vec![0; MAX_FRAME_LEN]);
        assert!(direct.push_bytes_append(&append, [&too_long].into_iter()).is_err());
        assert_eq!(direct.remaining(), gathered.remaining());
    }

    #[test]
    fn more_bytes_than_a_frame_holds_are_refused_and_nothing_is_written() {
        let mut out = SendBuffer::new();
        let event = Bytes::from(vec![0; MAX_APPEND_LEN - event::EVENT_HEADER_LEN]);
        out.push_events(&APPEND, [&event].into_iter()).unwrap();
        assert_eq!(out.remaining(), MAX_FRAME_LEN);
        let written = out.remaining();
        assert!(out.push_events(&APPEND, [&event, &Bytes::new()].into_iter()).is_err());
        assert_eq!(out.remaining(), written);
    }
}
