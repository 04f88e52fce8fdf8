//! A seed as transactions with faults: connections are cut, segments split and merge, and answers
//! of the controller are lost or come after the client has given up.
//!
//! | check | holds |
//! |---|---|
//! | C12 | a transaction is whole or absent, as the client was told and the controller says |
//! | C4 | the events of a key are in order, from one transaction of a writer to the next too |
//! | C7 | no lease of a held transaction runs out, and pings come in time, without outages |
//! | T1 | on a sealed stream no transaction begins: the error is that it is sealed, at once |
//! | T2 | a commit that failed for certain is not in the stream, also not in one that is deleted |
//! | T3 | a commit of what another writer has committed succeeds |

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    SeededBug, TransactionConfig, TransactionalWriter, WriterConfig, codec::Utf8,
};
use pravega_sdk_types::{ScopedSegment, ScopedStream, TransactionId};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    SimController, SimNetwork, World,
    client::segment_context,
    content::Stored,
    history::Violation,
    plan::{LinkTheme, scale},
    report::Report,
    transaction_endings,
    transaction_load::{Done, Fate, LEASE, Load},
};

/// The time that the decision about the last transaction may take.
const LAST_DECISION: Duration = Duration::from_secs(120);

/// The workload and the kinds of faults of a seed.
#[derive(Debug, Clone)]
struct Theme {
    links: LinkTheme,
    scales: bool,
    lost_answers: u32,
    outages: bool,
    writers: u32,
    transactions: u32,
    events: u32,
    /// True if some transactions are held for longer than their lease.
    holds: bool,
    /// The time that an event may wait for its acknowledgement, if it is short.
    deadline: Option<Duration>,
    /// True if all writers have the controller's caches and the connections in common.
    shares: bool,
    restarts: bool,
    moves: bool,
    ending: Ending,
}

/// What happens once all other transactions are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Nothing,
    /// The stream is sealed, and a transaction begun.
    Sealed,
    /// The stream is deleted after a commit without an answer.
    Deleted,
    /// A transaction is committed by two writers.
    CommittedTwice,
}

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario(seed, bug))
}

impl Theme {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut chance = |percent: u32| random.u32(0..100) < percent;
        let (cuts, fragments, scales, loses) = (chance(60), chance(20), chance(40), chance(40));
        let (outages, holds) = (chance(15), chance(25));
        let (shares, hurries, restarts, moves) = (chance(40), chance(15), chance(20), chance(20));
        let cuts = if cuts { random.u32(20..80) } else { 0 };
        let max_delay = Duration::from_millis(random.u64(0..40));
        Self {
            links: LinkTheme { cuts, max_delay, fragments },
            scales,
            lost_answers: if loses { random.u32(5..40) } else { 0 },
            outages,
            writers: random.u32(1..4),
            transactions: random.u32(2..6),
            events: random.u32(1..60),
            holds,
            deadline: Some(Duration::from_millis(random.u64(20..2000))).filter(|_| hurries),
            shares,
            restarts,
            moves,
            ending: match random.u32(0..10) {
                0 | 1 => Ending::Sealed,
                2 => Ending::Deleted,
                3 => Ending::CommittedTwice,
                _ => Ending::Nothing,
            },
        }
    }

    /// Returns true if no answer of the controller is missing.
    fn is_undisturbed(&self) -> bool {
        !self.outages && self.lost_answers == 0
    }
}

