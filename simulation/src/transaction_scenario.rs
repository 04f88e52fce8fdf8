//! A seed made transactions with faults: begun, written, committed, aborted, dropped, handed over,
//! while connections are cut, segments split and merge, and answers of the controller are lost or
//! come when nobody waits any more.
//!
//! | check | holds |
//! |---|---|
//! | C12 | a transaction is in the stream as a whole or not at all, as whoever asked was told, and as the controller says |
//! | C4 | within a transaction, and from one to the next of the same writer, events of a key are in order |
//! | C7 | a transaction that somebody holds does not run out while the controller can be reached; pings come in time |

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    SeededBug, Transaction, TransactionConfig, TransactionalWriter, WriterConfig, codec::Utf8,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream, TransactionId};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    SimController, SimNetwork, World,
    history::Violation,
    scenario::{Report, plan, scale, stream_parts},
};

/// What a writer knows of a transaction of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Committed,
    /// And nobody waited until it was in its place, so the next may be before it.
    CommittedUnseen,
    Aborted,
    /// It ended while it was held.
    RanOut,
    /// It was told that nobody knows.
    Unknown,
}

#[derive(Debug, Clone)]
struct Done {
    id: TransactionId,
    writer: u32,
    number: u32,
    fate: Fate,
    /// How many events it has.
    events: u32,
}

const KEYS: u32 = 3;
const LEASE: Duration = Duration::from_secs(10);

struct Theme {
    cuts: u32,
    max_delay: Duration,
    fragments: bool,
    scales: bool,
    lost_answers: u32,
    outages: bool,
    writers: u32,
    transactions: u32,
    events: u32,
    /// Some transactions are held for longer than their lease.
    holds: bool,
}

/// Runs a seed.
///
/// # Panics
///
/// If there is no runtime to be had.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario(seed, bug))
}

