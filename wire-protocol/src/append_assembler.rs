//! Assembles appends from the frames that carry them: the server's side of writing.

use std::collections::HashMap;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, classify};
use uuid::Uuid;

use crate::{
    FRAME_HEADER_LEN, WireCommand,
    commands::{AppendBlock, AppendBlockEnd, ConditionalAppend, ConditionalBlockEnd, SetupAppend},
    event,
};

/// One append, in the same form for every encoding on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The segment that the writer set up.
    pub segment: ByteString,
    /// The writer.
    pub writer_id: Uuid,
    /// The number of the last event.
    pub event_number: i64,
    /// Number of events in it.
    pub event_count: i32,
    /// The bytes to store.
    pub data: Bytes,
    /// Where the segment must end, if the append is conditional.
    pub expected_offset: Option<i64>,
    /// The id that the acknowledgement repeats.
    pub request_id: i64,
}

/// A client broke the rules of appending. The Java server closes the connection without a reply.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendViolation {
    /// An append of a writer without a set-up.
    #[error("writer {0} has not set up an append")]
    NotSetUp(Uuid),
    /// A frame of the append family came between a block and its end.
    #[error("{found} came before the end of a block of writer {writer_id}")]
    BlockOpen {
        /// The writer whose block is open.
        writer_id: Uuid,
        /// The frame that came.
        found: &'static str,
    },
    /// A block was ended by another writer.
    #[error("a block of writer {block} was ended by writer {end}")]
    OtherWriter {
        /// The writer that opened the block.
        block: Uuid,
        /// The writer that ended it.
        end: Uuid,
    },
    /// The end of a block claims more bytes than the block has, or fewer than zero.
    #[error("{claimed} bytes of a block of {len} are claimed")]
    BlockSize {
        /// The bytes claimed.
        claimed: i32,
        /// The bytes of the block.
        len: usize,
    },
    /// The whole events of a block are followed by neither a partial event nor padding.
    #[error("a block ends with something that is neither a partial event nor padding")]
    BlockTail,
    /// Padding, and data in the end of the block as well.
    #[error("a padded block has data in its end")]
    DataAfterPadding,
    /// An append without events.
    #[error("an append holds {0} events")]
    EventCount(i32),
    /// An event number below one that the writer used since its set-up, or below 0.
    #[error("event number {found} follows {last}")]
    EventNumber {
        /// The number found.
        found: i64,
        /// The last one; `i64::MIN` means that there was none.
        last: i64,
    },
    /// A frame that is valid only inside a block.
    #[error("{0} is not allowed outside a block")]
    Stray(&'static str),
}

classify!(AppendViolation, |_| ErrorKind::Protocol);

/// Follows the append frames of one connection.
///
/// It takes every frame and returns the appends. Its memory is bounded by the frame limit (one open
/// block) and by the number of set-ups, which the caller limits.
#[derive(Debug, Default)]
pub struct AppendAssembler {
    writers: HashMap<Uuid, Writer>,
    open: Option<AppendBlock>,
}

#[derive(Debug)]
struct Writer {
    segment: ByteString,
    last_event_number: i64,
}

impl AppendAssembler {
    /// Creates an assembler without set-ups.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of writers that have set up appends.
    #[must_use]
    pub fn writers(&self) -> usize {
        self.writers.len()
    }

    /// Returns true if a block was begun and has not ended: its bytes are kept until then.
    #[must_use]
    pub fn is_in_block(&self) -> bool {
        self.open.is_some()
    }

    /// Registers the set-up of a writer whose last stored event number is `last_event_number`.
    pub fn resume(&mut self, writer_id: Uuid, last_event_number: i64) {
        if let Some(writer) = self.writers.get_mut(&writer_id) {
            writer.last_event_number = last_event_number;
        }
    }

    /// Removes a writer's set-up, as the server does after a failed append.
    pub fn forget(&mut self, writer_id: Uuid) {
        self.writers.remove(&writer_id);
    }

    /// Handles the next frame, and returns an append if the frame completes one.
    ///
    /// Commands that do not belong to appending are ignored: they may come between a block and its
    /// end.
    ///
    /// # Errors
    ///
    /// [`AppendViolation`] if the client broke the rules; the connection must be closed.
    pub fn handle(&mut self, command: WireCommand) -> Result<Option<Append>, AppendViolation> {
        match command {
            WireCommand::AppendBlockEnd(end) => self.end_block(end).map(Some),
            WireCommand::SetupAppend(setup) => {
                self.no_open_block("SetupAppend")?;
                self.set_up(setup);
                Ok(None)
            }
            WireCommand::AppendBlock(block) => {
                self.no_open_block("AppendBlock")?;
                self.writer(block.writer_id)?;
                self.open = Some(block);
                Ok(None)
            }
            WireCommand::ConditionalAppend(append) => {
                self.no_open_block("ConditionalAppend")?;
                self.conditional_event(append).map(Some)
            }
            WireCommand::ConditionalBlockEnd(append) => {
                self.no_open_block("ConditionalBlockEnd")?;
                self.conditional_block(append).map(Some)
            }
            WireCommand::Padding(_) => self.no_open_block("Padding").map(|()| None),
            WireCommand::PartialEvent(_) => Err(AppendViolation::Stray("PartialEvent")),
            _ => Ok(None),
        }
    }