async fn scenario(seed: u64, bug: Option<SeededBug>) -> Report {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let theme = Theme::draw(&mut random);
    let stores = random.usize(1..4);
    let world = World::with_seed(stores, seed);
    let stream: ScopedStream = "sim/stream".parse().expect("a name");
    world.create_stream(&stream, random.u32(1..5));
    world.set_lost_answers(theme.lost_answers);
    let network = SimNetwork::new(&world, theme.links.plan(random.fork(), world.clone()));
    let controller =
        Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
    let context = || segment_context(Arc::clone(&controller) as _, network.clone());
    let shared = context();
    let mut tasks = Vec::new();
    for number in 0..theme.writers {
        let context = if theme.shares { shared.clone() } else { context() };
        let config = config(&theme, random.u64(..), bug);
        let writer = TransactionalWriter::open(context, &stream, Utf8, config)
            .await
            .expect("a stream to write to");
        let load = Load {
            writer,
            number,
            random: random.fork(),
            transactions: theme.transactions,
            events: theme.events,
            holds: theme.holds,
        };
        tasks.push(tokio::spawn(load.run()));
    }
    let faults = Faults {
        world: world.clone(),
        network: network.clone(),
        stream: stream.clone(),
        theme: theme.clone(),
        stores,
        random: random.fork(),
    };
    let faults = tokio::spawn(faults.make());
    let mut violations = Vec::new();
    let done = finish(tasks, theme.transactions, &mut violations).await;
    faults.await.expect("faults do not panic");
    world.set_controller_away(false);
    network.heal();
    world.finish_scale();
    // Transactions that were not decided run out, and accepted commits are carried out.
    sleep(LEASE * 3).await;
    let seen = Seen {
        stored: world.content(&stream),
        states: world.transaction_states(),
        ping_gap: world.longest_ping_gap(),
    };
    let calm = Theme { deadline: None, ..theme.clone() };
    let config = config(&calm, random.u64(..), bug).with_decision_timeout(LAST_DECISION);
    let client = transaction_endings::Client { world: &world, context: shared, stream, config };
    world.set_lost_answers(0);
    violations.extend(match theme.ending {
        Ending::Nothing => None,
        Ending::Sealed => client.begin_on_sealed().await,
        Ending::Deleted => client.commit_before_deletion(&mut random).await,
        Ending::CommittedTwice => client.commit_elsewhere(&mut random).await,
    });
    report(&world, seen, &theme, &done, violations)
}

/// What is seen of the transactions before the ending.
struct Seen {
    stored: Vec<Stored>,
    states: BTreeMap<TransactionId, TransactionState>,
    ping_gap: Duration,
}

fn config(theme: &Theme, seed: u64, bug: Option<SeededBug>) -> TransactionConfig {
    let mut writer = WriterConfig::default()
        .with_backoff(Duration::from_millis(20), Duration::from_secs(2))
        .with_delivery_timeout(theme.deadline.unwrap_or(Duration::from_secs(60)))
        .with_seed(seed);
    if let Some(bug) = bug {
        writer = writer.with_seeded_bug(bug);
    }
    TransactionConfig::default()
        .with_lease(LEASE)
        .with_writer(writer)
        .with_decision_timeout(Duration::from_secs(30))
}

/// Makes the faults of a seed.
struct Faults {
    world: World,
    network: SimNetwork,
    stream: ScopedStream,
    theme: Theme,
    stores: usize,
    random: fastrand::Rng,
}

impl Faults {
    /// Makes faults at random times.
    async fn make(mut self) {
        for _ in 0..self.random.u32(1..15) {
            sleep(Duration::from_millis(self.random.u64(1..800))).await;
            if self.theme.scales && self.random.bool() {
                scale(&self.world, &self.stream, &mut self.random).await;
            }
            if self.theme.outages && self.random.u32(0..4) == 0 {
                self.world.set_controller_away(true);
                sleep(Duration::from_millis(self.random.u64(100..8000))).await;
                self.world.set_controller_away(false);
            }
            if self.theme.restarts && self.random.u32(0..4) == 0 {
                let store = self.random.usize(0..self.stores);
                self.world.set_store_up(store, false);
                self.network.reset(store);
                sleep(Duration::from_millis(self.random.u64(0..3000))).await;
                self.world.set_store_up(store, true);
            }
            if self.theme.moves && self.random.u32(0..4) == 0 {
                for segment in self.world.active_segments(&self.stream) {
                    let name = ScopedSegment::new(&self.stream, segment.id);
                    self.world.move_segment(&name, self.random.usize(0..self.stores));
                }
            }
        }
    }
}

/// Waits for all writers.
async fn finish(
    tasks: Vec<JoinHandle<Vec<Done>>>,
    transactions: u32,
    violations: &mut Vec<Violation>,
) -> Vec<Done> {
    // Every call of a transaction has a limit of its own: a minute for events, half a minute for
    // decisions.
    let limit = Duration::from_secs(200) * transactions;
    let mut done = Vec::new();
    for task in tasks {
        match timeout(limit, task).await {
            Ok(transactions) => done.extend(transactions.expect("a writer does not panic")),
            Err(_) => {
                violations.push(Violation { check: "C14", detail: "a writer hangs".to_owned() })
            }
        }
    }
    done
}

