//! One segment being read: its reads, its bytes and its end.

use std::{collections::BTreeMap, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_types::{ErrorKind, Offset, ScopedSegment};

use super::{
    delivery::{Delivery, ReadKind, StartOffset},
    stretch::{Stretch, between},
    window::Window,
};
use crate::{
    error::ReadError,
    machine::{Location, Now},
};

/// The most bytes of one segment in flight or waiting. More does not make reading faster.
const MAX_AHEAD: u64 = 4 << 20;

/// The store calls the segment sealed before bytes that the segment is known to have.
#[derive(Debug)]
pub(super) struct EarlyEnd;

#[derive(Debug)]
pub(super) enum LocateState {
    Locating,
    Waiting(Now),
    At(Location),
}

#[derive(Debug)]
pub(super) struct SegmentReader {
    pub(super) segment: Arc<ScopedSegment>,
    pub(super) name: ByteString,
    pub(super) window: Window,
    pub(super) state: LocateState,
    /// Reads in flight, including those whose stretch was dropped.
    pub(super) reads: BTreeMap<u64, InFlight>,
    /// The segment has at least this many bytes.
    pub(super) known_len: Offset,
    /// The end set by the caller.
    pub(super) limit: Option<Offset>,
    /// The end of the sealed segment.
    pub(super) end: Option<Offset>,
    /// The caller knows that the segment is sealed.
    pub(super) is_sealed: bool,
    /// The first offset that was not truncated.
    pub(super) head: Offset,
    /// The minimum length the caller expects.
    pub(super) expected: Offset,
    pub(super) start: Option<StartOffset>,
    pub(super) probe: LengthProbe,
    /// The last delivery, after all bytes that arrived.
    pub(super) terminal: Option<Terminal>,
    /// A stall that was not yet delivered.
    pub(super) stalled: Option<ReadError>,
    pub(super) attempts: u32,
    pub(super) protocol_errors: u32,
    pub(super) failing_since: Option<Now>,
    /// The damage that was reported last, as the store told it.
    pub(super) damage: Option<String>,
    pub(super) last_failure: Now,
    /// Failures of reads before this number are ignored.
    pub(super) first_valid_read: u64,
    pub(super) is_ready: bool,
    pub(super) is_queued: bool,
}

/// The state of asking for the length of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthProbe {
    Idle,
    /// Needed soon; reading goes on.
    Wanted,
    /// Needed before anything is read.
    Needed,
    InFlight(Question),
}

/// A question for the length that is in flight, with what was known when it was sent: its answer
/// may be older than anything that arrives before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// The number of the request.
    pub(super) number: u64,
    /// The segment had at least this many bytes.
    pub(super) known_len: Offset,
    /// The minimum length that the caller expected.
    pub(super) expected: Offset,
    /// Nothing is read before the answer.
    pub(super) is_needed: bool,
}

impl Question {
    /// The state in which the question is asked again.
    pub(super) fn again(self) -> LengthProbe {
        if self.is_needed { LengthProbe::Needed } else { LengthProbe::Wanted }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) offset: Offset,
    pub(super) len: usize,
    pub(super) kind: ReadKind,
    pub(super) asked_at: Now,
    /// It has had no answer for long.
    pub(super) is_late: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Terminal {
    Missing,
    Short(Offset),
    Failed(ReadError),
    /// Delivered; nothing follows.
    Delivered,
}

impl SegmentReader {
    pub(super) fn new(
        segment: Arc<ScopedSegment>,
        from: StartOffset,
        limit: Option<Offset>,
    ) -> Self {
        let offset = match from {
            StartOffset::Known(offset) => offset,
            StartOffset::Claimed(_) | StartOffset::Tail => Offset(0),
        };
        let is_known = matches!(from, StartOffset::Known(_));
        Self {
            name: segment.to_string().into(),
            segment,
            window: Window::new(offset),
            state: LocateState::Locating,
            reads: BTreeMap::new(),
            known_len: offset,
            limit,
            end: None,
            is_sealed: false,
            head: Offset(0),
            expected: Offset(0),
            start: Some(from).filter(|_| !is_known),
            probe: if is_known { LengthProbe::Idle } else { LengthProbe::Needed },
            terminal: None,
            stalled: None,
            attempts: 0,
            protocol_errors: 0,
            failing_since: None,
            damage: None,
            last_failure: Now::ZERO,
            first_valid_read: 0,
            is_ready: false,
            is_queued: false,
        }
    }

    /// A segment that the caller knows to be sealed. Its length is asked for first, as there is no
    /// tail at which a read could wait.
    pub(super) fn sealed(segment: Arc<ScopedSegment>, from: StartOffset) -> Self {
        let reader = Self::new(segment, from, None);
        Self { is_sealed: true, probe: LengthProbe::Needed, ..reader }
    }

    /// Names this segment in an error.
    pub(super) fn about_it(&self, error: ReadError) -> ReadError {
        let endpoint = match &self.state {
            LocateState::At(location) => Some(location.endpoint.clone()),
            LocateState::Locating | LocateState::Waiting(_) => None,
        };
        error.with_stream(&self.segment.scoped_stream()).with_segment(
            self.segment.id(),
            endpoint,
            self.attempts,
        )
    }

