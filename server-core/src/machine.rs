//! The machine: controller and segment stores, and what time brings about in both.

use std::collections::HashMap;

use bytestring::ByteString;

use crate::{
    catalog::{Catalog, Pace, Rates},
    ids::Moment,
    record::{Millis, Record},
    store::Store,
};

/// Controller and segment stores.
#[derive(Debug)]
pub struct Machine {
    pub store: Store,
    pub catalog: Catalog,
    pub(crate) pace: Pace,
    pub(crate) rates: HashMap<ByteString, Rates>,
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
    pub fn new(store: Store, pace: Pace) -> Self {
        Self {
            store,
            catalog: Catalog::default(),
            pace,
            rates: HashMap::new(),
            ticked: Ticked::default(),
        }
    }

    /// Makes a change that was decided on before a restart.
    pub fn restore(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Cataloged { key, value } => self.catalog.restore(key, value.as_deref()),
            other => {
                self.store.apply(other);
                Ok(())
            }
        }
    }

    /// Everything that is there, as records that make it again.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        self.catalog.snapshot(&mut put);
        self.store.snapshot(put);
    }

    /// Does what time asks for: leases that ran out, watermarks, retention, scaling by rate.
    pub fn tick(&mut self, at: Moment) {
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
