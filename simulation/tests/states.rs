//! States that clients agree on, under faults: many clients change the same state over connections
//! that break, and every update is made once or not at all, as its client was told.

mod common;
#[path = "common/sum.rs"]
mod sum;

use std::{
    collections::BTreeSet,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use common::{Cluster, block_on, breaking, poll_times, slow_cluster};
use futures_util::{TryStreamExt as _, future::join_all};
use pravega_sdk_controller_client::Controller;
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_simulation::{SimNetwork, World, client::segment_context};
use pravega_sdk_table_synchronizer::{
    Revision, RevisionedStream, RevisionedStreamConfig, SharedState, StateConfig, StateSerializer,
    StateSynchronizer,
};
use pravega_sdk_types::Outcome;
use sum::{Numbers, Sum};

/// The updates of all clients, in their order, each as its client and a number.
#[derive(Debug, Clone, PartialEq, Default)]
struct History(Vec<(u8, u8)>);

struct Pairs;

type Failed = Box<dyn Error + Send + Sync>;

impl SharedState for History {
    type Initial = Vec<(u8, u8)>;
    type Update = (u8, u8);

    fn create(initial: Self::Initial, _: &Revision) -> Self {
        Self(initial)
    }

    fn apply(&mut self, update: (u8, u8), _: &Revision) -> Result<(), Failed> {
        self.0.push(update);
        Ok(())
    }
}

impl StateSerializer<History> for Pairs {
    fn encode_initial(&self, initial: &Vec<(u8, u8)>) -> Result<Bytes, Failed> {
        Ok(initial.iter().flat_map(|(client, number)| [*client, *number]).collect())
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<Vec<(u8, u8)>, Failed> {
        Ok(bytes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn encode_update(&self, update: &(u8, u8)) -> Result<Bytes, Failed> {
        self.encode_initial(&vec![*update])
    }

    fn decode_update(&self, bytes: Bytes) -> Result<(u8, u8), Failed> {
        Ok(*self.decode_initial(bytes)?.first().ok_or("no pair")?)
    }
}

/// What a client was told about its updates.
#[derive(Debug, Default)]
struct Told {
    made: BTreeSet<(u8, u8)>,
    unknown: BTreeSet<(u8, u8)>,
    refused: BTreeSet<(u8, u8)>,
    /// The history that it knew at the end.
    history: Vec<(u8, u8)>,
}

const CLIENTS: u8 = 5;
const UPDATES: u8 = 8;

async fn change(mut state: StateSynchronizer<History, Pairs>, client: u8) -> Told {
    let mut told = Told::default();
    for number in 0..UPDATES {
        let update = (client, number);
        match state.update(|_, updates| updates.push(update)).await {
            Ok(()) => {
                told.made.insert(update);
                let history = &state.state().unwrap().0;
                assert_eq!(history.last(), Some(&update), "an update is made of the newest state");
            }
            Err(error) => match error.outcome() {
                Outcome::Applied => drop(told.made.insert(update)),
                Outcome::Unknown => drop(told.unknown.insert(update)),
                Outcome::NotApplied => drop(told.refused.insert(update)),
            },
        }
        if number % 4 == client % 4 {
            drop(state.compact(|history| Some(history.0.clone())).await);
        }
    }
    told.history = state.state().map(|history| history.0.clone()).unwrap_or_default();
    told
}

/// Drops entries that other clients have not read, and compacts the state some time later: until
/// then the others have lost it.
async fn truncate(all: &mut StateSynchronizer<History, Pairs>, cluster: &Cluster) {
    let config = RevisionedStreamConfig::default();
    let stream = RevisionedStream::open(cluster.context(), &cluster.stream, config).await.unwrap();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        all.fetch().await.unwrap();
        stream.truncate(all.revision().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(120)).await;
        all.compact(|history| Some(history.0.clone())).await.unwrap();
    }
}

/// Runs a history, and returns what the clients were told.
async fn check(seed: u64, bug: Option<SeededBug>) -> Vec<Told> {
    let world = World::new(1);
    let cluster = Cluster::with_network(world.clone(), SimNetwork::perfect(&world), 1);
    let (context, config) = (cluster.context(), StateConfig::default());
    let opened = StateSynchronizer::open(context, &cluster.stream, Pairs, config);
    let mut all: StateSynchronizer<History, Pairs> = opened.await.unwrap();
    all.initialize(Vec::new()).await.unwrap();
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let network = breaking(&world, seed * 100 + u64::from(client), 100..3000);
        let controller = Arc::clone(&cluster.controller) as Arc<dyn Controller>;
        let config = StateConfig::default().with_timeout(Duration::from_secs(30));
        let config = match bug {
            Some(bug) => config.with_seeded_bug(bug),
            None => config,
        };
        let context = segment_context(controller, network);
        let opened = StateSynchronizer::open(context, &cluster.stream, Pairs, config);
        clients.push(change(opened.await.unwrap(), client));
    }
    let (told, ()) = tokio::join!(join_all(clients), truncate(&mut all, &cluster));
    all.fetch().await.unwrap();
    let history = &all.state().unwrap().0;
    for (client, told) in told.iter().enumerate() {
        assert!(history.starts_with(&told.history), "seed {seed}: client {client} {told:?}");
        let own: Vec<_> = history.iter().filter(|update| usize::from(update.0) == client).collect();
        assert!(own.is_sorted_by(|one, next| one < next), "seed {seed}: {own:?}");
        for update in &told.made {
            assert!(history.contains(update), "seed {seed}: {update:?} was made, and is lost");
        }
        for update in &told.refused {
            assert!(
                !history.contains(update),
                "seed {seed}: {update:?} was not made, and is there"
            );
        }
    }
    told
}

#[test]
fn clients_agree_on_one_history_with_every_update_as_its_client_was_told() {
    let (mut made, mut unknown) = (0, 0);
    for seed in 0..80 {
        for told in block_on(check(seed, None)) {
            made += told.made.len();
            unknown += told.unknown.len();
        }
    }
    assert!(made > 1000, "{made} made, {unknown} unknown");
}

/// An update whose entry is held back beyond the time of its call, and takes effect later.
async fn arrive_late(bug: Option<SeededBug>) {
    let cluster = Cluster::new(1);
    let open = |config| {
        StateSynchronizer::<History, _>::open(cluster.context(), &cluster.stream, Pairs, config)
    };
    let config = StateConfig::default().with_timeout(Duration::from_secs(10));
    let mut one = open(bug.into_iter().fold(config, StateConfig::with_seeded_bug)).await.unwrap();
    let mut other = open(StateConfig::default()).await.unwrap();
    other.initialize(Vec::new()).await.unwrap();
    one.fetch().await.unwrap();
    let segment = cluster.segment(0);
    let held = cluster.world.hold(move |arrival| arrival.is_append() && arrival.is_about(&segment));
    let error = one.update(|_, updates| updates.push((1, 1))).await.unwrap_err();
    held.release();
    tokio::time::sleep(Duration::from_secs(60)).await;
    other.fetch().await.unwrap();
    assert_eq!(other.state().unwrap().0, [(1, 1)], "it was on its way");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    one.update(|_, updates| updates.push((1, 2))).await.unwrap();
    assert_eq!(one.state().unwrap().0, [(1, 1), (1, 2)]);
}

#[test]
fn an_update_that_may_still_arrive_when_its_time_is_over_is_not_called_off() {
    block_on(arrive_late(None));
}

#[test]
fn every_seeded_bug_of_states_is_caught() {
    for bug in SeededBug::STATES {
        let late = catch_unwind(AssertUnwindSafe(|| block_on(arrive_late(Some(bug)))));
        let is_caught = |seed: u64| {
            catch_unwind(AssertUnwindSafe(|| block_on(check(seed, Some(bug))))).is_err()
        };
        let is_caught = late.is_err() || (0..100).any(is_caught);
        assert!(is_caught, "nothing catches {bug:?}");
    }
}

async fn open(cluster: &Cluster) -> StateSynchronizer<Sum, Numbers> {
    let (context, config) = (cluster.context(), StateConfig::default());
    StateSynchronizer::open(context, &cluster.stream, Numbers, config).await.unwrap()
}

#[test]
fn a_call_that_is_dropped_anywhere_leaves_a_state_of_the_stream_and_changes_it_once_at_most() {
    type State = StateSynchronizer<Sum, Numbers>;
    type Call = for<'s> fn(&'s mut State) -> futures_util::future::BoxFuture<'s, ()>;
    let calls: [(&str, Call); 5] = [
        ("update", |state| {
            Box::pin(async move { drop(state.update(|_, adding| adding.push(1)).await) })
        }),
        ("update_unconditionally", |state| {
            Box::pin(async move { drop(state.update_unconditionally(vec![1]).await) })
        }),
        ("fetch", |state| Box::pin(async move { drop(state.fetch().await) })),
        ("initialize", |state| Box::pin(async move { drop(state.initialize(9).await) })),
        ("compact", |state| Box::pin(async move { drop(state.compact(|sum| Some(sum.0)).await) })),
    ];
    for (name, call) in calls {
        for polls in 0.. {
            let ended = block_on(async {
                let cluster = slow_cluster();
                let (mut one, mut other) = (open(&cluster).await, open(&cluster).await);
                other.initialize(100).await.unwrap();
                one.fetch().await.unwrap();
                other.update(|_, adding| adding.push(10)).await.unwrap();
                let ended = poll_times(pin!(call(&mut one)), polls).await;
                let known = one.state().unwrap().0;
                assert!([100, 110, 111].contains(&known), "{name}: {known}");
                one.update(|_, adding| adding.push(1000)).await.unwrap();
                other.fetch().await.unwrap();
                let (ours, theirs) = (one.state().unwrap().0, other.state().unwrap().0);
                assert_eq!(ours, theirs, "{name} dropped after {polls} polls");
                let is_update = name.starts_with("update");
                assert!(ours == 1110 || (is_update && ours == 1111), "{name}: {ours}");
                ended
            });
            if ended {
                assert!(polls > 2, "{name} ended after {polls} polls");
                break;
            }
        }
    }
}

#[test]
fn an_entry_whose_write_is_dropped_anywhere_is_in_the_stream_once_or_not_at_all() {
    for polls in 0.. {
        let ended = block_on(async {
            let cluster = slow_cluster();
            let config = RevisionedStreamConfig::default();
            let opened = RevisionedStream::open(cluster.context(), &cluster.stream, config);
            let stream = opened.await.unwrap();
            let oldest = stream.oldest_revision().await.unwrap();
            let ended = poll_times(pin!(stream.write_at(&oldest, "a")), polls).await;
            stream.write("b").await.unwrap();
            let read = stream.entries(&oldest).await.unwrap();
            let found: Vec<Bytes> = read.map_ok(|entry| entry.value).try_collect().await.unwrap();
            assert!(found == ["a", "b"] || (!ended && found == ["b"]), "{polls}: {found:?}");
            ended
        });
        if ended {
            assert!(polls > 2, "{polls}");
            return;
        }
    }
}
