//! One client of a table that clients agree on: it updates, fetches and cleans over connections
//! that break.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pravega_sdk_event_stream::{SegmentContext, codec::Utf8};
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableChanges, TableError, TableSynchronizer, Update,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable};
use tokio::time::{Instant, sleep};

use super::{
    history::History,
    linear::{Action, Operation, PutId, Step, Told, Wanted},
};

/// The number of keys. The first two are a pair: they are changed together, to the same entry.
pub(crate) const KEYS: usize = 5;
const PAIR: [usize; 2] = [0, 1];
const SINGLES: std::ops::Range<usize> = 2..KEYS;
/// The time that a call may take beyond its limit.
const SLACK: Duration = Duration::from_millis(100);
/// The pause before a table that cannot be opened is opened again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often an update is made again after the repair.
const REPEATS: u32 = 5;

pub(crate) type Table = TableSynchronizer<Utf8, Utf8>;

/// What all clients did.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The clock, the ids of puts, and what was wrong.
    pub(crate) history: History,
    pub(crate) operations: Vec<Operation>,
}

/// What all clients did, for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> u64 {
        self.lock().history.now()
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.lock().history.count(what);
    }

    pub(crate) fn say(&self, check: &'static str, detail: String) {
        self.lock().history.say(check, detail);
    }

    /// Notes an operation that ends now.
    pub(crate) fn note(&self, begun: u64, steps: Vec<Step>, told: Told) {
        let mut log = self.lock();
        let ended = log.history.now();
        log.operations.push(Operation { begun, ended, action: Action::Change(steps, told) });
    }

    /// Notes that all keys were as they are in a copy, at some time since `begun`.
    pub(crate) fn note_copy(&self, begun: u64, copy: &[Option<PutId>; KEYS]) {
        self.note(
            begun,
            copy.iter().enumerate().map(|(key, put)| seen(key, *put)).collect(),
            Told::Made,
        );
    }
}

/// A key that was read, and is as it was.
fn seen(key: usize, put: Option<PutId>) -> Step {
    Step { key, wanted: put.map_or(Wanted::Absent, Wanted::Entry), put }
}

pub(crate) fn name_of(key: usize) -> String {
    format!("key {key}")
}

fn put_of(text: Option<String>) -> Option<PutId> {
    text.map(|text| text.trim_end_matches('.').parse().expect("a value of a client"))
}

/// The entries of a client's copy.
pub(crate) fn copy_of(table: &Table) -> [Option<PutId>; KEYS] {
    let state = table.state();
    std::array::from_fn(|key| put_of(state.get(name_of(key)).expect("a value of a client")))
}

/// What an update does.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// It reads keys, and changes them: to an entry, or so that they are removed.
    Change { pair: bool, key: usize, removes: bool },
    /// It reads other keys too.
    Depend { on: usize, key: usize },
    /// It reads all keys, and changes one.
    DependOnAll { key: usize },
    /// It puts a key that it does not read.
    Put { key: usize },
}

/// A client.
pub(crate) struct Client {
    pub(crate) context: SegmentContext,
    pub(crate) name: ScopedKeyValueTable,
    pub(crate) config: SynchronizerConfig,
    pub(crate) limit: Duration,
    pub(crate) random: fastrand::Rng,
    pub(crate) shared: Shared,
    pub(crate) operations: u32,
    pub(crate) max_pause: Duration,
}

