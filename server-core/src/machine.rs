//! The machine: controller and segment stores of one server, and their periodic work.

use bytestring::ByteString;

use crate::{
    access::{Access, Admission},
    catalog::{Catalog, Intervals, Place, RestoreError, RetentionRound, WatermarkRound},
    ids::Moment,
    log::most_touched,
    placement::Placement,
    record::{Durability, Journal, Millis, Record, Sequence},
    state::TouchedKeys,
    store::{Context, MemoryLimit, Progress, Reply, Step, Store},
};

/// The configuration of a server.
#[derive(Debug)]
pub struct Config {
    /// The most memory that segments and catalog may use.
    pub memory_limit: MemoryLimit,
    /// Whether records are kept.
    pub durability: Durability,
    /// The store that each segment is on.
    pub placement: Placement,
    /// The issue and the check of tokens; `None` if every client may use the server.
    pub access: Option<Access>,
    /// The intervals of the work of [`Machine::tick`].
    pub intervals: Intervals,
}

/// Controller and segment stores.
#[derive(Debug)]
pub struct Machine {
    /// The records that the driver has not taken yet.
    pub journal: Journal,
    /// The issue and the check of tokens; `None` if every client may use the server.
    pub access: Option<Access>,
    /// The store that each segment is on.
    pub placement: Placement,
    /// The segments.
    pub store: Store,
    /// The state of the controller.
    pub catalog: Catalog,
    /// The most memory that segments and catalog may use.
    pub memory_limit: MemoryLimit,
    intervals: Intervals,
    last: LastRuns,
    steady: Option<Steady>,
    /// The most memory of the keys of changed values, of segments and of the catalog each.
    most_touched: u64,
    /// Memory of the keys that the driver has for a checkpoint.
    pub(crate) keys_elsewhere: u64,
    /// Memory of the spans that the driver knows, for its next reads of segments.
    pub(crate) spans_elsewhere: u64,
    rounds: Rounds,
    turn: Turn,
}

/// The time in which the clock has not gone back.
#[derive(Debug, Clone, Copy)]
struct Steady {
    since: Millis,
    until: Millis,
}

/// The rounds of periodic work that are under way, and where each goes on.
#[derive(Debug, Default)]
struct Rounds {
    expiry: Option<Place>,
    watermarks: Option<WatermarkRound>,
    retention: Option<RetentionRound>,
    sweep: Option<ByteString>,
    rates: Option<ByteString>,
}

/// Whose turn it is: the changes of many segments, or the other work.
#[derive(Debug, Clone, Copy, Default)]
enum Turn {
    #[default]
    Segments,
    Others,
}

/// The times of the last periodic work.
#[derive(Debug, Default)]
struct LastRuns {
    watermarks: Millis,
    retention: Millis,
    rates: Millis,
}

/// Transient segments without a change for this long are deleted, in milliseconds.
const TRANSIENT_IDLE: i64 = 15 * 60 * 1000;

impl Machine {
    /// An empty server.
    pub fn new(config: Config) -> Self {
        let Config { memory_limit, durability, placement, access, intervals } = config;
        let mut machine = Self {
            journal: Journal::new(durability),
            access,
            placement,
            store: Store::default(),
            catalog: Catalog::default(),
            memory_limit,
            intervals,
            last: LastRuns::default(),
            steady: None,
            most_touched: most_touched(memory_limit.0) / 2,
            keys_elsewhere: 0,
            spans_elsewhere: 0,
            rounds: Rounds::default(),
            turn: Turn::default(),
        };
        if durability == Durability::Logged {
            machine.begin_log();
        }
        machine
    }

    fn begin_log(&mut self) {
        self.store.begin_log(self.most_touched);
        self.catalog.begin_log(0, TouchedKeys::within(self.most_touched));
    }

    /// Keeps keys of at most so much memory, of segments and of the catalog each. Nothing has
    /// changed yet.
    #[cfg(test)]
    pub(crate) fn keep_touched(&mut self, most: u64) {
        self.most_touched = most;
        self.begin_log();
    }

    /// Applies a record of the journal that is read back.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if it is an entry of the catalog that cannot be applied.
    pub fn restore(&mut self, record: &Record) -> Result<(), RestoreError> {
        if let Record::CatalogEntry { key, value } = record {
            return self.catalog.restore(key, value.as_deref());
        }
        self.store.restore(record);
        Ok(())
    }

    /// Continues after the batches that were read back.
    pub fn resume(&mut self, sequence: Sequence) {
        self.journal.resume(sequence);
        self.catalog.resume();
    }

