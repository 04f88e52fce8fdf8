//! Faults on demand: what a test asks the server to do wrong.

use std::{sync::Arc, time::Duration};

use pravega_sdk_server_core::ids::StoreIndex;

use crate::state::ServerState;

/// Makes a server fail in ways that a test chooses; from
/// [`EmbeddedServer::faults`](crate::EmbeddedServer::faults).
///
/// Each fault lasts until it is taken back, unless it says that it happens once. What was
/// acknowledged is never lost by a fault: a connection that is cut loses answers, as one does in
/// life.
#[derive(Debug, Clone)]
pub struct Faults {
    state: Arc<ServerState>,
}

impl Faults {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        Self { state }
    }

    /// Cuts every connection to the segment stores, once. Clients may connect again at once.
    pub fn drop_connections(&self) {
        self.state.cut_all();
    }

    /// Cuts a connection in place of an answer, once, after the stores have sent so many more. The
    /// request was carried out and its answer is lost.
    pub fn drop_connection_after_answers(&self, answers: u32) {
        self.state.faults.drop_connection_after(answers);
    }

    /// Holds every answer of the segment stores and of the controller back for so long.
    pub fn delay_answers(&self, delay: Duration) {
        self.state.faults.set_delay(delay);
    }

    /// Closes each new connection to the segment stores as soon as it is made, or lets them in
    /// again.
    pub fn refuse_connections(&self, refuse: Refusal) {
        self.state.faults.refuse_connections(refuse == Refusal::All);
    }

    /// Takes the controller away, so that every call to it fails as unavailable, or brings it back.
    pub fn controller(&self, presence: Presence) {
        self.state.faults.take_controller_away(presence == Presence::Away);
    }

    /// Moves the container of a segment to another of the server's stores, by its number from 0;
    /// the one that had it answers `WrongHost` from now on. Other segments of the same container
    /// move along.
    pub fn move_container(&self, segment: &str, store: usize) {
        self.state.run(|machine, _| machine.placement.place(segment, StoreIndex(store)));
    }

    /// Lets all delegation tokens expire that were issued so far; those issued from now on are
    /// good.
    pub fn expire_tokens(&self) {
        self.state.run(|machine, _| {
            if let Some(access) = &mut machine.access {
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
