//! A changing set of segments, and the events in them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    error::ReadError,
    read::{
        machine::{Delivery, Driven, ReadMachine, ReaderId, StartOffset},
        parser::{EventParser, Parsed},
    },
};
use pravega_sdk_types::{ErrorKind, Offset, ScopedSegment};

use crate::{group::machine::SegmentEnd, reader::CorruptEvents};

/// Settings of a set of segments, without those of its read machine.
#[derive(Debug, Clone)]
pub(crate) struct SegmentSetSettings {
    pub(crate) max_event_bytes: usize,
    pub(crate) corrupt_events: CorruptEvents,
}

/// What was found in the segments.
#[derive(Debug)]
pub(crate) enum Found {
    /// An event, and the offset of its header.
    Event { segment: Arc<ScopedSegment>, offset: Offset, event: Bytes },
    /// The bytes before `head` were truncated. Reading goes on from there.
    Truncated { segment: Arc<ScopedSegment>, asked: Offset, head: Offset },
    /// The end of a sealed segment.
    SealedEnd(Arc<ScopedSegment>),
    /// The end of reading in a segment.
    ConfiguredEnd(Arc<ScopedSegment>),
    /// The segment does not exist.
    Missing { segment: Arc<ScopedSegment>, at: Offset },
    /// An error after which reading goes on.
    Error(ReadError),
    /// An error that ends reading.
    Failed(ReadError),
}

/// Reads the segments of a member of a group: they are opened and closed at any time.
///
/// The segment that delivered bytes last is read until they are used up, then the next in turn.
pub(crate) struct SegmentSet {
    settings: SegmentSetSettings,
    reads: ReadMachine,
    active: BTreeMap<ReaderId, Active>,
    readers: HashMap<Arc<ScopedSegment>, ReaderId>,
    /// The segment whose bytes are being taken apart.
    current: Option<ReaderId>,
    /// What is returned before anything else.
    held_back: Option<Found>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<ScopedSegment>,
    parser: EventParser,
    end: SegmentEnd,
    /// It is read from its tail on, whose offset the first delivery shows.
    is_from_tail: bool,
}

impl SegmentSet {
    pub(crate) fn new(settings: SegmentSetSettings, reads: ReadMachine) -> Self {
        Self {
            settings,
            reads,
            active: BTreeMap::new(),
            readers: HashMap::new(),
            current: None,
            held_back: None,
        }
    }

    /// Begins to read a segment at the offset of an event, up to an end.
    pub(crate) fn open(&mut self, segment: Arc<ScopedSegment>, from: Offset, end: SegmentEnd) {
        self.close(&segment);
        // Other clients have written the offset.
        let start = match from {
            Offset(0) => StartOffset::Known(from),
            _ => StartOffset::Claimed(from),
        };
        self.begin(segment, start, from, end);
    }

    fn begin(
        &mut self,
        segment: Arc<ScopedSegment>,
        start: StartOffset,
        from: Offset,
        end: SegmentEnd,
    ) {
        let name = Arc::clone(&segment);
        let reader = match end {
            SegmentEnd::At(end) => self.reads.open(name, start, Some(end)),
            SegmentEnd::OnceSealed => self.reads.open(name, start, None),
            SegmentEnd::Sealed => self.reads.open_sealed(name, start),
        };
        self.readers.insert(Arc::clone(&segment), reader);
        let is_from_tail = start == StartOffset::Tail;
        let active = Active { segment, parser: EventParser::new(from.0), end, is_from_tail };
        self.active.insert(reader, active);
    }

    /// Stops reading a segment. Nothing of it is returned any more.
    pub(crate) fn close(&mut self, segment: &ScopedSegment) {
        if let Some(reader) = self.readers.get(segment).copied() {
            self.forget(reader);
        }
        self.held_back.take_if(|found| found.segment().is_some_and(|of| **of == *segment));
    }

    /// Closes all segments.
    pub(crate) fn clear(&mut self) {
        for reader in self.active.keys().copied().collect::<Vec<_>>() {
            self.forget(reader);
        }
        self.held_back = None;
    }

    fn forget(&mut self, reader: ReaderId) -> Option<Active> {
        let mut active = self.active.remove(&reader)?;
        self.readers.remove(&active.segment);
        self.reads.close(reader);
        let offset = active.parser.offset();
        self.reads.release(active.parser.restart(offset));
        self.current.take_if(|current| *current == reader);
        Some(active)
    }

    /// Returns this before anything else.
    pub(crate) fn hold_back(&mut self, found: Found) {
        self.held_back = Some(found);
    }

    /// Returns the next event, or what else was found; `None` if there is nothing yet.
    pub(crate) fn poll(&mut self) -> Option<Found> {
        if let Some(found) = self.held_back.take() {
            return Some(found);
        }
        loop {
            if let Some(found) = self.next_of_current() {
                return Some(found);
            }
            let (reader, delivery) = self.reads.poll_delivery()?;
            if let Some(found) = self.take(reader, delivery) {
                return Some(found);
            }
        }
    }