    /// Notes damage as the store tells it. Returns true if it was not reported just before.
    pub(super) fn is_new_damage(&mut self, damage: &str) -> bool {
        let is_new = self.damage.as_deref() != Some(damage);
        if is_new {
            self.damage = Some(damage.to_owned());
        }
        is_new
    }

    /// Takes the end of the sealed segment.
    ///
    /// # Errors
    ///
    /// [`EarlyEnd`] if the segment is known to have bytes after it. They would be lost, so it is
    /// not taken.
    pub(super) fn set_end(&mut self, end: Offset) -> Result<(), EarlyEnd> {
        if end < self.known_len {
            return Err(EarlyEnd);
        }
        (self.end, self.known_len) = (Some(end), end);
        self.window.cut_at(end);
        Ok(())
    }

    /// Notes that the segment has at least so many bytes.
    ///
    /// # Errors
    ///
    /// [`EarlyEnd`] if it was said to end before them. If that was not delivered yet, it counts no
    /// longer.
    pub(super) fn reach(&mut self, len: Offset) -> Result<(), EarlyEnd> {
        self.known_len = self.known_len.max(len);
        let is_delivered = matches!(self.terminal, Some(Terminal::Delivered));
        let early = self.end.take_if(|end| *end < len && !is_delivered);
        if early.is_some() { Err(EarlyEnd) } else { Ok(()) }
    }

    /// The offset at which reading ends, as far as it is known.
    fn stop(&self) -> Offset {
        self.limit.unwrap_or(Offset(i64::MAX)).min(self.end.unwrap_or(Offset(i64::MAX)))
    }

    fn may_read(&self) -> bool {
        let is_blocked = matches!(
            self.probe,
            LengthProbe::Needed | LengthProbe::InFlight(Question { is_needed: true, .. })
        );
        matches!(self.state, LocateState::At(_))
            && !is_blocked
            && self.terminal.is_none()
            && self.head <= self.window.next()
    }

    /// Returns the next read of known bytes.
    pub(super) fn wants(&self, max_len: usize) -> Option<Stretch> {
        if !self.may_read() {
            return None;
        }
        if let Some(open) = self.window.first_open()
            && open.offset < self.known_len
        {
            return Some(Stretch { len: open.read_len(max_len) as u64, ..open });
        }
        let frontier = self.window.frontier();
        let known =
            Stretch { offset: frontier, len: between(frontier, self.known_len.min(self.stop())) };
        if known.len == 0 || self.window.len() >= MAX_AHEAD {
            return None;
        }
        Some(Stretch { len: known.read_len(max_len) as u64, ..known })
    }

    /// Returns the next read at the tail, if none is in flight there.
    pub(super) fn wants_at_tail(&self, max_len: usize) -> Option<Stretch> {
        let frontier = self.window.frontier();
        let is_over = frontier < self.known_len || frontier >= self.stop();
        if is_over || !self.may_read() || self.window.is_asked() || self.window.len() >= MAX_AHEAD {
            return None;
        }
        let rest = Stretch { offset: frontier, len: between(frontier, self.stop()) };
        Some(Stretch { len: rest.read_len(max_len) as u64, ..rest })
    }

    /// Returns true if nothing is left to read of a segment that must be sealed, and its end is not
    /// known.
    pub(super) fn lacks_end(&self) -> bool {
        self.is_sealed && self.wants_at_tail(usize::MAX).is_some()
    }

    pub(super) fn can_deliver(&self) -> bool {
        if matches!(self.terminal, Some(Terminal::Delivered)) {
            return false;
        }
        self.stalled.is_some()
            || self.window.has_data()
            || self.terminal.is_some()
            || (self.start.is_none()
                && (self.window.next() >= self.stop() || self.head > self.window.next()))
    }

    pub(super) fn deliver(&mut self) -> Option<Delivery> {
        // The bytes before damage come before it.
        let has_data = self.window.has_data();
        let is_next = |error: &mut ReadError| error.kind() != ErrorKind::Corrupt || !has_data;
        if let Some(stalled) = self.stalled.take_if(is_next) {
            return Some(Delivery::Stalled(stalled));
        }
        let offset = self.window.next();
        if let Some(data) = self.window.take() {
            return Some(Delivery::Data { offset, data });
        }
        if self.start.is_none()
            && offset >= self.stop()
            && !matches!(self.terminal, Some(Terminal::Delivered))
        {
            self.terminal = Some(Terminal::Delivered);
            return Some(Delivery::End { offset });
        }
        match &self.terminal {
            Some(Terminal::Delivered) => return None,
            Some(Terminal::Missing) => {
                self.terminal = Some(Terminal::Delivered);
                return Some(Delivery::Missing);
            }
            Some(Terminal::Short(length)) => {
                let length = *length;
                self.terminal = Some(Terminal::Delivered);
                return Some(Delivery::Short { length });
            }
            Some(Terminal::Failed(error)) => {
                let error = error.clone();
                self.terminal = Some(Terminal::Delivered);
                return Some(Delivery::Failed(error));
            }
            None => {}
        }
        if self.start.is_none() && self.head > offset {
            let head = self.head.min(self.stop());
            self.window.skip_to(head);
            return Some(Delivery::Truncated { asked: offset, head });
        }
        None
    }
}
