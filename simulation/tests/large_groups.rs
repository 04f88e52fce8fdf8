//! Groups with many readers and segments: how soon they settle, how soon the segments of a dead
//! reader have another one, and how much memory they take.

mod common;

use std::{sync::Arc, time::Duration};

use common::block_on;
use pravega_sdk_event_stream::{
    ReaderConfig, SegmentContext,
    codec::Raw,
    group::{
        GroupInit, GroupItem, GroupReader, GroupReaderConfig, GroupStorage, GroupStore,
        GroupUpdate, ReaderGroupState,
    },
};
use pravega_sdk_simulation::{
    SimController, SimNetwork, World, client::segment_context, link::Faults,
};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::{
    Offset, ReaderGroupConfiguration, ScopedReaderGroup, ScopedSegment, ScopedStream,
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};
use uuid::Uuid;

/// A group of one stream, on servers without faults.
struct Group {
    world: World,
    network: SimNetwork,
    controller: Arc<SimController>,
    name: ScopedReaderGroup,
    stream: ScopedStream,
}

impl Group {
    async fn create(segments: u32, storage: GroupStorage, configure: Configure) -> Self {
        let world = World::new(3);
        let delay = (Duration::from_millis(1), Duration::from_millis(3));
        let slow = move || Faults { delay, ..Faults::default() };
        let network = SimNetwork::new(&world, Box::new(move || (slow(), slow())));
        let controller = Arc::new(SimController::new(&world, 1, Duration::from_millis(5)));
        let name: ScopedReaderGroup = "sim/readers".parse().unwrap();
        let stream: ScopedStream = "sim/events".parse().unwrap();
        world.create_stream(&stream, segments);
        world.create_stream(&name.state_stream(), 1);
        let group = Self { world, network, controller, name, stream };
        let configuration = ReaderGroupConfiguration::new([group.stream.clone()]).unwrap();
        let starts = group.world.active_segments(&group.stream).into_iter().map(|segment| {
            let segment = ScopedSegment::new(&group.stream, segment.id);
            (segment.into(), Offset(0).into())
        });
        let configuration = configure(configuration).with_identity(Uuid::from_u128(7), Some(0));
        let init = GroupInit::new(configuration, starts);
        let mut store = group.store().await.with_new_storage(storage);
        store.initialize(init).await.unwrap();
        group
    }

    /// A client of its own.
    fn context(&self) -> SegmentContext {
        segment_context(Arc::clone(&self.controller) as _, self.network.clone())
    }

    async fn store(&self) -> GroupStore {
        GroupStore::open(self.context(), &self.name, StateConfig::default()).await.unwrap()
    }

    async fn open(&self, number: u32, config: GroupReaderConfig) -> GroupReader<Raw> {
        let id = format!("reader-{number:03}").parse().unwrap();
        GroupReader::open(self.context(), &self.name, &id, Raw, config).await.unwrap()
    }
}

const STORAGES: [GroupStorage; 2] = [GroupStorage::Stream, GroupStorage::Table];

type Configure = fn(ReaderGroupConfiguration) -> ReaderGroupConfiguration;

/// Reads until it is aborted.
async fn read(mut reader: GroupReader<Raw>) {
    while let Some(item) = reader.next().await {
        item.unwrap();
    }
}