async fn scenario(seed: u64, bug: Option<SeededBug>) -> Report {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chance = |percent: u32| random.u32(0..100) < percent;
    let (cuts, fragments, scales, loses) = (chance(60), chance(20), chance(40), chance(40));
    let (outages, holds) = (chance(15), chance(25));
    let theme = Theme {
        cuts: if cuts { random.u32(20..80) } else { 0 },
        max_delay: Duration::from_millis(random.u64(0..40)),
        fragments,
        scales,
        lost_answers: if loses { random.u32(5..40) } else { 0 },
        outages,
        writers: random.u32(1..4),
        transactions: random.u32(2..6),
        events: random.u32(1..60),
        holds,
    };
    let world = World::new(random.usize(1..4));
    let stream: ScopedStream = "sim/stream".parse().expect("a name");
    world.create_stream(&stream, random.u32(1..5));
    world.set_lost_answers(theme.lost_answers);
    let faults = plan(theme.cuts, theme.max_delay, theme.fragments, random.fork(), world.clone());
    let network = SimNetwork::new(&world, Box::new(faults));
    let controller =
        Arc::new(SimController::new(&world, random.u64(..), Duration::from_millis(20)));
    let mut tasks = Vec::new();
    for number in 0..theme.writers {
        let parts = stream_parts(Arc::clone(&controller) as _, network.clone());
        let mut writer = WriterConfig::default()
            .with_backoff(Duration::from_millis(20), Duration::from_secs(2))
            .with_delivery_timeout(Duration::from_secs(60))
            .with_seed(random.u64(..));
        if let Some(bug) = bug {
            writer = writer.with_seeded_bug(bug);
        }
        let config = TransactionConfig::default().with_lease(LEASE).with_writer(writer);
        let config = config.with_decision_timeout(Duration::from_secs(30));
        let writer = TransactionalWriter::open(parts, &stream, Utf8, config)
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
    let (mischief, at, mut chances) = (world.clone(), stream.clone(), random.fork());
    let (scales, outages) = (theme.scales, theme.outages);
    let faults = tokio::spawn(async move {
        for _ in 0..chances.u32(1..15) {
            sleep(Duration::from_millis(chances.u64(1..800))).await;
            if scales && chances.bool() {
                scale(&mischief, &at, &mut chances).await;
            }
            if outages && chances.u32(0..4) == 0 {
                mischief.set_controller_away(true);
                sleep(Duration::from_millis(chances.u64(100..8000))).await;
                mischief.set_controller_away(false);
            }
        }
    });
    let mut done = Vec::new();
    let mut violations = Vec::new();
    // Every call of a transaction has a limit of its own: a minute for events, half a one for
    // decisions.
    let limit = Duration::from_secs(200) * theme.transactions;
    for task in tasks {
        match timeout(limit, task).await {
            Ok(transactions) => done.extend(transactions.expect("a writer does not panic")),
            Err(_) => {
                violations.push(Violation { check: "C14", detail: "a writer hangs".to_owned() })
            }
        }
    }
    faults.await.expect("faults do not panic");
    world.set_controller_away(false);
    network.heal();
    world.finish_scale();
    // What nobody decided runs out, and what was accepted is carried out.
    sleep(LEASE * 3).await;
    report(&world, &stream, &theme, &done, violations)
}

struct Load {
    writer: TransactionalWriter<Utf8>,
    number: u32,
    random: fastrand::Rng,
    transactions: u32,
    events: u32,
    holds: bool,
}

impl Load {
    async fn run(mut self) -> Vec<Done> {
        let mut all = Vec::new();
        for number in 0..self.transactions {
            // With an unknown outcome one may have begun, which ends with its lease.
            let Ok(transaction) = self.writer.begin().await else {
                sleep(Duration::from_millis(300)).await;
                continue;
            };
            let (id, events) = (transaction.id(), self.random.u32(0..self.events + 1));
            let fate = self.work(transaction, number, events).await;
            all.push(Done { id, writer: self.number, number, fate, events });
        }
        all
    }

    async fn work(&mut self, mut transaction: Transaction<Utf8>, number: u32, events: u32) -> Fate {
        for event in 0..events {
            let key = format!("w{}-k{}", self.number, event % KEYS);
            let text = format!("{}|{number}|{key}|{event}", self.number);
            if transaction.write(&key, text).await.is_err() {
                // What becomes of it is decided by dropping it.
                return Fate::Aborted;
            }
            if self.random.u32(0..20) == 0 {
                sleep(Duration::from_millis(self.random.u64(0..200))).await;
            }
        }
        if self.holds && self.random.u32(0..3) == 0 {
            sleep(LEASE * 2).await;
        }
        match self.random.u32(0..10) {
            0 => {
                drop(transaction);
                Fate::Aborted
            }
            1 => match transaction.abort().await {
                Ok(()) => Fate::Aborted,
                Err(_) => Fate::Unknown,
            },
            2 => {
                // Somebody else goes on with it.
                let Ok(id) = transaction.leave_open().await else { return Fate::Aborted };
                match self.writer.resume(id).await {
                    Ok(resumed) => commit(resumed).await,
                    Err(_) => Fate::Unknown,
                }
            }
            3 => {
                // Whoever waited went away in the middle.
                let patience = Duration::from_millis(self.random.u64(0..400));
                match timeout(patience, transaction.commit()).await {
                    Ok(Ok(_)) => Fate::CommittedUnseen,
                    Ok(Err(_)) | Err(_) => Fate::Unknown,
                }
            }
            _ => commit(transaction).await,
        }
    }
}

async fn commit(transaction: Transaction<Utf8>) -> Fate {
    match transaction.commit().await {
        Ok(commit) => {
            // The next of this writer begins when this one is in its place.
            match commit.wait_until_visible(Duration::from_secs(60)).await {
                Ok(()) => Fate::Committed,
                Err(_) => Fate::CommittedUnseen,
            }
        }
        Err(error) if error.kind() == ErrorKind::TransactionNotOpen => Fate::RanOut,
        Err(error) if error.outcome() == Outcome::NotApplied => Fate::Aborted,
        Err(_) => Fate::Unknown,
    }
}

fn report(
    world: &World,
    stream: &ScopedStream,
    theme: &Theme,
    done: &[Done],
    violations: Vec<Violation>,
) -> Report {
    let mut violations = violations;
    let mut wrong = |check, detail: String| violations.push(Violation { check, detail });
    let mut found: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    let mut last_of_key: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for stored in world.content(stream) {
        let text = String::from_utf8(stored.event).expect("an event of ours");
        let parts: Vec<&str> = text.split('|').collect();
        let number = |at: usize| parts[at].parse::<u32>().expect("an event of ours");
        let (writer, transaction, key, event) =
            (number(0), number(1), parts[2].to_owned(), number(3));
        found.entry((writer, transaction)).or_default().push(event);
        // Keys are of one writer, and events of a key in one segment after the other.
        let is_seen = done.iter().any(|done| {
            (done.writer, done.number, &done.fate) == (writer, transaction, &Fate::Committed)
        });
        if let Some(before) = last_of_key.insert(key.clone(), (transaction, event))
            && before >= (transaction, event)
            && (is_seen || before.0 == transaction)
        {
            wrong("C4", format!("{key}: {:?} stands behind {before:?}", (transaction, event)));
        }
    }
    let states = world.transaction_states();
    for transaction in done {
        let Done { id, writer, number, fate, events } = transaction;
        let mut there = found.remove(&(*writer, *number)).unwrap_or_default();
        there.sort_unstable();
        let is_whole = there == (0..*events).collect::<Vec<_>>();
        let state = states.get(id).copied();
        match (fate, state) {
            (Fate::Committed | Fate::CommittedUnseen, Some(TransactionState::Committed))
                if is_whole => {}
            (Fate::Aborted | Fate::RanOut, Some(TransactionState::Aborted)) if there.is_empty() => {
            }
            (Fate::Unknown, Some(TransactionState::Committed)) if is_whole => {}
            (Fate::Unknown, Some(TransactionState::Aborted)) if there.is_empty() => {}
            _ => wrong(
                "C12",
                format!("{transaction:?} is {state:?}, with {} events in the stream", there.len()),
            ),
        }
    }
    for (whose, events) in found {
        wrong(
            "C2",
            format!("{} events of transaction {whose:?}, which nobody knows", events.len()),
        );
    }
    let is_undisturbed = !theme.outages && theme.lost_answers == 0;
    if is_undisturbed && let Some(ran_out) = done.iter().find(|done| done.fate == Fate::RanOut) {
        wrong("C7", format!("{ran_out:?} although the controller could be reached"));
    }
    // Every third of the lease, and what links and answers take.
    let gap = world.longest_ping_gap();
    if is_undisturbed && gap > LEASE / 3 + Duration::from_millis(100) {
        wrong("C7", format!("{gap:?} lay between two pings of a transaction"));
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
