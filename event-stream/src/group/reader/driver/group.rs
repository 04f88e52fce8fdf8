//! What the machine of the reader wants, and the results.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use pravega_sdk_controller_client::Subscriber;
use pravega_sdk_segment_client::machine::delay;
use tokio::time::Instant;

use super::{
    super::{
        super::{
            machine::{Change, Effect, LossReason, Moment},
            store::GroupStore,
        },
        error::GroupReaderError,
        notices::GroupReaderNotice,
        successors::CONTROLLER_WAIT,
    },
    state::{GroupDriver, Step},
    work::{ControllerDone, StoreDone, Work},
};

impl GroupDriver {
    /// Does what the machine wants. Ready with `None` means that it wants nothing now, so that an
    /// event may be returned.
    pub(super) fn poll_group(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            let waits = self.is_joining && self.machine.is_member();
            if !self.errors.is_empty() || self.lost.is_some() || waits {
                return Poll::Pending;
            }
            if self.work.is_some() {
                std::task::ready!(self.poll_work(cx));
                continue;
            }
            let moment = self.moment();
            if !self.failures.may_try(moment.now) {
                return Poll::Pending;
            }
            std::task::ready!(self.poll_lease(moment, cx));
            if moment.now < self.quiet_until {
                return Poll::Ready(None);
            }
            let stall_timeout = self.config.reads.stall_timeout;
            if let Some(stalled) = self.lookups.poll_stalled(stall_timeout, moment.now) {
                self.errors.push_back(stalled.into());
                continue;
            }
            // Without a state there is no group.
            let Some(state) = self.store.as_ref().and_then(GroupStore::state) else {
                self.fail(GroupReaderError::without_state());
                continue;
            };
            let Some(effect) = self.machine.poll_effect(state, moment) else {
                // Never at once again, which would be without an end.
                let next = moment.now.saturating_add(std::time::Duration::from_millis(1));
                self.quiet_until = self.machine.poll_timeout(state).max(next);
                return Poll::Ready(None);
            };
            if let Some(step) = self.begin(effect, moment) {
                return Poll::Ready(Some(step));
            }
        }
    }

    /// Begins to carry an effect out.
    fn begin(&mut self, effect: Effect, moment: Moment) -> Option<Step> {
        let limit = CONTROLLER_WAIT.min(self.config.timeout);
        match effect {
            Effect::Fetch => {
                self.fetch_begun = Instant::now();
                self.with_store(Work::fetch);
            }
            Effect::Change(change) => {
                if let (Change::Join, Some(lease)) = (&change, &self.lease) {
                    lease.handle_joining();
                }
                let plan = Box::new(self.machine.plan(change));
                self.with_store(|store| Work::change(store, plan, moment.wall_ms));
            }
            Effect::Report(update) => self.with_store(|store| Work::report(store, update)),
            Effect::Compact => self.with_store(Work::compact),
            Effect::FindSuccessors(segment) => {
                self.begin_lookup(&segment);
                let until = moment.now.saturating_add(limit);
                self.work = Some(Work::Successors(segment, until));
            }
            Effect::UseKnownSuccessors(segment) => {
                self.begin_lookup(&segment);
                match self.lookups.found(&segment).cloned() {
                    Some(found) => self.machine.handle_successors(segment, found),
                    None => self.machine.handle_no_answer(&segment),
                }
            }
            Effect::FindConfiguration => {
                let generation = self.state().and_then(|state| state.configuration().generation());
                let (context, group) = (self.reads.context().clone(), self.group.clone());
                let limit = self.config.timeout;
                self.work = Some(Work::find_configuration(context, group, generation, limit));
            }
            Effect::PublishCut(cut) => {
                let configuration = self.state()?.configuration();
                let generation = configuration.generation().unwrap_or_default();
                let subscriber =
                    Subscriber::new(self.group.clone(), configuration.id(), generation);
                let context = self.reads.context().clone();
                self.work = Some(Work::publish(context, subscriber, cut, limit));
            }
            Effect::Open { segment, from, end } => {
                self.notices
                    .send(|| GroupReaderNotice::SegmentGained { segment: segment.clone(), from });
                self.lookups.forget(&segment);
                self.set.open(Arc::new(segment), from, end);
                self.places = None;
            }
            Effect::Close(segment) => {
                self.set.close(&segment);
                self.lookups.forget(&segment);
                self.places = None;
                self.notices.send(|| GroupReaderNotice::SegmentLost { segment });
            }
            Effect::Checkpoint(name) => {
                self.notices.send(|| GroupReaderNotice::Checkpoint { name: name.clone() });
                return Some(Step::Checkpoint(name));
            }
            Effect::End => return Some(Step::End),
            Effect::Lost(reason) => self.lose(reason),
        }
        None
    }

    fn with_store(&mut self, begin: impl FnOnce(GroupStore) -> Work) {
        if let Some(store) = self.store.take() {
            self.work = Some(begin(store));
        }
    }

    fn lose(&mut self, reason: LossReason) {
        self.lost = Some(reason);
        if let Some(lease) = &self.lease {
            lease.release();
        }
        self.set.clear();
        if reason != LossReason::Left {
            self.errors.push_back(GroupReaderError::lost(reason, &self.reader));
        }
    }

    /// Ready when what is being done is done, and its result is handled.
    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.work {
            None => {}
            Some(Work::Store(work)) => {
                // An error means that the runtime has ended, which is seen at once.
                let Ok((store, done)) = std::task::ready!(self.reads.poll_at_home(work, cx)) else {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                };
                self.work = None;
                self.store = Some(store);
                self.handle_store_done(done);
            }
            Some(Work::Controller(work)) => {
                let Ok(done) = std::task::ready!(self.reads.poll_at_home(work, cx)) else {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                };
                self.work = None;
                self.handle_controller_done(done);
            }
            Some(Work::Successors(segment, until)) => {
                let (segment, until) = (segment.clone(), *until);
                match self.lookups.found(&segment) {
                    Some(found) => {
                        let found = found.clone();
                        self.machine.handle_successors(segment, found);
                    }
                    None if self.reads.now() >= until => self.machine.handle_no_answer(&segment),
                    None => return Poll::Pending,
                }
                self.work = None;
            }
        }
        self.disturb();
        Poll::Ready(())
    }

    /// The state was read.
    pub(super) fn handle_read_state(&mut self) {
        let moment = self.moment();
        if let Some(store) = &self.store
            && let Some(state) = store.state()
        {
            self.machine.handle_fetched(state, store.bytes_since_compaction(), moment);
            if let Some(lease) = &self.lease {
                lease.handle_state_read(self.fetch_begun, state);
            }
        }
    }

    fn handle_store_done(&mut self, done: StoreDone) {
        let (moment, error) = (self.moment(), done.error().cloned());
        match done {
            StoreDone::Fetched(Ok(())) => self.handle_read_state(),
            StoreDone::Fetched(Err(_)) => {}
            StoreDone::Changed(plan, done) => {
                self.machine.handle_planned(*plan);
                match (done, self.store.as_ref().and_then(GroupStore::state)) {
                    (Ok(has_written), Some(state)) => {
                        self.machine.handle_changed(state, has_written, moment);
                    }
                    _ => self.machine.handle_failed(moment),
                }
            }
            StoreDone::Reported(_) => self.machine.handle_reported(moment),
            StoreDone::Compacted(Ok(())) => {}
            StoreDone::Compacted(Err(error)) => {
                // Another reader does it, or this one later.
                tracing::warn!(%error, group = %self.group, "the state was not compacted");
                return;
            }
        }
        let Some(error) = error else {
            if self.failures.handle_success() {
                self.notices.send(|| GroupReaderNotice::Available);
            }
            return;
        };
        if !self.failures.may_pass(&error) {
            return self.fail(error);
        }
        if self.failures.count() == 0 {
            self.notices.send(|| GroupReaderNotice::Unavailable { error: error.clone().into() });
        }
        let failures = self.failures.count().saturating_add(1);
        let pause = delay(&self.config.reads.backoff, failures, &mut self.random);
        let limit = self.config.reads.stall_timeout;
        let stalled = self.failures.handle_failed(error, pause, limit, moment.now);
        self.errors.extend(stalled);
    }

    fn handle_controller_done(&mut self, done: ControllerDone) {
        match done {
            ControllerDone::Configuration(Ok(Some(init))) => {
                self.machine.handle_configuration(*init);
            }
            ControllerDone::Configuration(Ok(None)) => {}
            ControllerDone::Configuration(Err(error)) => {
                // It is searched again after a while.
                tracing::warn!(%error, group = %self.group, "its configuration was not found");
            }
            ControllerDone::Published(is_taken) => self.machine.handle_published(is_taken),
        }
    }
}