    fn set_up(&mut self, setup: SetupAppend) {
        self.writers.insert(
            setup.writer_id,
            Writer { segment: setup.segment, last_event_number: i64::MIN },
        );
    }

    fn no_open_block(&self, found: &'static str) -> Result<(), AppendViolation> {
        match &self.open {
            Some(block) => Err(AppendViolation::BlockOpen { writer_id: block.writer_id, found }),
            None => Ok(()),
        }
    }

    fn writer(&mut self, writer_id: Uuid) -> Result<&mut Writer, AppendViolation> {
        self.writers.get_mut(&writer_id).ok_or(AppendViolation::NotSetUp(writer_id))
    }

    fn end_block(&mut self, end: AppendBlockEnd) -> Result<Append, AppendViolation> {
        let data = match self.open.take() {
            None => end.data,
            Some(block) if block.writer_id != end.writer_id => {
                return Err(AppendViolation::OtherWriter {
                    block: block.writer_id,
                    end: end.writer_id,
                });
            }
            Some(block) => join_block(block.data, end.size_of_whole_events, end.data)?,
        };
        if end.num_events <= 0 {
            return Err(AppendViolation::EventCount(end.num_events));
        }
        self.append(
            end.writer_id,
            end.last_event_number,
            end.num_events,
            data,
            None,
            end.request_id,
        )
    }

    fn conditional_event(&mut self, append: ConditionalAppend) -> Result<Append, AppendViolation> {
        let mut framed = BytesMut::new();
        // The frame limit keeps the length far below the maximum of a header.
        event::put(&mut framed, &append.event.data).map_err(|_| AppendViolation::BlockTail)?;
        let expected = Some(append.expected_offset);
        self.append(
            append.writer_id,
            append.event_number,
            1,
            framed.freeze(),
            expected,
            append.request_id,
        )
    }

    fn conditional_block(
        &mut self,
        append: ConditionalBlockEnd,
    ) -> Result<Append, AppendViolation> {
        let expected = Some(append.expected_offset);
        self.append(
            append.writer_id,
            append.event_number,
            1,
            append.data,
            expected,
            append.request_id,
        )
    }

    fn append(
        &mut self,
        writer_id: Uuid,
        event_number: i64,
        event_count: i32,
        data: Bytes,
        expected_offset: Option<i64>,
        request_id: i64,
    ) -> Result<Append, AppendViolation> {
        let writer = self.writer(writer_id)?;
        if event_number < 0 || event_number < writer.last_event_number {
            return Err(AppendViolation::EventNumber {
                found: event_number,
                last: writer.last_event_number,
            });
        }
        writer.last_event_number = event_number;
        let segment = writer.segment.clone();
        Ok(Append {
            segment,
            writer_id,
            event_number,
            event_count,
            data,
            expected_offset,
            request_id,
        })
    }
}

/// Joins the parts of a block: whole events, then the two halves of a split event, or padding.
fn join_block(mut block: Bytes, whole: i32, end: Bytes) -> Result<Bytes, AppendViolation> {
    let len = block.len();
    let whole = usize::try_from(whole)
        .ok()
        .filter(|whole| *whole <= len)
        .ok_or(AppendViolation::BlockSize { claimed: whole, len })?;
    if whole == len {
        // The Java server drops the data in the end of a full block.
        return Ok(block);
    }
    let mut tail = block.split_off(whole);
    if tail.len() < FRAME_HEADER_LEN {
        return Err(AppendViolation::BlockTail);
    }
    let (code, nested_len) = (tail.get_i32(), tail.get_i32());
    if usize::try_from(nested_len) != Ok(tail.len()) {
        return Err(AppendViolation::BlockTail);
    }
    match code {
        PARTIAL_EVENT => {
            let mut joined = BytesMut::with_capacity(block.len() + tail.len() + end.len());
            for part in [block, tail, end] {
                joined.extend_from_slice(&part);
            }
            Ok(joined.freeze())
        }
        PADDING if !end.is_empty() => Err(AppendViolation::DataAfterPadding),
        PADDING => Ok(block),
        _ => Err(AppendViolation::BlockTail),
    }
}

