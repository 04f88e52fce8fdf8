//! One segment that is being read: what was asked of it, what has come, and what it ends with.

use std::{collections::BTreeMap, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_types::ScopedSegment;

use super::{
    delivery::{Delivery, ReadKind, StartOffset},
    window::Window,
};
use crate::{
    error::ReadError,
    machine::{Location, Now},
};

/// Bytes of one segment that are under way or wait. More does not make reading faster.
const MAX_AHEAD: i64 = 4 << 20;

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
    /// Reads that are under way, those too whose stretch is not wanted any more.
    pub(super) reads: BTreeMap<u64, InFlight>,
    /// The segment has at least this many bytes.
    pub(super) known_len: i64,
    /// Where the caller wants it to end.
    pub(super) limit: Option<i64>,
    /// Where it ends, as it is sealed.
    pub(super) end: Option<i64>,
    /// Where it begins.
    pub(super) head: i64,
    /// The minimum length the caller expects.
    pub(super) expected: i64,
    pub(super) start: Option<StartOffset>,
    pub(super) probe: LengthProbe,
    /// What it ends with, after all that has arrived.
    pub(super) terminal: Option<Terminal>,
    /// The failure that was last reported.
    pub(super) stalled: Option<ReadError>,
    pub(super) attempts: u32,
    pub(super) protocol_errors: u32,
    pub(super) failing_since: Option<Now>,
    pub(super) last_failure: Now,
    /// Failures of reads before this number are ignored.
    pub(super) first_valid_read: u64,
    pub(super) is_ready: bool,
    pub(super) is_queued: bool,
}

/// Whether a segment has to be asked for its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthProbe {
    Idle,
    /// Reading goes on meanwhile.
    Wanted,
    /// Nothing is read before.
    Needed,
    InFlight {
        floor: i64,
        is_needed: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) offset: i64,
    pub(super) len: usize,
    pub(super) kind: ReadKind,
}

#[derive(Debug, Clone)]
pub(super) enum Terminal {
    Missing,
    Short(i64),
    Failed(ReadError),
    /// Delivered; nothing follows.
    Delivered,
}

impl SegmentReader {
    pub(super) fn new(segment: Arc<ScopedSegment>, from: StartOffset, limit: Option<i64>) -> Self {
        let offset = match from {
            StartOffset::Known(offset) => offset,
            StartOffset::Claimed(_) | StartOffset::Tail => 0,
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
            head: 0,
            expected: 0,
            start: Some(from).filter(|_| !is_known),
            probe: if is_known { LengthProbe::Idle } else { LengthProbe::Needed },
            terminal: None,
            stalled: None,
            attempts: 0,
            protocol_errors: 0,
            failing_since: None,
            last_failure: Now::ZERO,
            first_valid_read: 0,
            is_ready: false,
            is_queued: false,
        }
    }

    /// An error as one of this segment.
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

    pub(super) fn set_end(&mut self, end: i64) {
        self.end = Some(end);
        self.known_len = self.known_len.max(end);
        self.window.cut_at(end);
    }

    fn stop(&self) -> i64 {
        self.limit.unwrap_or(i64::MAX).min(self.end.unwrap_or(i64::MAX))
    }

    fn may_read(&self) -> bool {
        let is_blocked = matches!(
            self.probe,
            LengthProbe::Needed | LengthProbe::InFlight { is_needed: true, .. }
        );
        matches!(self.state, LocateState::At(_))
            && !is_blocked
            && self.terminal.is_none()
            && self.head <= self.window.next()
    }

    /// The next read of bytes that are known to be there.
    pub(super) fn wants(&self, max_len: usize) -> Option<(i64, usize)> {
        if !self.may_read() {
            return None;
        }
        if let Some((offset, len)) = self.window.first_open()
            && offset < self.known_len
        {
            return Some((offset, usize::try_from(len).unwrap_or(max_len).min(max_len)));
        }
        let frontier = self.window.frontier();
        let there = self.known_len.min(self.stop()) - frontier;
        if there <= 0 || self.window.len() >= MAX_AHEAD {
            return None;
        }
        Some((frontier, usize::try_from(there).unwrap_or(max_len).min(max_len)))
    }

    /// The next read at the tail, which is the only one under way there.
    pub(super) fn wants_at_tail(&self, max_len: usize) -> Option<(i64, usize)> {
        let frontier = self.window.frontier();
        let is_over = frontier < self.known_len || frontier >= self.stop();
        if is_over || !self.may_read() || self.window.is_asked() || self.window.len() >= MAX_AHEAD {
            return None;
        }
        let room = usize::try_from(self.stop().saturating_sub(frontier)).unwrap_or(max_len);
        Some((frontier, room.min(max_len)))
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
        if let Some(stalled) = self.stalled.take() {
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