/// Waits until the state is as it should be; returns the time that it took.
async fn until(store: &mut GroupStore, is_so: impl Fn(&ReaderGroupState) -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        store.fetch().await.unwrap();
        if store.state().is_some_and(&is_so) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", store.state());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Returns true if all segments have readers, and each of so many readers its fair part.
fn is_fair(state: &ReaderGroupState, readers: usize) -> bool {
    let fair = state.segment_count() / readers;
    let has_part = |reader: &Arc<str>| {
        state.assigned(reader).is_some_and(|own| own.len().abs_diff(fair) <= fair / 10 + 1)
    };
    state.unassigned().is_empty()
        && state.readers().len() == readers
        && state.readers().all(has_part)
}

#[test]
fn a_hundred_readers_have_their_parts_of_a_thousand_segments_ten_seconds_after_the_last_joined() {
    const READERS: u32 = 100;
    // Readers that start together each take a part.
    const DELAY: Duration = Duration::from_secs(3);
    for storage in STORAGES {
        let begun = std::time::Instant::now();
        let (joined, settled) = block_on(hundred_readers(storage, READERS, DELAY));
        println!(
            "{storage:?}: the last has joined after {joined:?}, settled {settled:?} later; the run \
             took {:?}",
            begun.elapsed()
        );
        assert!(joined < DELAY, "{joined:?}");
        assert!(settled <= Duration::from_secs(10), "{settled:?}");
    }
}

/// Opens readers of a group of a thousand segments. Returns when the last of them has joined, and
/// how long after that each has its part.
async fn hundred_readers(
    storage: GroupStorage,
    count: u32,
    delay: Duration,
) -> (Duration, Duration) {
    let group = Group::create(1000, storage, |configuration| configuration).await;
    let begun = Instant::now();
    let mut opening = JoinSet::new();
    for number in 0..count {
        let reads = ReaderConfig::default().with_seed(number.into());
        let config =
            GroupReaderConfig::default().with_reader(reads).with_initial_allocation_delay(delay);
        let (context, name) = (group.context(), group.name.clone());
        let id = format!("reader-{number:03}").parse().unwrap();
        opening.spawn(
            async move { GroupReader::open(context, &name, &id, Raw, config).await.unwrap() },
        );
    }
    let mut reading = JoinSet::new();
    while let Some(reader) = opening.join_next().await {
        reading.spawn(read(reader.unwrap()));
    }
    let joined = begun.elapsed();
    let mut store = group.store().await;
    (joined, until(&mut store, |state| is_fair(state, count as usize)).await)
}

#[test]
fn the_segments_of_a_dead_reader_have_another_one_soon_after_its_lease_has_run_out() {
    const LEASE: Duration = Duration::from_secs(6);
    const REFRESH: Duration = Duration::from_secs(1);
    const CHECKPOINTS: Duration = Duration::from_secs(2);
    let configure: Configure = |configuration| {
        configuration
            .with_refresh_interval(REFRESH)
            .with_automatic_checkpoint_interval(Some(CHECKPOINTS))
    };
    for readers in 2..6_u32 {
        for dead in 0..readers {
            let storage = STORAGES[dead as usize % 2];
            let (removed, taken) = block_on(async {
                let group = Group::create(24, storage, configure).await;
                let config = || {
                    GroupReaderConfig::default()
                        .with_lease(Some(LEASE))
                        .with_initial_allocation_delay(REFRESH)
                };
                let mut reading = JoinSet::new();
                let mut handles: Vec<AbortHandle> = Vec::new();
                for number in 0..readers {
                    let reader = group.open(number, config()).await;
                    handles.push(reading.spawn(read(reader)));
                }
                let mut store = group.store().await;
                until(&mut store, |state| is_fair(state, readers as usize)).await;
                sleep(Duration::from_millis(u64::from(dead) * 777)).await;
                handles[dead as usize].abort();
                let name = format!("reader-{dead:03}");
                let removed = until(&mut store, |state| !state.is_online(&name)).await;
                (removed, until(&mut store, |state| state.unassigned().is_empty()).await)
            });
            assert!(removed <= LEASE, "{dead} of {readers} was taken out after {removed:?}");
            // The others see it with the next refresh, and take turns of a second. No reader takes
            // a segment while it has a checkpoint to answer.
            let bound = REFRESH * 2 + CHECKPOINTS + Duration::from_secs(u64::from(readers));
            assert!(taken <= bound, "{dead} of {readers}: its segments were taken after {taken:?}");
        }
    }
}

#[test]
fn a_reader_of_a_group_with_a_thousand_segments_takes_less_than_16_mebibytes() {
    STORAGES.into_iter().for_each(takes_less_than_16_mebibytes);
}

fn takes_less_than_16_mebibytes(storage: GroupStorage) {
    const LIMIT: u64 = 16 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let configure: Configure = |configuration| {
        configuration.with_automatic_checkpoint_interval(Some(Duration::from_secs(2)))
    };
    let group = runtime.block_on(Group::create(1000, storage, configure));
    // The one reader has all segments, and a checkpoint has all positions.
    let mut kept = None;
    let alone = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut reader = group.open(0, GroupReaderConfig::default()).await;
            let mut checkpoints = 0;
            while checkpoints < 3 {
                let item = reader.next().await.unwrap().unwrap();
                checkpoints += u32::from(matches!(item, GroupItem::Checkpoint(_)));
            }
            assert_eq!(reader.position().owned().count(), 1000);
            kept = Some(reader);
        });
    });
    println!("{storage:?}: {} bytes at most, {} in the end", alone.bytes_max, alone.bytes_current);
    assert!(alone.bytes_max <= LIMIT, "{} bytes", alone.bytes_max);

    // A state with a hundred readers.
    runtime.block_on(async {
        let mut reader = kept.take().unwrap();
        reader.close(Duration::from_secs(10)).await.unwrap();
        let mut store = group.store().await;
        store.fetch().await.unwrap();
        let share = |state: &ReaderGroupState, updates: &mut Vec<GroupUpdate>| {
            let names: Vec<Arc<str>> = (0..100).map(|number| format!("r{number}").into()).collect();
            let add = |reader: &Arc<str>| GroupUpdate::AddReader { reader: reader.clone() };
            updates.extend(names.iter().map(add));
            let owners = names.iter().cycle();
            updates.extend(state.unassigned().segments().zip(owners).map(|(segment, reader)| {
                GroupUpdate::AcquireSegment { reader: reader.clone(), segment: segment.clone() }
            }));
        };
        store.change(share).await.unwrap();
    });
    let mut kept = None;
    let state = allocation_counter::measure(|| {
        runtime.block_on(async {
            let mut store = group.store().await;
            store.fetch().await.unwrap();
            assert_eq!(store.state().unwrap().segment_count(), 1000);
            kept = Some(store);
        });
    });
    println!("{storage:?}: {} bytes at most, {} in the end", state.bytes_max, state.bytes_current);
    assert!(state.bytes_max <= LIMIT, "{} bytes", state.bytes_max);
}
