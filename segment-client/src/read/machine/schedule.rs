//! The choice of the next segment to read, and of the length of reads.

use pravega_sdk_wire_protocol::commands::{GetStreamSegmentInfo, ReadSegment};

use super::{
    delivery::ReadKind,
    segment_reader::{InFlight, LengthProbe, LocateState, Question},
    state::{Effect, ReadMachine, ReaderId},
    stretch::{Stretch, after},
};
use crate::seeded_bugs::SeededBug;

/// The longest read at a tail, where only the bytes since the last read are missing.
const MAX_TAIL_READ: usize = 256 << 10;
/// The shortest read, however many segments share the budget.
const MIN_READ: usize = 64 << 10;
const MIN_TAIL_READ: usize = 2 << 10;

impl ReadMachine {
    /// Asks for as much as the budget allows, segment after segment.
    pub(super) fn schedule_reads(&mut self) {
        let (mut left, read_len) = (self.wants_read.len(), self.read_len());
        while left > 0
            && let Some(id) = self.wants_read.pop_front()
        {
            left -= 1;
            let Some(reader) = self.readers.get_mut(&id) else { continue };
            reader.is_queued = false;
            if let Some(stretch) = reader.wants(read_len) {
                if self.asked + self.held + stretch.read_len(read_len) > self.settings.budget / 2 {
                    reader.is_queued = true;
                    self.wants_read.push_front(id);
                    break;
                }
                self.ask(id, stretch, ReadKind::Known);
                self.update_queues(id);
            }
        }
        // Nothing in flight and nothing to deliver: an event larger than the whole budget is being
        // assembled; one segment may exceed it.
        if self.asked == 0 && self.ready.is_empty() {
            let read_len = self.read_len();
            let over_budget = self
                .over_budget
                .filter(|id| self.wants_read.contains(id))
                .or(self.wants_read.front().copied());
            self.over_budget = over_budget;
            if let Some(id) = over_budget {
                self.wants_read.retain(|wants_read| *wants_read != id);
                let Some(reader) = self.readers.get_mut(&id) else { return };
                reader.is_queued = false;
                if let Some(stretch) = reader.wants(read_len) {
                    self.ask(id, stretch, ReadKind::Known);
                }
                self.update_queues(id);
            }
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
        reader.reads.insert(read, InFlight { offset, len, kind });
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
