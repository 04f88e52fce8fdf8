//! Tokens of a simulated cluster, and its clocks.

use std::time::Duration;

use pravega_sdk_server_core::{access::Access, ids::StoreIndex, record::Millis};

use crate::World;

impl World {
    /// Makes the controller issue tokens that are valid for a time, and the stores require them. A
    /// store closes the connection of a set-up with an expired token, and that of a set-up whose
    /// token expires later; it answers other requests that their token has expired.
    pub fn set_tokens(&self, lifetime: Duration) {
        let lifetime = Millis(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        let access = Access::new([7; 32], lifetime);
        self.lock().cluster.machine.access = Some(access);
    }

    /// Revokes all tokens issued so far: set-ups, too, are answered that their token has expired.
    pub fn revoke_tokens(&self) {
        if let Some(access) = &mut self.lock().cluster.machine.access {
            access.expire_tokens();
        }
        self.count("tokens revoked");
    }

    /// Moves the clocks of all servers forward, and not those of the clients, as if their machines
    /// had slept.
    pub fn advance_clock(&self, by: Duration) {
        self.lock().cluster.advance_clock(by);
        self.count("clock advanced");
    }

    /// Sets by how much the clock of a store is ahead of the controller's.
    pub fn set_clock_ahead(&self, store: usize, ahead: Duration) {
        self.lock().cluster.set_clock_ahead(StoreIndex(store), ahead);
    }
}
