//! The server as a pure machine: what is asked and what time it is go in, answers and records of
//! what changed come out.
//!
//! ```text
//!               connection drivers                     controller's service
//!                      │ WireCommand                          │ messages of the controller
//!                      v                                      v
//!   ┌──────────── Session (one per connection) ───┐   ┌──── catalog: scopes, streams, groups ────┐
//!   └──────────────────────┬──────────────────────┘   └──────────────────┬───────────────────────┘
//!                          v                                             v
//!                      Store: segments ──────────── Record ──────────> Journal ──> the driver's disk
//! ```
//!
//! Every request is carried out as one step: what it changes in the catalog and in segments goes to
//! the journal as one batch. There is no state between the steps of a scale or a commit that a
//! crash could leave behind.
//!
//! No clock, no randomness and no socket is in here; a test of the workspace holds it to that.

pub(crate) mod access;
pub(crate) mod catalog;
pub(crate) mod journal;
pub(crate) mod placement;
pub(crate) mod store;

use std::collections::HashMap;

use bytestring::ByteString;
use uuid::Uuid;

use self::{
    catalog::{Catalog, Pace, Rates},
    journal::{Millis, Record},
    store::Store,
};

/// Names a connection for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// One of the segment stores of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StoreIndex(pub(crate) usize);

/// When something is done, and the chance that goes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Millis,
    pub(crate) random: Uuid,
}

/// Controller and segment stores.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) store: Store,
    catalog: Catalog,
    pace: Pace,
    rates: HashMap<ByteString, Rates>,
    ticked: Ticked,
}

/// When something was last done by the clock.
#[derive(Debug, Default)]
struct Ticked {
    watermarks: Millis,
    retention: Millis,
    rates: Millis,
}

/// How long the parts of a large event may lie about.
const TRANSIENT_IDLE: i64 = 15 * 60 * 1000;

impl Machine {
    /// A server without anything in it.
    pub(crate) fn new(store: Store, pace: Pace) -> Self {
        Self {
            store,
            catalog: Catalog::default(),
            pace,
            rates: HashMap::new(),
            ticked: Ticked::default(),
        }
    }

    /// Makes a change that was decided on before a restart.
    pub(crate) fn restore(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Cataloged { key, value } => self.catalog.restore(key, value.as_deref()),
            other => {
                self.store.apply(other);
                Ok(())
            }
        }
    }

    /// Everything that is there, as records that make it again.
    pub(crate) fn snapshot(&self, mut put: impl FnMut(Record)) {
        self.catalog.snapshot(&mut put);
        self.store.snapshot(put);
    }

    /// Does what time asks for: leases that ran out, watermarks, retention, scaling by rate.
    pub(crate) fn tick(&mut self, at: Moment) {
        if self.store.reserve(0).is_err() {
            // Nothing may be changed any more.
            return;
        }
        self.expire_transactions(at);
        let due = |last: &mut Millis, every: i64| {
            let due = at.now.0 - last.0 >= every;
            if due {
                *last = at.now;
            }
            due
        };
        if due(&mut self.ticked.watermarks, self.pace.watermarks) {
            self.emit_watermarks(at);
        }
        if due(&mut self.ticked.retention, self.pace.retention) {
            self.retain(at);
            self.store.sweep_transient(Millis(at.now.0 - TRANSIENT_IDLE));
        }
        if due(&mut self.ticked.rates, self.pace.rates) {
            self.scale_by_rate(at);
        }
    }
}
