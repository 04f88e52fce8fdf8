//! The times between which readers are, from the times that writers note.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_event_stream::{
    EventWriter, ReadUntil, ReaderConfig, TimeWindow, TransactionalWriter,
    codec::Utf8,
    group::{GroupItem, GroupReader, GroupReaderConfig},
};
use pravega_sdk_integration_tests::harness::{
    self, FAR, factory, is_embedded, new_stream, scale_all, unique,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    ErrorKind, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream, Timestamp,
};
use tokio::time::{Instant, sleep, timeout};

/// Controllers make watermarks every 10 s.
const ROUND: Duration = Duration::from_secs(11);

/// A server whose clock the test moves, or else one on which time passes.
struct Place {
    factory: ClientFactory,
    embedded: Option<EmbeddedServer>,
}

impl Place {
    async fn find() -> Self {
        if !is_embedded() {
            return Self { factory: factory().await, embedded: None };
        }
        let server = harness::builder().with_standing_clock().start().await.unwrap();
        let config = ClientConfig::from_url(&server.url()).unwrap();
        Self { factory: ClientFactory::new(config).unwrap(), embedded: Some(server) }
    }

    async fn pass_round(&self) {
        match &self.embedded {
            Some(server) => server.advance_clock(ROUND).unwrap(),
            None => sleep(ROUND).await,
        }
    }
}

/// Writes events whose texts are their times, and notes the last of them.
async fn write(writer: &EventWriter<Utf8>, times: impl Iterator<Item = i64>) {
    let mut last = 0;
    for time in times {
        writer.write(&format!("key-{time}"), &time.to_string()).await.unwrap();
        last = time;
    }
    writer.note_time(Timestamp::from_millis(last)).await.unwrap();
}

/// What one reader has seen.
#[derive(Default)]
struct Seen {
    newest: i64,
    lower: Option<i64>,
    windows: u32,
}

