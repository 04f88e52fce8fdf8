//! One client of a state: it updates, fetches and compacts over connections that break.

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pravega_sdk_event_stream::SegmentContext;
use pravega_sdk_table_synchronizer::{
    Revision, SharedState, StateConfig, StateError, StateSerializer, StateSynchronizer,
};
use pravega_sdk_types::{Outcome, ScopedStream};
use tokio::time::{Instant, sleep};

use super::history::History;

/// The time that a call may take beyond its limit.
const SLACK: Duration = Duration::from_millis(100);
/// The pause before a stream that cannot be opened is opened again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a call is made again after the repair.
const REPEATS: u32 = 5;

/// An update: its client, and a number.
pub(crate) type Id = (u8, u8);

type Failed = Box<dyn Error + Send + Sync>;

/// The updates of all clients, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ids(pub(crate) Vec<Id>);

impl SharedState for Ids {
    type Initial = Vec<Id>;
    type Update = Id;

    fn create(initial: Vec<Id>, _: &Revision) -> Self {
        Self(initial)
    }

    fn apply(&mut self, update: Id, _: &Revision) -> Result<(), Failed> {
        self.0.push(update);
        Ok(())
    }
}

/// The bytes of [`Ids`].
pub(crate) struct Pairs;

impl StateSerializer<Ids> for Pairs {
    fn encode_initial(&self, initial: &Vec<Id>) -> Result<Bytes, Failed> {
        Ok(initial.iter().flat_map(|(client, number)| [*client, *number]).collect())
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<Vec<Id>, Failed> {
        let pair = |pair: &[u8]| Some((*pair.first()?, *pair.get(1)?));
        bytes.chunks(2).map(|bytes| pair(bytes).ok_or_else(|| "half a pair".into())).collect()
    }

    fn encode_update(&self, update: &Id) -> Result<Bytes, Failed> {
        self.encode_initial(&vec![*update])
    }

    fn decode_update(&self, bytes: Bytes) -> Result<Id, Failed> {
        Ok(*self.decode_initial(bytes)?.first().ok_or("no pair")?)
    }
}

pub(crate) type State = StateSynchronizer<Ids, Pairs>;

/// What a client was told of an update.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) id: Id,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) outcome: Outcome,
}

/// The copy of a client after a call.
#[derive(Debug)]
pub(crate) struct Seen {
    /// When the call began, if it has read all that was written until then.
    pub(crate) fresh_since: Option<u64>,
    pub(crate) ids: Vec<Id>,
}

/// What all clients did.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The clock, and what was wrong.
    pub(crate) history: History,
    pub(crate) changes: Vec<Change>,
    pub(crate) copies: Vec<Seen>,
}

/// What all clients did, for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.lock().history.now()
    }

    fn count(&self, what: &'static str) {
        self.lock().history.count(what);
    }

    pub(crate) fn say(&self, check: &'static str, detail: String) {
        self.lock().history.say(check, detail);
    }
}

/// A client.
pub(crate) struct Client {
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: StateConfig,
    pub(crate) limit: Duration,
    pub(crate) random: fastrand::Rng,
    pub(crate) shared: Shared,
    /// Tells its updates from those of others.
    pub(crate) number: u8,
    /// The number of its updates so far.
    pub(crate) made: u8,
    pub(crate) operations: u32,
    pub(crate) max_pause: Duration,
}

impl Client {
    /// Makes all operations, and returns the client with its copy.
    pub(crate) async fn run(mut self) -> (Self, State) {
        let mut state = self.open().await;
        for _ in 0..self.operations {
            match self.random.u32(0..12) {
                0..7 => drop(self.update(&mut state).await),
                7 => drop(self.update_unconditionally(&mut state).await),
                8..10 => drop(self.fetch(&mut state).await),
                _ => drop(self.compact(&mut state).await),
            }
            if self.random.u32(0..3) == 0 {
                sleep(self.max_pause.mul_f64(self.random.f64())).await;
            }
        }
        (self, state)
    }

