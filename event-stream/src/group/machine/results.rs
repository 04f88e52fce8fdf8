//! The results of effects.

use std::time::Duration;

use pravega_sdk_segment_client::machine::Now;
use pravega_sdk_types::{ScopedSegment, SegmentId};

use super::{
    super::state::{FairShare, GroupInit, GroupSegment, ReaderGroupState},
    assignment::HandOver,
    change::Change,
    reader::{GroupReaderMachine, LossReason, Moment, Standing},
};

/// The length of the entries after which the state is written as a whole, in bytes.
const MIN_BYTES_BETWEEN_COMPACTIONS: u64 = 512 * 1024;
/// One reader in so many does it after each time that it has read the state.
const COMPACTION_ODDS: u64 = 20;

impl GroupReaderMachine {
    /// The state was read. `bytes_since_compaction` is the length of its entries since it was last
    /// written as a whole.
    pub fn handle_fetched(
        &mut self,
        state: &ReaderGroupState,
        bytes_since_compaction: u64,
        moment: Moment,
    ) {
        self.timers.fetch = moment.now.saturating_add(refresh_interval(state));
        let is_long = bytes_since_compaction > MIN_BYTES_BETWEEN_COMPACTIONS;
        self.is_compacting = is_long && (self.random)().is_multiple_of(COMPACTION_ODDS);
        match self.standing {
            Standing::Member => self.reconcile(state),
            Standing::Outside if self.in_doubt.contains(&Change::Join) => {
                if state.is_online(&self.reader) {
                    self.joined(state, moment);
                }
            }
            Standing::Outside | Standing::Lost(_) => {}
        }
    }

    /// A change was made, or there was nothing to change. The state is the latest one.
    pub fn handle_changed(&mut self, state: &ReaderGroupState, has_written: bool, moment: Moment) {
        let Some(change) = self.in_flight.clone() else { return };
        match &change {
            // An earlier attempt may have taken effect late.
            Change::Join if !has_written && self.in_doubt.contains(&Change::Join) => {
                self.joined(state, moment);
            }
            Change::Join if !has_written => self.lose(LossReason::AlreadyInGroup),
            Change::Join => self.joined(state, moment),
            Change::Leave(_) => self.lose(LossReason::Left),
            _ => self.reconcile(state),
        }
        self.in_flight = None;
        if has_written {
            // Whatever was sent before is not stored after this change, and the copy is the latest
            // state.
            self.in_doubt.clear();
            self.timers.fetch = moment.now.saturating_add(refresh_interval(state));
        }
        if self.in_doubt.is_empty() {
            self.acquiring.clear();
        }
        if self.standing == Standing::Member {
            self.changed(change, state, has_written, moment);
        }
    }

    /// What follows from a change for a member of the group.
    fn changed(
        &mut self,
        change: Change,
        state: &ReaderGroupState,
        has_written: bool,
        moment: Moment,
    ) {
        match change {
            // A checkpoint has begun that the copy of the state did not have. Segments are taken
            // after the answer to it: the usual delay is as many seconds as there are readers.
            Change::Acquire if !has_written && !self.may_change_segments(state) => {
                self.timers.acquire = moment.now;
            }
            Change::Answer(name) => {
                if self.shown.take_if(|shown| *shown == name).is_some() {
                    self.is_after_shown = true;
                    // The program may have taken longer for it than the interval is. Without events
                    // between two checkpoints it would never get on.
                    let interval = state.configuration().automatic_checkpoint_interval();
                    let next = moment.now.saturating_add(interval.unwrap_or_default());
                    self.timers.checkpoint = next;
                }
                // A silent one may have held up what is done after the one that was shown.
                if self.is_after_shown {
                    self.open_window(true);
                }
            }
            Change::Complete { .. } => self.timers.acquire = moment.now,
            Change::Acquire => self.reset_timers(state, moment),
            Change::Release(_) => {
                self.reset_timers(state, moment);
                if !has_written {
                    return;
                }
                // The others learn it when they read the state, and should be first.
                let others_know = refresh_interval(state);
                self.timers.acquire = self.timers.acquire.saturating_add(others_know);
                // The program has handled all events, so the next one can follow at once.
                if self.hand_over == HandOver::BetweenEvents
                    && let Some(window) = &mut self.window
                {
                    window.may_release = true;
                    self.timers.release = moment.now;
                }
            }
            _ => {}
        }
    }