impl Seen {
    fn note(&mut self, time: i64, window: TimeWindow) {
        let millis = |bound: Option<Timestamp>| bound.map(Timestamp::as_millis);
        assert!(self.lower.is_none_or(|lower| time > lower), "{time} is read after {window:?}");
        self.newest = self.newest.max(time);
        let (lower, upper) = (millis(window.lower()), millis(window.upper()));
        assert!(lower >= self.lower, "{window:?} is before {:?}", self.lower);
        assert!(upper.is_none_or(|upper| upper >= self.newest), "{window:?}, read {}", self.newest);
        self.windows += u32::from(upper.is_some());
        self.lower = lower;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_of_a_reader_bounds_the_times_of_its_events() {
    let place = Place::find().await;
    let factory = &place.factory;
    let stream = new_stream(factory.controller(), 2).await;
    let first = factory.event_writer(&stream, Utf8).await.unwrap();
    let second = factory.event_writer(&stream, Utf8).await.unwrap();
    for round in 1..=3 {
        let times = round * 1000..round * 1000 + 60;
        tokio::join!(
            write(&first, times.clone().step_by(2)),
            write(&second, times.skip(1).step_by(2)),
        );
        place.pass_round().await;
        if round == 2 {
            scale_all(factory.controller(), &stream, 3).await;
        }
    }
    by_itself(factory, &stream).await;
    in_a_group(factory, &stream).await;
    for writer in [first, second] {
        writer.close(FAR).await.into_result().unwrap();
    }
}

async fn by_itself(factory: &ClientFactory, stream: &ScopedStream) {
    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = factory.event_reader_with(stream, Utf8, config).await.unwrap();
    let mut seen = Seen::default();
    let mut count = 0;
    while let Some(event) = reader.next().await {
        count += 1;
        let window = reader.time_window().await.unwrap();
        seen.note(event.unwrap().event().parse().unwrap(), window);
    }
    assert_eq!(count, 180);
    assert!(seen.windows > 0, "no watermark was ahead");
    assert!(seen.lower.is_some_and(|lower| lower >= 2058), "{:?}", seen.lower);
    let window = reader.time_window().await.unwrap();
    assert_eq!(window.upper(), None, "it is at the tail");
}

async fn in_a_group(factory: &ClientFactory, stream: &ScopedStream) {
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(500)))
        .with_refresh_interval(Duration::from_millis(100));
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    factory.create_reader_group(&group, &configuration).await.unwrap();
    let mut readers = Vec::new();
    for id in ["one", "two"] {
        let config = GroupReaderConfig::default();
        let id = id.parse().unwrap();
        let reader = factory.group_reader_with(&group, &id, Utf8, config).await.unwrap();
        readers.push((reader, Seen::default()));
    }
    let (mut count, deadline) = (0, Instant::now() + FAR);
    let is_late = |seen: &Seen| seen.lower.is_some_and(|lower| lower >= 2058);
    while count < 180 || !readers.iter().all(|(_, seen)| is_late(seen)) {
        assert!(Instant::now() < deadline, "{count} events");
        for (reader, seen) in &mut readers {
            count += read_some(reader, stream, seen).await;
        }
    }
    assert_eq!(count, 180);
    assert!(readers.iter().any(|(_, seen)| seen.windows > 0), "no watermark was ahead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_over_from_a_dead_one_finds_no_time_complete_that_it_reads_again() {
    let place = Place::find().await;
    let factory = &place.factory;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for round in 1..=2 {
        write(&writer, round * 1000..round * 1000 + 20).await;
        place.pass_round().await;
    }
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(Duration::from_millis(100));
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    let (handle, _) = factory.create_reader_group(&group, &configuration).await.unwrap();
    let open = async |id: &str, lease| {
        let config = GroupReaderConfig::default().with_lease(lease);
        factory.group_reader_with(&group, &id.parse().unwrap(), Utf8, config).await.unwrap()
    };
    // It dies after it has reported where it is, and before a checkpoint.
    let mut dies = open("dies", None).await;
    let mut seen = Seen::default();
    let (mut count, deadline) = (0, Instant::now() + FAR);
    loop {
        assert!(Instant::now() < deadline, "{count} events");
        count += read_some(&mut dies, &stream, &mut seen).await;
        let described = handle.describe().await.unwrap();
        let reported = described.readers[0].segments.first().and_then(|place| place.reported);
        let own = dies.position().owned().next().map(|(_, at)| at);
        if count == 40 && reported.is_some() && reported == own {
            break;
        }
    }
    assert!(seen.lower.is_some_and(|lower| lower >= 1019), "{:?}", seen.lower);
    drop(dies);
    handle.reader_offline("dies", None).await.unwrap();

    let mut idle = open("idle", None).await;
    let before = idle.time_window(&stream).await.unwrap();
    assert_eq!(before.lower(), None, "no reader has the segment");
    let mut next = open("next", None).await;
    let mut seen = Seen::default();
    let (mut count, deadline) = (0, Instant::now() + FAR);
    while count < 40 {
        assert!(Instant::now() < deadline, "{count} events");
        for reader in [&mut next, &mut idle] {
            count += read_some(reader, &stream, &mut seen).await;
        }
    }
    assert!(seen.lower.is_some_and(|lower| lower >= 1019), "{:?}", seen.lower);
    writer.close(FAR).await.into_result().unwrap();
}

/// As the test above, with times that are noted by commits.
#[tokio::test(flavor = "multi_thread")]
async fn the_times_at_which_transactions_are_committed_bound_those_of_their_events() {
    let place = Place::find().await;
    let factory = &place.factory;
    let stream = new_stream(factory.controller(), 2).await;
    let first = factory.transactional_writer(&stream, Utf8).await.unwrap();
    let second = factory.transactional_writer(&stream, Utf8).await.unwrap();
    for round in 1..=3 {
        let times = round * 1000..round * 1000 + 60;
        tokio::join!(
            commit(&first, times.clone().step_by(2)),
            commit(&second, times.skip(1).step_by(2)),
        );
        place.pass_round().await;
        if round == 2 {
            scale_all(factory.controller(), &stream, 3).await;
        }
    }
    by_itself(factory, &stream).await;
    in_a_group(factory, &stream).await;
}

/// Writes events whose texts are their times in a transaction, and notes the last of them.
async fn commit(writer: &TransactionalWriter<Utf8>, times: impl Iterator<Item = i64>) {
    let mut transaction = writer.begin().await.unwrap();
    let mut last = 0;
    for time in times {
        transaction.write(&format!("key-{time}"), &time.to_string()).await.unwrap();
        last = time;
    }
    let committed = transaction.commit_at(Timestamp::from_millis(last)).await.unwrap();
    committed.wait_until_visible(FAR).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_created_again_has_no_window_of_the_one_before() {
    let place = Place::find().await;
    let factory = &place.factory;
    let controller = factory.controller();
    let stream = new_stream(controller, 1).await;
    let configuration = controller.stream_configuration(&stream).await.unwrap();
    for first in [5000, 1000] {
        let writer = factory.event_writer(&stream, Utf8).await.unwrap();
        write(&writer, first..first + 20).await;
        place.pass_round().await;
        let config = ReaderConfig::default().with_end(ReadUntil::Tail);
        let mut reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
        let before = reader.time_window().await.unwrap();
        assert_eq!(before.lower(), None, "nothing is read");
        let mut seen = Seen::default();
        while let Some(event) = reader.next().await {
            let window = reader.time_window().await.unwrap();
            seen.note(event.unwrap().event().parse().unwrap(), window);
        }
        let after = reader.time_window().await.unwrap();
        assert_eq!(after.lower(), Some(Timestamp::from_millis(first + 19)));
        writer.close(FAR).await.into_result().unwrap();
        controller.seal_stream(&stream).await.unwrap();
        controller.delete_stream(&stream).await.unwrap();
        controller.create_stream(&stream, &configuration).await.unwrap();
    }
}

#[test]
fn the_window_of_a_reader_whose_runtime_has_ended_is_an_error_at_once() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let home = runtime();
    let (mut alone, mut member, stream) = home.block_on(async {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), 1).await;
        let configuration = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
        let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
        factory.create_reader_group(&group, &configuration).await.unwrap();
        let id = "one".parse().unwrap();
        let member = factory.group_reader(&group, &id, Utf8).await.unwrap();
        (factory.event_reader(&stream, Utf8).await.unwrap(), member, stream)
    });
    home.shutdown_background();
    runtime().block_on(async {
        let begun = Instant::now();
        let error = alone.time_window().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        let error = member.time_window(&stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    });
}