    fn next_of_current(&mut self) -> Option<Found> {
        let reader = self.current?;
        let active = self.active.get_mut(&reader)?;
        match active.parser.next(self.settings.max_event_bytes) {
            Parsed::Event { offset, event, released } => {
                self.reads.release(released);
                let segment = Arc::clone(&active.segment);
                Some(Found::Event { segment, offset: Offset(offset), event })
            }
            Parsed::More { released, expected } => {
                self.reads.release(released);
                if let Some(expected) = expected {
                    self.reads.expect(reader, Offset(expected));
                }
                self.current = None;
                None
            }
            Parsed::Corrupt { offset, found } => {
                self.corrupt(reader, Offset(offset), &found.to_string())
            }
        }
    }

    fn take(&mut self, reader: ReaderId, delivery: Delivery) -> Option<Found> {
        let Some(active) = self.active.get_mut(&reader) else {
            if let Delivery::Data { data, .. } = delivery {
                self.reads.release(data.len());
            }
            return None;
        };
        let segment = Arc::clone(&active.segment);
        match delivery {
            Delivery::Data { offset, data } => {
                if std::mem::take(&mut active.is_from_tail) {
                    self.reads.release(active.parser.restart(offset.0));
                }
                active.parser.push(data);
                self.current = Some(reader);
                None
            }
            Delivery::Truncated { asked, head } => {
                active.is_from_tail = false;
                self.reads.release(active.parser.restart(head.0));
                Some(Found::Truncated { segment, asked, head })
            }
            Delivery::End { offset } => {
                if active.parser.held() > 0 {
                    let at = Offset(active.parser.offset());
                    return self.corrupt(reader, at, "the event is cut off by the end");
                }
                let is_configured = matches!(active.end, SegmentEnd::At(end) if offset >= end);
                self.forget(reader);
                Some(if is_configured {
                    Found::ConfiguredEnd(segment)
                } else {
                    Found::SealedEnd(segment)
                })
            }
            Delivery::Missing => {
                let at = Offset(active.parser.offset());
                self.forget(reader);
                Some(Found::Missing { segment, at })
            }
            Delivery::Short { length } => self.short(reader, length),
            Delivery::Stalled(error) => Some(Found::Error(error)),
            Delivery::Failed(error) => Some(Found::Failed(error)),
        }
    }

    /// A segment does not reach as far as other readers have read it, or as its last event says.
    fn short(&mut self, reader: ReaderId, length: Offset) -> Option<Found> {
        let active = self.active.get(&reader)?;
        let (offset, held) = (active.parser.offset(), active.parser.held());
        if held > 0 && offset + held as i64 <= length.0 {
            let what = "the event is longer than the segment";
            return self.corrupt(reader, Offset(offset), what);
        }
        let detail = format_args!(
            "the segment has only {length} bytes, fewer than were read: its stream was deleted and \
             created again, or the position is not one of the segment"
        );
        let error = error_at(ErrorKind::InvalidStreamCut, detail, &active.segment, Offset(offset));
        Some(Found::Failed(error))
    }

    /// The bytes at an offset are not a valid event.
    fn corrupt(&mut self, reader: ReaderId, at: Offset, what: &str) -> Option<Found> {
        let Active { segment, end, .. } = self.forget(reader)?;
        let skips = self.settings.corrupt_events == CorruptEvents::Skip;
        let detail = self.settings.corrupt_events.detail(what);
        let error = error_at(ErrorKind::Corrupt, detail, &segment, at);
        if !skips {
            return Some(Found::Failed(error));
        }
        // Appends are whole events, so the next one begins where the segment ends now.
        self.begin(segment, StartOffset::Tail, at, end);
        Some(Found::Error(error))
    }
}

impl Found {
    /// Returns the segment, if it is about one that is still read.
    fn segment(&self) -> Option<&Arc<ScopedSegment>> {
        match self {
            Self::Event { segment, .. }
            | Self::Truncated { segment, .. }
            | Self::SealedEnd(segment)
            | Self::ConfiguredEnd(segment)
            | Self::Missing { segment, .. } => Some(segment),
            Self::Error(_) | Self::Failed(_) => None,
        }
    }
}

/// Creates an error about an offset in a segment.
pub(crate) fn error_at(
    kind: ErrorKind,
    detail: impl fmt::Display,
    segment: &ScopedSegment,
    at: Offset,
) -> ReadError {
    let error = ReadError::new(kind, detail).with_stream(&segment.scoped_stream());
    error.with_segment(segment.id(), None, 0).with_offset(at)
}

/// The driver of reads sees this machine alone, which passes on what is about bytes.
impl Driven for SegmentSet {
    fn reads(&self) -> &ReadMachine {
        &self.reads
    }

    fn reads_mut(&mut self) -> &mut ReadMachine {
        &mut self.reads
    }
}

impl fmt::Debug for SegmentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentSet").field("active", &self.active.len()).finish_non_exhaustive()
    }
}
