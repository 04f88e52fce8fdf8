//! One segment that is being read: what was asked of it, what has come, and what it ends with.

use std::{collections::BTreeMap, sync::Arc};

use bytestring::ByteString;
use pravega_sdk_types::ScopedSegment;

use super::{Delivery, From, Patience, window::Window};
use crate::{
    error::ReadError,
    machine::{Location, Now},
};

/// Bytes of one segment that are under way or wait. More does not make reading faster.
const MAX_AHEAD: i64 = 4 << 20;

#[derive(Debug)]
pub(super) enum Place {
    Locating,
    Waiting(Now),
    At(Location),
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) segment: Arc<ScopedSegment>,
    pub(super) name: ByteString,
    pub(super) window: Window,
    pub(super) place: Place,
    /// Reads that are under way, those too whose stretch is not wanted any more.
    pub(super) reads: BTreeMap<u64, Asked>,
    /// The segment has at least this many bytes.
    pub(super) known_len: i64,
    /// Where the caller wants it to end.
    pub(super) limit: Option<i64>,
    /// Where it ends, as it is sealed.
    pub(super) end: Option<i64>,
    /// Where it begins.
    pub(super) head: i64,
    /// The caller knows of bytes up to there.
    pub(super) expected: i64,
    pub(super) start: Option<From>,
    pub(super) look: Look,
    /// What it ends with, behind all that has arrived.
    pub(super) last: Option<Last>,
    /// The failure that was last reported.
    pub(super) stalled: Option<ReadError>,
    pub(super) attempts: u32,
    pub(super) strikes: u32,
    pub(super) failing_since: Option<Now>,
    pub(super) last_failure: Now,
    /// Failures of reads that were sent before this number are old news.
    pub(super) era: u64,
    pub(super) is_ready: bool,
    pub(super) is_hungry: bool,
}

/// Whether a segment is to be asked for its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    No,
    /// Reading goes on meanwhile.
    Wanted,
    /// Nothing is read before.
    Needed,
    UnderWay {
        floor: i64,
        is_needed: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) offset: i64,
    pub(super) len: usize,
    pub(super) patience: Patience,
}

#[derive(Debug, Clone)]
pub(super) enum Last {
    Missing,
    Short(i64),
    Failed(ReadError),
    /// Told; nothing follows.
    Told,
}

impl Lane {
    pub(super) fn new(segment: Arc<ScopedSegment>, from: From, limit: Option<i64>) -> Self {
        let offset = match from {
            From::Known(offset) => offset,
            From::Claimed(_) | From::Tail => 0,
        };
        let is_known = matches!(from, From::Known(_));
        Self {
            name: segment.to_string().into(),
            segment,
            window: Window::new(offset),
            place: Place::Locating,
            reads: BTreeMap::new(),
            known_len: offset,
            limit,
            end: None,
            head: 0,
            expected: 0,
            start: Some(from).filter(|_| !is_known),
            look: if is_known { Look::No } else { Look::Needed },
            last: None,
            stalled: None,
            attempts: 0,
            strikes: 0,
            failing_since: None,
            last_failure: Now::ZERO,
            era: 0,
            is_ready: false,
            is_hungry: false,
        }
    }

    /// An error as one of this segment.
    pub(super) fn about_it(&self, error: ReadError) -> ReadError {
        let endpoint = match &self.place {
            Place::At(location) => Some(location.endpoint.clone()),
            Place::Locating | Place::Waiting(_) => None,
        };
        error.of(&self.segment.scoped_stream()).at(self.segment.id(), endpoint, self.attempts)
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
        let is_blocked = matches!(self.look, Look::Needed | Look::UnderWay { is_needed: true, .. });
        matches!(self.place, Place::At(_))
            && !is_blocked
            && self.last.is_none()
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
        if matches!(self.last, Some(Last::Told)) {
            return false;
        }
        self.stalled.is_some()
            || self.window.has_data()
            || self.last.is_some()
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
        if self.start.is_none() && offset >= self.stop() && !matches!(self.last, Some(Last::Told)) {
            self.last = Some(Last::Told);
            return Some(Delivery::End { offset });
        }
        match &self.last {
            Some(Last::Told) => return None,
            Some(Last::Missing) => {
                self.last = Some(Last::Told);
                return Some(Delivery::Missing);
            }
            Some(Last::Short(length)) => {
                let length = *length;
                self.last = Some(Last::Told);
                return Some(Delivery::Short { length });
            }
            Some(Last::Failed(error)) => {
                let error = error.clone();
                self.last = Some(Last::Told);
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
