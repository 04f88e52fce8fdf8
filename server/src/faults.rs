//! Faults on demand, for tests.

use std::{sync::Arc, time::Duration};

use pravega_sdk_server_core::ids::StoreIndex;

use crate::state::ServerState;

/// Makes a server fail in ways that a test chooses; from
/// [`EmbeddedServer::faults`](crate::EmbeddedServer::faults).
///
/// Each fault lasts until it is revoked, unless its documentation says that it happens once. No
/// fault loses an acknowledged change: a dropped connection loses replies, as a real one would.
#[derive(Debug, Clone)]
pub struct Faults {
    state: Arc<ServerState>,
}

impl Faults {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        Self { state }
    }

    /// Drops every connection to the segment stores, once. Clients may reconnect at once.
    pub fn drop_connections(&self) {
        self.state.cut_all();
    }

    /// Drops a connection instead of sending a reply, once, after the stores have sent a number of
    /// replies. The request took effect and its reply is lost.
    pub fn drop_connection_after_answers(&self, answers: u32) {
        self.state.faults.drop_connection_after(answers);
    }

    /// Delays every reply of the segment stores and of the controller.
    pub fn delay_answers(&self, delay: Duration) {
        self.state.faults.set_delay(delay);
    }

    /// Closes each new connection to the segment stores as soon as it is accepted, or stops doing
    /// so.
    pub fn refuse_connections(&self, refuse: Refusal) {
        self.state.faults.refuse_connections(refuse == Refusal::All);
    }

    /// Makes every call to the controller fail as unavailable, or ends that.
    pub fn controller(&self, presence: Presence) {
        self.state.faults.take_controller_away(presence == Presence::Away);
    }

    /// Moves the container of a segment to another of the server's stores, numbered from 0. The
    /// store that had it replies `WrongHost` from now on. Other segments of the container move too.
    pub fn move_container(&self, segment: &str, store: usize) {
        self.state.run(|machine, _| machine.placement.place(segment, StoreIndex(store)));
    }

    /// Expires all delegation tokens issued so far. Tokens issued later are valid.
    pub fn expire_tokens(&self) {
        self.state.run(|machine, _| {
            if let Some(access) = &mut machine.access {
                access.expire_tokens();
            }
        });
    }
}

/// Whether the segment stores refuse connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Each new connection is closed.
    All,
    /// Connections are accepted.
    None,
}

/// Whether the controller is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every call fails as unavailable.
    Away,
    /// Calls are answered.
    There,
}
