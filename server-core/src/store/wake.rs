//! Reads: of present bytes, and those that wait at the end of a segment until it has more.

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{SegmentIsSealed, SegmentRead},
};

use super::{
    bytes::Found,
    fetches::Fetches,
    refusal::{Refusal, Result},
    segment::{Content, Segment},
    state::Store,
    waiting::{WaitingRead, WaitingReads, Woken},
};
use crate::{ids::ConnectionId, record::Sequence};

/// The result of a read.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// Bytes of the segment.
    Data {
        /// The bytes.
        data: Bytes,
        /// True if the segment may grow and all of its bytes were read.
        at_tail: bool,
        /// True if the segment is sealed and all of its bytes were read.
        end_of_segment: bool,
    },
    /// The segment has no more bytes, or they are not in memory; the reply follows once they are.
    Waits,
}

impl Read {
    /// The reply to a read at an offset; `None` if it follows later.
    pub(super) fn reply(
        self,
        segment: ByteString,
        Offset(offset): Offset,
        request_id: i64,
    ) -> Option<SegmentRead> {
        match self {
            Self::Data { data, at_tail, end_of_segment } => {
                Some(SegmentRead { segment, offset, at_tail, end_of_segment, data, request_id })
            }
            Self::Waits => None,
        }
    }
}

impl Store {
    /// Takes the replies to reads that waited, since the last call.
    pub fn take_woken(&mut self) -> Vec<Woken> {
        std::mem::take(&mut self.woken)
    }

    /// Reads, or waits at the end of the segment. As in the Java store, an offset after the end
    /// waits until the segment reaches it.
    ///
    /// A connection with more waiting reads than its share gets no bytes, at once.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchSegment`], [`Refusal::Truncated`] before the start of the segment, and
    /// [`Refusal::Close`] after the end of a sealed one.
    pub fn read(&mut self, segment: &ByteString, read: WaitingRead) -> Result<Read> {
        let name = self.name_of(segment);
        let found = self.segments.get_mut(&name).ok_or(Refusal::NoSuchSegment)?;
        if read.offset < found.start() {
            return Err(Refusal::Truncated { start: found.start() });
        }
        match read_at(found, read.offset, read.max_len) {
            Some(Found::Bytes(data)) => {
                if let Content::Stream(bytes) = &mut found.content {
                    bytes.touch(read.offset);
                }
                let at_end = read.offset + data.len() as u64 == found.len();
                let at_tail = at_end && !found.sealed && data.len() < read.max_len;
                Ok(Read::Data { data, at_tail, end_of_segment: at_end && found.sealed })
            }
            Some(Found::Evicted { .. }) if !self.waiting.add(read.connection, &name) => {
                let (at_tail, end_of_segment) = (false, false);
                Ok(Read::Data { data: Bytes::new(), at_tail, end_of_segment })
            }
            Some(Found::Evicted { to }) => {
                self.fetches.add(&name, found, read, to);
                Ok(Read::Waits)
            }
            None if found.sealed => {
                Err(Refusal::Close("the offset is after the end of a sealed segment"))
            }
            None if !self.waiting.add(read.connection, &name) => {
                Ok(Read::Data { data: Bytes::new(), at_tail: true, end_of_segment: false })
            }
            None => {
                found.waiting.add(read);
                Ok(Read::Waits)
            }
        }
    }

    /// Drops the waiting reads of a closed connection.
    pub fn forget_reads(&mut self, connection: ConnectionId) {
        let segments = &mut self.segments;
        for name in self.waiting.forget(connection) {
            if let Some(segment) = segments.get_mut(&name) {
                segment.waiting.forget(connection);
            }
            self.fetches.forget(&name, connection);
        }
    }
}

/// The bytes of a segment at an offset; `None` at the end of a segment that may grow, and after
/// the end.
fn read_at(segment: &Segment, offset: u64, max_len: usize) -> Option<Found> {
    let len = segment.len();
    if offset > len || offset == len && !segment.sealed {
        return None;
    }
    match &segment.content {
        Content::Stream(bytes) => Some(bytes.read(offset, max_len)),
        // The Java store would return its own encoding of the entries, of no use to a client.
        Content::Table(..) => Some(Found::Bytes(Bytes::new())),
    }
}

/// The reply to a read that waited: bytes at the tail, or the end of the segment.
fn segment_read(
    segment: &ByteString,
    read: WaitingRead,
    data: Bytes,
    end_of_segment: bool,
) -> WireCommand {
    let WaitingRead { offset, request_id, .. } = read;
    let (offset, at_tail) = (offset as i64, !end_of_segment);
    SegmentRead { segment: segment.clone(), offset, at_tail, end_of_segment, data, request_id }
        .into()
}

/// The reply to a read that waited at the end of a deleted segment: no bytes.
pub(super) fn wake_deleted(name: &ByteString, read: WaitingRead, after: Sequence) -> Woken {
    let reply = segment_read(name, read, Bytes::new(), false);
    Woken { connection: read.connection, after, reply }
}

/// Answers the waiting reads for which a segment has bytes, or never will have any. What was merged
/// into it may not be in memory: a read of that waits on.
pub(super) fn wake(
    name: &ByteString,
    segment: &mut Segment,
    (waiting, fetches): (&mut WaitingReads, &mut Fetches),
    woken: &mut Vec<Woken>,
) {
    let (len, after) = (segment.len(), segment.changed);
    // A sealed segment has an answer for every offset.
    let end = (!segment.sealed).then_some(len);
    // In the order of their offsets, reads of the same bytes share them.
    let mut shared = (0, Bytes::new());
    for read in segment.waiting.take_before(end) {
        let WaitingRead { connection, request_id, offset, max_len } = read;
        let (from, bytes) = &mut shared;
        if offset < len && offset >= *from + bytes.len() as u64 {
            match segment.bytes().map(|bytes| bytes.read(offset, usize::MAX)) {
                Some(Found::Bytes(found)) => (*from, *bytes) = (offset, found),
                Some(Found::Evicted { to }) => {
                    fetches.add(name, segment, read, to);
                    continue;
                }
                None => {}
            }
        }
        waiting.remove(connection, name);
        let reply = if offset >= len {
            let (segment, server_stack_trace) = (name.clone(), ByteString::new());
            let offset = offset as i64;
            SegmentIsSealed { request_id, segment, server_stack_trace, offset }.into()
        } else {
            let at = bytes.len().min((offset - *from) as usize);
            let data = bytes.slice(at..);
            let data = data.slice(..data.len().min(max_len));
            let end_of_segment = segment.sealed && offset + data.len() as u64 == len;
            segment_read(name, read, data, end_of_segment)
        };
        woken.push(Woken { connection, after, reply });
    }
}
