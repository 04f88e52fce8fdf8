//! What the lease of the reader means for its events.

use std::task::{Context, Poll};

use pravega_sdk_types::{ErrorKind, Outcome};

use super::{
    super::{
        super::{
            liveness::{LeaseEnd, LeaseStatus},
            machine::{LossReason, Moment},
        },
        error::GroupReaderError,
        notices::GroupReaderNotice,
    },
    state::GroupDriver,
};

impl GroupDriver {
    /// Ready if the lease is held, or if there is something to do about it at once. Nothing else is
    /// done before.
    pub(super) fn poll_lease(&mut self, moment: Moment, cx: &Context<'_>) -> Poll<()> {
        let Some(lease) = &self.lease else { return Poll::Ready(()) };
        match lease.poll_status(cx) {
            LeaseStatus::Held(_) => {
                if self.lease_stalls.take().is_some() {
                    self.notices.send(|| GroupReaderNotice::LeaseRenewed);
                }
            }
            LeaseStatus::StateUnread => {
                self.machine.refresh(moment);
                self.disturb();
            }
            LeaseStatus::Ended(end) => {
                self.lease_stalls = None;
                self.machine.handle_lease_lost(match end {
                    LeaseEnd::FoundDead => LossReason::FoundDead,
                    LeaseEnd::Replaced => LossReason::Replaced,
                    LeaseEnd::TakenOut | LeaseEnd::Released => LossReason::Removed,
                });
                self.disturb();
            }
            LeaseStatus::RunOut => {
                self.hold_up(moment);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// The lease is not renewed.
    fn hold_up(&mut self, moment: Moment) {
        let next = moment.now.saturating_add(self.config.reads.stall_timeout);
        match self.lease_stalls {
            None => {
                self.notices.send(|| GroupReaderNotice::LeaseRunOut);
                self.lease_stalls = Some(next);
            }
            Some(at) if moment.now >= at => {
                self.lease_stalls = Some(next);
                let detail = "the lease of the reader cannot be renewed";
                let kind = ErrorKind::Unavailable;
                self.errors.push_back(GroupReaderError::new(kind, Outcome::NotApplied, detail));
            }
            Some(_) => {}
        }
    }
}