    async fn open(&self) -> State {
        loop {
            let (context, config) = (self.context.clone(), self.config.clone());
            match StateSynchronizer::open(context, &self.stream, Pairs, config).await {
                Ok(state) => return state,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn new_id(&mut self) -> Id {
        self.made += 1;
        (self.number, self.made)
    }

    async fn update(&mut self, state: &mut State) -> Result<(), StateError> {
        let mut ids = vec![self.new_id()];
        if self.random.bool() {
            ids.push(self.new_id());
        }
        let (begun, started, mut seen) = (self.shared.now(), Instant::now(), 0);
        let updated = state.update(|known, updates| {
            seen = known.0.len();
            updates.extend(&ids);
        });
        let updated = updated.await;
        self.took("an update", started);
        let known = state.state().map_or(&[][..], |known| &known.0[..]);
        if updated.is_ok() && known.get(seen..) != Some(&ids[..]) {
            let detail = format!("{ids:?} was made of {seen} updates, and is not after them");
            self.shared.say("C10", detail);
        }
        self.note(begun, &ids, &updated);
        self.note_copy(None, state);
        updated
    }

    async fn update_unconditionally(&mut self, state: &mut State) -> Result<(), StateError> {
        let ids = [self.new_id()];
        let (begun, started) = (self.shared.now(), Instant::now());
        let updated = state.update_unconditionally(ids.to_vec()).await;
        self.took("an unconditional update", started);
        self.note(begun, &ids, &updated);
        updated
    }

    async fn fetch(&self, state: &mut State) -> Result<(), StateError> {
        let (begun, started) = (self.shared.now(), Instant::now());
        let fetched = state.fetch().await;
        self.took("a fetch", started);
        if fetched.is_ok() {
            self.shared.count("state fetched");
        }
        self.note_copy(fetched.is_ok().then_some(begun), state);
        fetched
    }

    async fn compact(&self, state: &mut State) -> Result<(), StateError> {
        let started = Instant::now();
        let compacted = state.compact(|known| Some(known.0.clone())).await;
        self.took("a compaction", started);
        if compacted.is_ok() {
            self.shared.count("state compacted");
        }
        self.note_copy(None, state);
        compacted.map(drop)
    }

    /// Notes the updates of one entry, which end now.
    fn note(&self, begun: u64, ids: &[Id], updated: &Result<(), StateError>) {
        let outcome = updated.as_ref().map_or_else(StateError::outcome, |()| Outcome::Applied);
        let mut log = self.shared.lock();
        let ended = log.history.now();
        log.history.count(match outcome {
            Outcome::Applied => "state update made",
            Outcome::NotApplied => "state update failed, not applied",
            Outcome::Unknown => "state update failed, unknown",
        });
        log.changes.extend(ids.iter().map(|id| Change { id: *id, begun, ended, outcome }));
    }

    fn note_copy(&self, fresh_since: Option<u64>, state: &State) {
        let Some(known) = state.state() else { return };
        self.shared.lock().copies.push(Seen { fresh_since, ids: known.0.clone() });
    }

    /// Updates the state after the repair, which must succeed.
    pub(crate) async fn end(&mut self, state: &mut State) {
        let mut last = Ok(());
        for _ in 0..REPEATS {
            last = self.update(state).await;
            if last.is_ok() {
                return;
            }
        }
        if let Err(error) = last {
            self.shared.say("C14", format!("an update fails after the repair: {error}"));
        }
    }

    /// Fetches the state after the repair, and compares the copy with it.
    pub(crate) async fn compare(&self, state: &mut State, truth: &[Id]) {
        let mut last = Ok(());
        for _ in 0..REPEATS {
            last = self.fetch(state).await;
            if last.is_ok() {
                break;
            }
        }
        if let Err(error) = last {
            self.shared.say("C14", format!("a fetch fails after the repair: {error}"));
        } else if state.state().map(|known| &known.0[..]) != Some(truth) {
            let detail = format!("a copy has {:?}, and the state is {truth:?}", state.state());
            self.shared.say("W1", detail);
        }
    }

    fn took(&self, call: &str, started: Instant) {
        self.shared.lock().history.took(call, started.elapsed(), self.limit + SLACK);
    }
}
