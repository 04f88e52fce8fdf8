//! Faults on demand: what a test asks the server to do wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_server_core::ids::StoreIndex;

use crate::hub::Hub;

/// Makes a server fail in ways that a test chooses; from
/// [`EmbeddedServer::faults`](crate::EmbeddedServer::faults).
///
/// Each fault lasts until it is taken back, unless it says that it happens once. What was
/// acknowledged is never lost by a fault: a connection that is cut loses answers, as one does in
/// life.
#[derive(Debug, Clone)]
pub struct Faults {
    hub: Arc<Hub>,
}

/// What is asked for at the moment.
#[derive(Debug)]
pub(crate) struct FaultState {
    /// Answers that each connection may still send before it is cut; below 0 without end.
    answers_left: AtomicI64,
    delay_ms: AtomicU64,
    refuses: AtomicBool,
    outage: AtomicBool,
}

impl Default for FaultState {
    fn default() -> Self {
        Self {
            answers_left: AtomicI64::new(-1),
            delay_ms: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
            outage: AtomicBool::new(false),
        }
    }
}

impl FaultState {
    /// Says whether one more answer may be sent; the one that may not ends its connection, once.
    pub(crate) fn may_answer(&self) -> bool {
        let count = |left: i64| (left >= 0).then_some(left - 1);
        self.answers_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, count) != Ok(0)
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Acquire))
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    pub(crate) fn controller_is_away(&self) -> bool {
        self.outage.load(Ordering::Acquire)
    }
}

impl Faults {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Cuts every connection to the segment stores, once. Clients may connect again at once.
    pub fn drop_connections(&self) {
        self.hub.cut_all();
    }

    /// Cuts a connection in place of an answer, once, after the stores have sent so many more. The
    /// request was carried out and its answer is lost.
    pub fn drop_connection_after_answers(&self, answers: u32) {
        self.hub.faults.answers_left.store(i64::from(answers), Ordering::Release);
    }

    /// Holds every answer of the segment stores and of the controller back for so long.
    pub fn delay_answers(&self, delay: Duration) {
        self.hub
            .faults
            .delay_ms
            .store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Closes each new connection to the segment stores as soon as it is made, or lets them in
    /// again.
    pub fn refuse_connections(&self, refuse: Refusal) {
        self.hub.faults.refuses.store(refuse == Refusal::All, Ordering::Release);
    }

    /// Takes the controller away, so that every call to it fails as unavailable, or brings it back.
    pub fn controller(&self, presence: Presence) {
        self.hub.faults.outage.store(presence == Presence::Away, Ordering::Release);
    }

    /// Moves the container of a segment to another of the server's stores, by its number from 0;
    /// the one that had it answers `WrongHost` from now on. Other segments of the same container
    /// move along.
    pub fn move_container(&self, segment: &str, store: usize) {
        self.hub.run(|machine, _| machine.store.placement.place(segment, StoreIndex(store)));
    }

    /// Lets all delegation tokens expire that were issued so far; those issued from now on are
    /// good.
    pub fn expire_tokens(&self) {
        self.hub.run(|machine, _| {
            if let Some(access) = &mut machine.store.access {
                access.expire_tokens();
            }
        });
    }
}

/// Whether the segment stores let anyone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Each new connection is closed.
    All,
    /// As usual.
    None,
}

/// Whether the controller is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every call fails as unavailable.
    Away,
    /// As usual.
    There,
}
