//! What a reader of a group returns.

use std::sync::Arc;

use pravega_sdk_types::{EventPointer, Offset, Position, ScopedSegment, SegmentOffset};

use super::super::state::GroupSegment;
use crate::reader::ReadEvent;

/// What a reader of a group returns: an event, or a checkpoint.
#[derive(Debug, Clone)]
pub enum GroupItem<E> {
    /// An event.
    Event(GroupEvent<E>),
    /// A checkpoint, by its name. All events that were returned before are part of it, and none
    /// after it. When the reader is asked for the next item, its part of the checkpoint is
    /// complete, so the program keeps first what it wants to keep of the events.
    Checkpoint(Arc<str>),
}

impl<E> GroupItem<E> {
    /// Returns the event; `None` for a checkpoint.
    #[must_use]
    pub fn into_event(self) -> Option<GroupEvent<E>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Checkpoint(_) => None,
        }
    }

    /// Returns the name of the checkpoint; `None` for an event.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        match self {
            Self::Checkpoint(name) => Some(name),
            Self::Event(_) => None,
        }
    }
}

/// An event, its place in its stream, and the position of the reader after it.
#[derive(Debug, Clone)]
pub struct GroupEvent<E> {
    event: ReadEvent<E>,
    others: Arc<Places>,
}

/// Where a reader is in its segments, but for the one that it reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(pub(super) Vec<(GroupSegment, SegmentOffset)>);

impl Places {
    /// Returns the position in the form of Java's client; `current` replaces the offset of a
    /// segment.
    pub(super) fn position(&self, current: Option<(&ScopedSegment, Offset)>) -> Position {
        let offset = |segment: &ScopedSegment, offset: SegmentOffset| match current {
            Some((current, next)) if current == segment => next.into(),
            _ => offset,
        };
        let owned = self.0.iter().map(|(of, at)| (of.segment.clone(), offset(&of.segment, *at)));
        Position::new(owned, self.0.iter().map(|(of, _)| (of.segment.clone(), of.range)))
    }
}

impl<E> GroupEvent<E> {
    pub(super) fn new(event: ReadEvent<E>, others: Arc<Places>) -> Self {
        Self { event, others }
    }

    /// Returns the event.
    #[must_use]
    pub fn event(&self) -> &E {
        self.event.event()
    }

    /// Returns the event without its place.
    #[must_use]
    pub fn into_event(self) -> E {
        self.event.into_event()
    }

    /// Returns the event as a reader without a group returns it.
    #[must_use]
    pub fn as_read_event(&self) -> &ReadEvent<E> {
        &self.event
    }

    /// Returns the segment of the event.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        self.event.segment()
    }

    /// Returns the offset of the event's header in the segment.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.event.offset()
    }

    /// Returns the offset of the next event in the segment.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.event.end_offset()
    }

    /// Returns the address of the event, by which it can be fetched again; `None` for an event of
    /// almost 2 GiB, whose length does not fit into a pointer.
    #[must_use]
    pub fn pointer(&self) -> Option<EventPointer> {
        self.event.pointer()
    }

    /// Returns the position of the reader after this event, in the form that Java's readers have:
    /// the offset in each segment of the reader. A reader that is taken offline at it goes on, as
    /// another reader, with the event after this one.
    ///
    /// It is put together at each call, of all segments that the reader had.
    #[must_use]
    pub fn position(&self) -> Position {
        self.others.position(Some((self.segment(), self.end_offset())))
    }
}