const PARTIAL_EVENT: i32 = <crate::commands::PartialEvent as crate::Command>::CODE;
const PADDING: i32 = <crate::commands::Padding as crate::Command>::CODE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, SendBuffer, commands::*};

    const WRITER: Uuid = Uuid::from_u128(1);

    fn set_up() -> AppendAssembler {
        let mut assembler = AppendAssembler::new();
        let setup = SetupAppend {
            request_id: 1,
            writer_id: WRITER,
            segment: "a/b/0.#epoch.0".into(),
            delegation_token: "".into(),
        };
        assert_eq!(assembler.handle(setup.into()), Ok(None));
        assembler
    }

    fn end(size_of_whole_events: i32, data: &'static [u8], last_event_number: i64) -> WireCommand {
        AppendBlockEnd {
            writer_id: WRITER,
            size_of_whole_events,
            data: Bytes::from_static(data),
            num_events: 1,
            last_event_number,
            request_id: 9,
        }
        .into()
    }

    fn block(data: Vec<u8>) -> WireCommand {
        AppendBlock { writer_id: WRITER, data: data.into() }.into()
    }

    fn nested(command: &impl Command) -> Vec<u8> {
        let mut out = SendBuffer::new();
        out.push(command).unwrap();
        out.to_vec()
    }

    #[test]
    fn an_end_without_a_block_is_a_whole_append_for_every_size_field() {
        let append = set_up().handle(end(12345, b"abc", 1)).unwrap().unwrap();
        assert_eq!(append.data, "abc");
    }

    #[test]
    fn the_data_in_the_end_of_a_full_block_is_dropped() {
        let mut assembler = set_up();
        assembler.handle(block(b"xyz".to_vec())).unwrap();
        assert_eq!(assembler.handle(end(3, b"lost", 1)).unwrap().unwrap().data, "xyz");
    }

    #[test]
    fn split_events_are_joined_and_padding_is_dropped() {
        let mut assembler = set_up();
        let partial = nested(&PartialEvent { data: Bytes::from_static(b"par") });
        assembler.handle(block([b"whole".to_vec(), partial].concat())).unwrap();
        assert_eq!(assembler.handle(end(5, b"tial", 1)).unwrap().unwrap().data, "wholepartial");
        let padding = nested(&Padding { length: 4 });
        assembler.handle(block([b"whole".to_vec(), padding.clone()].concat())).unwrap();
        assert_eq!(assembler.handle(end(5, b"", 2)).unwrap().unwrap().data, "whole");
        assembler.handle(block([b"whole".to_vec(), padding].concat())).unwrap();
        assert_eq!(assembler.handle(end(5, b"x", 3)), Err(AppendViolation::DataAfterPadding));
    }

    #[test]
    fn every_rule_is_held() {
        use AppendViolation as V;
        assert_eq!(AppendAssembler::new().handle(end(0, b"", 1)), Err(V::NotSetUp(WRITER)));
        assert_eq!(
            set_up().handle(end(0, b"", -1)),
            Err(V::EventNumber { found: -1, last: i64::MIN })
        );
        let mut assembler = set_up();
        assembler.resume(WRITER, 5);
        assert_eq!(assembler.handle(end(0, b"", 4)), Err(V::EventNumber { found: 4, last: 5 }));
        let mut assembler = set_up();
        assembler.handle(block(vec![0; 4])).unwrap();
        assert!(matches!(assembler.handle(block(vec![])), Err(V::BlockOpen { .. })));
        assert_eq!(assembler.handle(KeepAlive {}.into()), Ok(None));
        assert_eq!(assembler.handle(end(5, b"", 1)), Err(V::BlockSize { claimed: 5, len: 4 }));
        let mut assembler = set_up();
        assembler.handle(block(vec![0; 20])).unwrap();
        assert_eq!(assembler.handle(end(4, b"", 1)), Err(V::BlockTail));
        let partial = PartialEvent { data: Bytes::new() };
        assert_eq!(set_up().handle(partial.into()), Err(V::Stray("PartialEvent")));
        let mut assembler = set_up();
        assembler.handle(block(vec![])).unwrap();
        let mut other = AppendBlockEnd {
            writer_id: Uuid::from_u128(2),
            size_of_whole_events: 0,
            data: Bytes::new(),
            num_events: 0,
            last_event_number: 1,
            request_id: 1,
        };
        assert!(matches!(assembler.handle(other.clone().into()), Err(V::OtherWriter { .. })));
        other.writer_id = WRITER;
        assert_eq!(set_up().handle(other.into()), Err(V::EventCount(0)));
    }
}