    /// The whole server as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        self.catalog.snapshot(&mut put);
        self.store.snapshot(put);
    }

    /// The catalog and a step, for one call of the controller by a client that may do everything.
    pub fn call(&mut self, at: Moment) -> (&mut Catalog, Step<'_>) {
        self.call_by(None, at)
    }

    /// The catalog and a step, for one call of the controller. Its tokens allow what the rules of
    /// the client do, while it is let in; `None` means everything. Whether it may make the call was
    /// checked before.
    pub fn call_by<'a>(
        &'a mut self,
        client: Option<&'a Admission>,
        at: Moment,
    ) -> (&'a mut Catalog, Step<'a>) {
        let held_by_log = self.held_by_log();
        let step = Step {
            client,
            store: &mut self.store,
            journal: &mut self.journal,
            access: self.access.as_ref(),
            placement: &self.placement,
            memory_limit: self.memory_limit,
            held_elsewhere: self.catalog.held(),
            held_by_log,
            progress: Progress::Finished,
            at,
        };
        (&mut self.catalog, step)
    }

    /// The context in which a [`Session`](crate::store::Session) handles commands.
    pub fn context<'a>(&'a mut self, at: Moment, replies: &'a mut Vec<Reply>) -> Context<'a> {
        Context { step: self.call(at).1, replies }
    }

    /// Approximate memory that segments, the catalog and their log use, in bytes: what the memory
    /// limit bounds.
    pub fn held(&self) -> u64 {
        let log = self.held_by_log();
        self.store.held().saturating_add(self.catalog.held()).saturating_add(log)
    }

    /// Memory of the keys of values that changed and are in no checkpoint, and of known spans, in
    /// bytes.
    fn held_by_log(&self) -> u64 {
        let keys = self.touched().saturating_add(self.keys_elsewhere);
        keys.saturating_add(self.spans_elsewhere)
    }

    /// The most memory of the keys of changed values, of segments and of the catalog each, in
    /// bytes.
    pub(crate) fn most_touched(&self) -> u64 {
        self.most_touched
    }

    /// Does the next slice of the work that calls and ticks have left: a millisecond or two.
    pub fn work(&mut self, at: Moment) -> Progress {
        let settled = match self.turn {
            Turn::Segments => {
                self.turn = Turn::Others;
                self.store.settle_slice()
            }
            Turn::Others => {
                self.turn = Turn::Segments;
                self.other_work(at)
            }
        };
        if settled == Progress::Unfinished {
            return Progress::Unfinished;
        }
        // One kind has nothing left; the other may have.
        match self.turn {
            Turn::Segments => self.store.settle_slice(),
            Turn::Others => self.other_work(at),
        }
    }

    /// Does the next slice of all work but the changes of many segments.
    fn other_work(&mut self, at: Moment) -> Progress {
        let Rounds { expiry, watermarks, retention, sweep, rates } =
            std::mem::take(&mut self.rounds);
        let rate_window = self.intervals.rate_window;
        let steady_since = self.steady.map_or(at.now, |steady| steady.since);
        let (catalog, mut step) = self.call(at);
        // After the journal has failed nothing changes any more.
        let Ok(mut progress) = catalog.delete_slice(&mut step) else {
            return Progress::Finished;
        };
        let Ok(pruned) = catalog.prune_slice(&mut step) else { return Progress::Finished };
        let step = &mut step;
        progress = progress.max(pruned).max(catalog.abort_slice(step));
        let rounds = Rounds {
            expiry: expiry.and_then(|after| catalog.expire_transactions(&after, step)),
            watermarks: watermarks.and_then(|round| catalog.emit_watermarks(round, step)),
            retention: retention.and_then(|round| catalog.retain(round, step)),
            sweep: sweep
                .and_then(|after| step.sweep_transient(&after, steady_since, TRANSIENT_IDLE)),
            rates: rates.and_then(|after| catalog.scale_by_rate(&after, rate_window, step)),
        };
        if rounds.is_under_way() {
            progress = Progress::Unfinished;
        }
        self.rounds = rounds;
        progress
    }

    /// Does the work that is due: expired leases, watermarks, retention, scaling by rate.
    pub fn tick(&mut self, at: Moment) {
        if self.journal.failure().is_some() {
            // No change is possible.
            return;
        }
        self.steady = Some(match self.steady {
            Some(Steady { since, until }) if at.now >= until => Steady { since, until: at.now },
            _ => Steady { since: at.now, until: at.now },
        });
        let intervals = self.intervals;
        let due = |last: &mut Millis, every: i64| {
            // A clock that was ahead and is right again must not stop the work until then.
            let since = at.now.since(*last);
            let due = since >= every || since < 0;
            if due {
                *last = at.now;
            }
            due
        };
        let watermarks = due(&mut self.last.watermarks, intervals.watermarks);
        let retention = due(&mut self.last.retention, intervals.retention);
        let rates = due(&mut self.last.rates, intervals.rates);
        let rounds = &mut self.rounds;
        rounds.expiry.get_or_insert_default();
        if watermarks {
            rounds.watermarks.get_or_insert_default();
        }
        if retention {
            rounds.retention.get_or_insert_default();
            rounds.sweep.get_or_insert_default();
        }
        if rates {
            rounds.rates.get_or_insert_default();
        }
        self.other_work(at);
    }
}

impl Rounds {
    fn is_under_way(&self) -> bool {
        let Self { expiry, watermarks, retention, sweep, rates } = self;
        expiry.is_some()
            || watermarks.is_some()
            || retention.is_some()
            || sweep.is_some()
            || rates.is_some()
    }
}
