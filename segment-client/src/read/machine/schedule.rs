//! The choice of the next segment to read, and of the length of reads.

use std::{collections::VecDeque, time::Duration};

use pravega_sdk_wire_protocol::commands::{GetStreamSegmentInfo, ReadSegment};

use super::{
    delivery::ReadKind,
    segment_reader::{InFlight, LengthProbe, LocateState, Question},
    state::{Effect, ReadMachine, ReaderId},
    stretch::{Stretch, after},
};
use crate::{machine::Now, seeded_bugs::SeededBug};

/// The longest read at a tail, where only the bytes since the last read are missing.
const MAX_TAIL_READ: usize = 256 << 10;
/// The shortest read, however many segments share the budget.
const MIN_READ: usize = 64 << 10;
const MIN_TAIL_READ: usize = 2 << 10;
/// A read of known bytes is late after this long, many times what a healthy store takes.
const PATIENCE: Duration = Duration::from_secs(1);

impl ReadMachine {
    /// Asks for as much as the budget allows, segment after segment.
    pub(super) fn schedule_reads(&mut self) {
        let read_len = self.read_len();
        let mut waiting = VecDeque::new();
        for _ in 0..self.wants_read.len() {
            let Some(id) = self.wants_read.pop_front() else { break };
            let Some(reader) = self.readers.get_mut(&id) else { continue };
            reader.is_queued = false;
            let Some(stretch) = reader.wants(read_len) else { continue };
            let is_idle = reader.reads.is_empty();
            if self.fits(stretch.read_len(read_len), is_idle) {
                self.ask(id, stretch, ReadKind::Known);
                self.update_queues(id);
                continue;
            }
            waiting.push_back(id);
            if self.late == 0 {
                break;
            }
        }
        while let Some(id) = waiting.pop_back() {
            if let Some(reader) = self.readers.get_mut(&id) {
                reader.is_queued = true;
                self.wants_read.push_front(id);
            }
        }
        self.exceed_budget();
        if !self.wants_read.is_empty() && self.asked > self.late {
            self.arm(self.now + PATIENCE);
        }
    }

    /// Nothing in flight that will be answered soon, and nothing to deliver: an event larger than
    /// the whole budget is being assembled. One segment may exceed it.
    fn exceed_budget(&mut self) {
        if self.asked > self.late || !self.ready.is_empty() {
            return;
        }
        let read_len = self.read_len();
        let is_idle =
            |id: &&ReaderId| self.readers.get(*id).is_some_and(|reader| reader.reads.is_empty());
        let over_budget = self
            .over_budget
            .filter(|id| is_idle(&id) && self.wants_read.contains(id))
            .or(self.wants_read.iter().find(is_idle).copied());
        self.over_budget = over_budget;
        let Some(id) = over_budget else { return };
        self.wants_read.retain(|wants_read| *wants_read != id);
        let Some(reader) = self.readers.get_mut(&id) else { return };
        reader.is_queued = false;
        if let Some(stretch) = reader.wants(read_len) {
            self.ask(id, stretch, ReadKind::Known);
        }
        self.update_queues(id);
    }

    /// Returns true if the budget allows one more read. Late reads do not keep a segment from its
    /// first read: a store that does not answer must not starve the segments of others.
    fn fits(&self, len: usize, is_idle: bool) -> bool {
        let asked = if is_idle { self.asked - self.late } else { self.asked };
        asked + self.held + len <= self.settings.budget / 2
    }

    /// Finds the reads that are late. They are looked for only while the budget is used up.
    pub(super) fn find_late_reads(&mut self, now: Now) {
        if self.settings.bugs.has(SeededBug::LateReadsStarve) {
            return;
        }
        let mut next: Option<Now> = None;
        for read in self.readers.values_mut().flat_map(|reader| reader.reads.values_mut()) {
            if read.kind != ReadKind::Known || read.is_late {
                continue;
            }
            let at = read.asked_at + PATIENCE;
            if now >= at {
                read.is_late = true;
                self.late += read.len;
                self.may_schedule = true;
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        // Younger reads may be late next.
        if let Some(at) = next.filter(|_| !self.wants_read.is_empty()) {
            self.arm(at);
        }
    }

    pub(super) fn read_len(&self) -> usize {
        (self.settings.budget / 2 / self.readers.len().max(1))
            .max(MIN_READ)
            .min(self.settings.max_read)
    }

    /// All tail reads may be answered at once, at full length.
    pub(super) fn tail_read_len(&self) -> usize {
        (self.settings.budget / 2 / self.readers.len().max(1))
            .clamp(MIN_TAIL_READ, MAX_TAIL_READ)
            .min(self.settings.max_read)
    }

    /// Puts a segment into the queues that it belongs to, and reads at its tail if there is nothing
    /// else to read.
    pub(super) fn update_queues(&mut self, id: ReaderId) {
        let (read_len, tail_len) = (self.read_len(), self.tail_read_len());
        let Some(reader) = self.readers.get_mut(&id) else { return };
        if self.settings.bugs.has(SeededBug::SkipsGaps)
            && let Some(gap) = reader.window.first_open()
            && gap.offset == reader.window.next()
        {
            reader.window.skip_to(after(gap.offset, gap.len));
        }
        if !reader.is_ready && reader.can_deliver() {
            reader.is_ready = true;
            self.ready.push_back(id);
        }
        if reader.is_queued {
            return;
        }
        if reader.wants(read_len).is_some() {
            reader.is_queued = true;
            self.wants_read.push_back(id);
            self.may_schedule = true;
        } else if reader.lacks_end() {
            self.probe_again(id);
        } else if let Some(stretch) = reader.wants_at_tail(tail_len) {
            self.ask(id, stretch, ReadKind::Tail);
        }
    }

    pub(super) fn ask(&mut self, id: ReaderId, stretch: Stretch, kind: ReadKind) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let LocateState::At(location) = &reader.state else { return };
        let read = self.next_request;
        self.next_request += 1;
        let (offset, len) = (stretch.offset, stretch.read_len(usize::MAX));
        reader.window.ask(stretch, read);
        let asked_at = self.now;
        reader.reads.insert(read, InFlight { offset, len, kind, asked_at, is_late: false });
        if kind == ReadKind::Known {
            self.asked += len;
        }
        let request = ReadSegment {
            segment: reader.name.clone(),
            offset: offset.0,
            suggested_length: i32::try_from(len).unwrap_or(i32::MAX),
            delegation_token: location.token.0.clone(),
            request_id: 0,
        };
        self.effects.push_back(Effect::Read {
            reader: id,
            read,
            endpoint: location.endpoint.clone(),
            request,
            kind,
        });
    }

    pub(super) fn inspect(&mut self, id: ReaderId) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        let is_needed = match reader.probe {
            LengthProbe::Wanted => false,
            LengthProbe::Needed => true,
            LengthProbe::Idle | LengthProbe::InFlight(_) => return,
        };
        let LocateState::At(location) = &reader.state else { return };
        let number = self.next_request;
        self.next_request += 1;
        let (known_len, expected) = (reader.known_len, reader.expected);
        let question = Question { number, known_len, expected, is_needed };
        reader.probe = LengthProbe::InFlight(question);
        let request = GetStreamSegmentInfo {
            request_id: 0,
            segment_name: reader.name.clone(),
            delegation_token: location.token.0.clone(),
        };
        self.effects.push_back(Effect::Inspect {
            reader: id,
            question: number,
            endpoint: location.endpoint.clone(),
            request,
        });
    }
}