fn report(
    world: &World,
    seen: Seen,
    theme: &Theme,
    done: &[Done],
    mut violations: Vec<Violation>,
) -> Report {
    let found = check_order(&seen.stored, done, &mut violations);
    check_outcomes(found, &seen.states, done, &mut violations);
    if theme.is_undisturbed() {
        check_leases(seen.ping_gap, done, &mut violations);
    }
    let mut counters = world.counters();
    let count = |fate: Fate| done.iter().filter(|done| done.fate == fate).count() as u64;
    counters.insert("transaction committed", count(Fate::Committed));
    counters.insert("transaction aborted", count(Fate::Aborted));
    counters.insert("transaction in doubt", count(Fate::Unknown));
    let mut hasher = std::hash::DefaultHasher::new();
    (format!("{done:?}"), format!("{counters:?}"), Instant::now().elapsed()).hash(&mut hasher);
    Report { violations, digest: hasher.finish(), counters, acknowledged: done.len() }
}

/// The events of each transaction in the stream, by the numbers of its writer and its own.
type Events = BTreeMap<(u32, u32), Vec<u32>>;

/// Checks the order of the events of each key, and returns the events of each transaction.
fn check_order(stored: &[Stored], done: &[Done], violations: &mut Vec<Violation>) -> Events {
    let mut found = Events::new();
    let mut last_of_key: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for stored in stored {
        let text = std::str::from_utf8(&stored.event).expect("an event of a writer");
        let parts: Vec<&str> = text.split('|').collect();
        let number = |at: usize| parts[at].parse::<u32>().expect("an event of a writer");
        let (writer, transaction, key, event) = (number(0), number(1), parts[2], number(3));
        found.entry((writer, transaction)).or_default().push(event);
        // A key is of one writer, and its events are in one segment after the other.
        let is_seen = done.iter().any(|done| {
            (done.writer, done.number, &done.fate) == (writer, transaction, &Fate::Committed)
        });
        if let Some(before) = last_of_key.insert(key, (transaction, event))
            && before >= (transaction, event)
            && (is_seen || before.0 == transaction)
        {
            let detail = format!("{key}: {:?} is after {before:?}", (transaction, event));
            violations.push(Violation { check: "C4", detail });
        }
    }
    found
}

/// Checks that each transaction is in the stream as a whole or not at all, as its client was told
/// and as the controller says.
fn check_outcomes(
    mut found: Events,
    states: &BTreeMap<TransactionId, TransactionState>,
    done: &[Done],
    violations: &mut Vec<Violation>,
) {
    for transaction in done {
        let Done { id, writer, number, fate, events } = transaction;
        let mut present = found.remove(&(*writer, *number)).unwrap_or_default();
        present.sort_unstable();
        let is_whole = present == (0..*events).collect::<Vec<_>>();
        let state = states.get(id).copied();
        let is_right = match (fate, state) {
            (
                Fate::Committed | Fate::CommittedUnseen | Fate::Unknown,
                Some(TransactionState::Committed),
            ) => is_whole,
            (Fate::Aborted | Fate::RanOut | Fate::Unknown, Some(TransactionState::Aborted)) => {
                present.is_empty()
            }
            _ => false,
        };
        if !is_right {
            let detail = format!(
                "{transaction:?} is {state:?}, with {} events in the stream",
                present.len()
            );
            violations.push(Violation { check: "C12", detail });
        }
    }
    for (transaction, events) in found {
        let detail = format!("{} events of {transaction:?}, which no client began", events.len());
        violations.push(Violation { check: "C2", detail });
    }
}

/// Checks that no lease ran out, and that pings came in time.
fn check_leases(gap: Duration, done: &[Done], violations: &mut Vec<Violation>) {
    if let Some(ran_out) = done.iter().find(|done| done.fate == Fate::RanOut) {
        let detail = format!("{ran_out:?} although the controller could be reached");
        violations.push(Violation { check: "C7", detail });
    }
    // A third of the lease, and the time that links and answers take.
    if gap > LEASE / 3 + Duration::from_millis(100) {
        let detail = format!("{gap:?} passed between two pings of a transaction");
        violations.push(Violation { check: "C7", detail });
    }
}