impl Client {
    /// Makes all operations, and returns the client with its copy.
    pub(crate) async fn run(mut self) -> (Self, Table) {
        let mut table = self.open().await;
        for _ in 0..self.operations {
            let plan = self.draw();
            match self.random.u32(0..12) {
                0..9 => drop(self.update(&mut table, plan).await),
                9..11 => drop(self.fetch(&mut table).await),
                _ => drop(table.clean().await.map(|_| self.shared.count("synchronizer cleaned"))),
            }
            if self.random.u32(0..3) == 0 {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
        }
        (self, table)
    }

    async fn open(&self) -> Table {
        loop {
            let (context, config) = (self.context.clone(), self.config.clone());
            match TableSynchronizer::open(context, &self.name, Utf8, Utf8, config).await {
                Ok(table) => return table,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn draw(&mut self) -> Plan {
        let key = self.random.usize(SINGLES);
        match self.random.u32(0..10) {
            0..3 => Plan::Change { pair: true, key, removes: self.random.u32(0..3) == 0 },
            3..6 => Plan::Change { pair: false, key, removes: self.random.bool() },
            6..8 => Plan::Depend { on: self.random.usize(0..KEYS), key },
            8 => Plan::DependOnAll { key },
            _ => Plan::Put { key },
        }
    }

    async fn update(&mut self, table: &mut Table, plan: Plan) -> Result<(), TableError> {
        let (begun, started) = (self.shared.now(), Instant::now());
        let mut steps = Vec::new();
        let updated = table.update(|changes| {
            steps.clear();
            steps = self.change(changes, plan)?;
            Ok(())
        });
        let updated = updated.await;
        self.took("an update", started);
        let told = match &updated {
            Ok(Update::Made(())) => Told::Made,
            Ok(Update::Unchanged(())) => return Ok(()),
            Err(error) => match error.outcome() {
                Outcome::Applied => Told::Made,
                Outcome::Unknown => Told::Unknown,
                Outcome::NotApplied => {
                    self.shared.count("update failed, not applied");
                    return updated.map(drop);
                }
            },
        };
        let is_made = told == Told::Made;
        self.shared.count(if is_made { "update made" } else { "update failed, unknown" });
        self.shared.note(begun, steps, told);
        updated.map(drop)
    }

    /// One run of the function of an update. Returns what it has read and changed.
    fn change(
        &self,
        changes: &mut TableChanges<'_, Utf8, Utf8>,
        plan: Plan,
    ) -> Result<Vec<Step>, TableError> {
        let id = self.shared.lock().history.new_put();
        let mut read = |key: usize| changes.get(name_of(key)).map(put_of);
        let (mut steps, put, removes) = match plan {
            Plan::Change { pair: true, removes, .. } => {
                let found = [read(PAIR[0])?, read(PAIR[1])?];
                self.check_pair(found);
                let steps: Vec<Step> = PAIR.iter().zip(found).map(|(k, f)| seen(*k, f)).collect();
                (steps, PAIR.to_vec(), removes)
            }
            Plan::Change { pair: false, key, removes } => {
                (vec![seen(key, read(key)?)], vec![key], removes)
            }
            Plan::Depend { on, key } => {
                let other = (on != key).then(|| read(on).map(|found| seen(on, found)));
                let mut steps = vec![seen(key, read(key)?)];
                steps.extend(other.transpose()?);
                (steps, vec![key], false)
            }
            Plan::DependOnAll { key } => {
                let mut found = [None; KEYS];
                for entry in changes.entries() {
                    let (name, value) = entry?;
                    let at = name.trim_start_matches("key ").parse::<usize>();
                    found[at.expect("a key of a client")] = put_of(Some(value));
                }
                self.check_pair([found[PAIR[0]], found[PAIR[1]]]);
                let steps = (0..KEYS).map(|key| seen(key, found[key])).collect();
                (steps, vec![key], false)
            }
            Plan::Put { key } => {
                (vec![Step { key, wanted: Wanted::Anything, put: None }], vec![key], false)
            }
        };
        let new = (!removes).then_some(id);
        for step in steps.iter_mut().filter(|step| put.contains(&step.key)) {
            match new {
                Some(id) => {
                    changes.put(name_of(step.key), format!("{id}{}", ".".repeat(step.key)))?
                }
                None => drop(changes.remove(name_of(step.key))?),
            }
            step.put = new;
        }
        Ok(steps)
    }

    fn check_pair(&self, [one, other]: [Option<PutId>; 2]) {
        if one != other {
            let detail = format!("an update ran on {one:?} and {other:?}, which are put together");
            self.shared.say("C9", detail);
        }
    }

    async fn fetch(&self, table: &mut Table) -> Result<(), TableError> {
        let (begun, started) = (self.shared.now(), Instant::now());
        let fetched = table.fetch().await;
        self.took("a fetch", started);
        if fetched.is_ok() {
            self.shared.count("table fetched");
            self.shared.note_copy(begun, &copy_of(table));
        }
        fetched.map(drop)
    }

    /// Changes every key after the repair, which must succeed, and fetches what is in the table.
    pub(crate) async fn end(&mut self, table: &mut Table) {
        let pair = Plan::Change { pair: true, key: 0, removes: false };
        let singles = SINGLES.map(|key| Plan::Change { pair: false, key, removes: false });
        for plan in std::iter::once(pair).chain(singles) {
            let mut last = Ok(());
            for _ in 0..REPEATS {
                last = self.update(table, plan).await;
                let is_over = |error: &TableError| error.kind() == ErrorKind::LimitReached;
                if last.as_ref().map_or_else(is_over, |()| true) {
                    break;
                }
            }
            if let Err(error) = last {
                self.shared.say("C14", format!("an update fails after the repair: {error}"));
            }
        }
    }

    /// Fetches what is in the table, and compares the copy with it.
    pub(crate) async fn compare(&self, table: &mut Table, truth: &[Option<PutId>; KEYS]) {
        let mut last = Ok(());
        for _ in 0..REPEATS {
            last = self.fetch(table).await;
            if last.is_ok() {
                break;
            }
        }
        match last {
            Err(error) => {
                self.shared.say("C14", format!("a fetch fails after the repair: {error}"));
            }
            Ok(()) if copy_of(table) != *truth => {
                let copy = copy_of(table);
                self.shared.say("W1", format!("a copy has {copy:?}, and the table {truth:?}"));
            }
            Ok(()) => {}
        }
    }

    fn took(&self, call: &str, started: Instant) {
        self.shared.lock().history.took(call, started.elapsed(), self.limit + SLACK);
    }
}