/// Reads what a reader has, and returns how many events there were.
async fn read_some(reader: &mut GroupReader<Utf8>, stream: &ScopedStream, seen: &mut Seen) -> u32 {
    let mut count = 0;
    let wait = Duration::from_millis(50);
    while let Ok(Some(item)) = timeout(wait, reader.next()).await {
        if let GroupItem::Event(event) = item.unwrap() {
            count += 1;
            let window = reader.time_window(stream).await.unwrap();
            seen.note(event.event().parse().unwrap(), window);
        }
    }
    let window = reader.time_window(stream).await.unwrap();
    seen.lower = seen.lower.max(window.lower().map(Timestamp::as_millis));
    count
}

#[tokio::test]
async fn without_noted_times_a_window_has_no_bounds() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "event").await.unwrap();
    let mut reader = factory.event_reader(&stream, Utf8).await.unwrap();
    assert_eq!(reader.time_window().await.unwrap(), TimeWindow::default());
    reader.next().await.unwrap().unwrap();
    assert_eq!(reader.time_window().await.unwrap(), TimeWindow::default());
}

#[tokio::test]
async fn the_window_of_a_stream_that_the_group_does_not_read_is_refused() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let other = new_stream(factory.controller(), 1).await;
    let configuration = ReaderGroupConfiguration::new([stream.clone()]).unwrap();
    let group = ScopedReaderGroup::new(stream.scope().clone(), "group".parse().unwrap());
    factory.create_reader_group(&group, &configuration).await.unwrap();
    let id = "one".parse().unwrap();
    let mut reader = factory.group_reader(&group, &id, Utf8).await.unwrap();
    assert_eq!(reader.time_window(&stream).await.unwrap(), TimeWindow::default());
    let refused = reader.time_window(&other).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(refused.to_string().contains(&other.to_string()), "{refused}");
    reader.close(FAR).await.unwrap();
}

#[tokio::test]
async fn the_window_of_a_stream_that_was_deleted_is_an_error_and_no_wait() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut reader = factory.event_reader(&stream, Utf8).await.unwrap();
    assert_eq!(reader.time_window().await.unwrap(), TimeWindow::default());
    factory.controller().seal_stream(&stream).await.unwrap();
    factory.controller().delete_stream(&stream).await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    let failed = timeout(FAR, reader.time_window()).await.unwrap().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotFound, "{failed}");
}