    /// Sets the times after which it takes segments and gives them back again.
    fn reset_timers(&mut self, state: &ReaderGroupState, moment: Moment) {
        let share = FairShare::of(state);
        let acquire = share.acquire_delay(&self.reader).unwrap_or_default();
        let release = share.release_delay(&self.reader).unwrap_or_default();
        self.timers.acquire = moment.now.saturating_add(acquire);
        self.timers.release = moment.now.saturating_add(release);
        self.timers.reset_report(moment.now, state.readers().len());
    }

    /// A change failed, and it is not known if it was made. The state is read next.
    pub fn handle_failed(&mut self, moment: Moment) {
        // A report is due again: the reader may not move for long.
        self.has_moved |= self.in_flight == Some(Change::Report);
        self.in_doubt.extend(self.in_flight.take());
        self.timers.fetch = moment.now;
    }

    /// The state should be read before anything else.
    pub fn refresh(&mut self, moment: Moment) {
        self.timers.fetch = moment.now;
    }

    /// The reader has lost its lease: other readers take it out of the group, or have done so.
    pub fn handle_lease_lost(&mut self, reason: LossReason) {
        self.leaving = None;
        self.lose(reason);
    }

    /// A report was written, or failed. The state is read next.
    pub fn handle_reported(&mut self, moment: Moment) {
        self.timers.fetch = moment.now;
    }

    /// The controller returned the successors of a segment, each with all its predecessors; none if
    /// its stream ends with it.
    pub fn handle_successors(
        &mut self,
        segment: ScopedSegment,
        successors: Vec<(GroupSegment, Vec<SegmentId>)>,
    ) {
        self.tried(&segment);
        if self.owned.contains(&segment) {
            self.next_change = Some(Change::Complete { segment, successors });
        }
    }

    /// The successors of a segment are not known yet. They are searched again after the next
    /// checkpoint, or [between events](HandOver::BetweenEvents) when
    /// [they are known](Self::handle_successors_known) and each second.
    pub fn handle_no_answer(&mut self, segment: &ScopedSegment) {
        if let Some(window) = &mut self.window {
            window.may_wait = false;
        }
        self.tried(segment);
    }

    /// The successors of a segment are known from now on.
    pub fn handle_successors_known(&mut self) {
        self.timers.window = Now::ZERO;
    }

    fn tried(&mut self, segment: &ScopedSegment) {
        if let Some(window) = &mut self.window {
            window.to_complete.retain(|other| other != segment);
        }
    }

    /// The controller returned the configuration of the group, and with it what the group begins
    /// again with.
    pub fn handle_configuration(&mut self, init: GroupInit) {
        self.next_change = Some(Change::Adopt(init));
    }

    /// The controller took a cut, or refused it.
    pub fn handle_published(&mut self, is_taken: bool) {
        self.publishing.handle_sent();
        if !is_taken {
            // The next checkpoint has a later one.
            self.publishing.clear();
            self.is_publishing = false;
        }
    }

    fn joined(&mut self, state: &ReaderGroupState, moment: Moment) {
        self.standing = Standing::Member;
        let refresh = state.configuration().refresh_interval();
        let delay = self.allocation_delay;
        let spread = self.random_delay(delay.min(refresh));
        self.timers.acquire = moment.now.saturating_add(delay).saturating_add(spread);
    }
}

/// Without an interval the state is read each millisecond, and not without an end.
fn refresh_interval(state: &ReaderGroupState) -> Duration {
    state.configuration().refresh_interval().max(Duration::from_millis(1))
}
