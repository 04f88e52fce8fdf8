//! Readers of stores that break the rules, of bytes that are not events, and beside readers that
//! make no progress.

use std::time::{Duration, Instant};

use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    ByteReader, ByteReaderConfig, CorruptEvents, EventReader, ReadUntil, ReaderConfig, codec::Raw,
};
use pravega_sdk_simulation::Misbehaviour;
use pravega_sdk_types::{BoundedCut, ErrorKind, KeyRange, Offset, Outcome, SegmentId, StreamCut};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{
        AuthTokenCheckFailed, ErrorMessage, SegmentCreated, SegmentIsTruncated, SegmentRead,
        WrongHost,
    },
};
use tokio::time::timeout;

use crate::common::{Cluster, block_on};

/// Changes the replies to reads, and no other reply.
fn reads(mut change: impl FnMut(SegmentRead) -> WireCommand + Send + 'static) -> Misbehaviour {
    Box::new(move |reply| match reply {
        WireCommand::SegmentRead(read) => vec![change(read)],
        other => vec![other],
    })
}

/// Changes the reply to every second read.
fn every_second(
    mut change: impl FnMut(SegmentRead) -> WireCommand + Send + 'static,
) -> Misbehaviour {
    let mut number = 0;
    reads(move |read| {
        number += 1;
        if number % 2 == 0 { change(read) } else { read.into() }
    })
}

async fn texts(cluster: &Cluster, count: usize) -> Vec<String> {
    let mut reader = cluster.reader(ReaderConfig::default().with_max_read_bytes(60)).await;
    let mut found = Vec::new();
    while found.len() < count {
        match timeout(Duration::from_secs(600), reader.next())
            .await
            .expect("an event in time")
            .unwrap()
        {
            Ok(event) => found.push(event.into_event()),
            Err(error) => panic!("{error}"),
        }
    }
    found
}

#[test]
fn what_a_store_gets_wrong_now_and_then_changes_nothing() {
    let request = |read: SegmentRead| read.request_id;
    let mistakes: Vec<(&str, Misbehaviour)> = vec![
        ("nothing", every_second(|read| SegmentRead { data: Default::default(), ..read }.into())),
        (
            "another store",
            every_second(move |read| {
                let (segment, request_id) = (read.segment.clone(), request(read));
                let (correct_host, server_stack_trace) = ("".into(), "".into());
                WrongHost { request_id, segment, correct_host, server_stack_trace }.into()
            }),
        ),
        (
            "an expired token",
            every_second(move |read| {
                let (request_id, server_stack_trace) = (request(read), "".into());
                AuthTokenCheckFailed {
                    request_id,
                    server_stack_trace,
                    error_code: TokenFailure::Expired,
                }
                .into()
            }),
        ),
        (
            "a failure",
            every_second(move |read| {
                let (segment, request_id) = (read.segment.clone(), request(read));
                let message = "it hurts".into();
                let error_code = FailureCode::Unspecified;
                ErrorMessage { request_id, segment, message, error_code }.into()
            }),
        ),
        (
            "something else",
            every_second(move |read| {
                SegmentCreated { request_id: request(read), segment: "a/b/0".into() }.into()
            }),
        ),
        (
            "more than was asked for",
            reads(|read| {
                let more = [read.data.clone(), vec![9; 8].into()].concat();
                let is_whole = read.data.len() >= 60;
                if is_whole {
                    SegmentRead { data: more.into(), ..read }.into()
                } else {
                    read.into()
                }
            }),
        ),
    ];
    for (name, mistake) in mistakes {
        let found = block_on(async {
            let cluster = Cluster::new(1);
            cluster.fill((0..40).map(|number| format!("event {number}")));
            cluster.world.set_misbehaviour(mistake);
            texts(&cluster, 40).await
        });
        let expected: Vec<String> = (0..40).map(|number| format!("event {number}")).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// The first error of a reader, and true if the reader continues after it.
async fn first_error(
    cluster: &Cluster,
    config: ReaderConfig,
) -> (pravega_sdk_event_stream::ReadError, bool) {
    let mut reader = cluster.reader(config).await;
    loop {
        match timeout(Duration::from_secs(600), reader.next()).await.expect("an error in time") {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let ended = timeout(Duration::from_millis(100), reader.next()).await;
                return (error, !matches!(ended, Ok(None)));
            }
            None => panic!("it ended without an error"),
        }
    }
}

#[test]
fn what_a_store_gets_wrong_every_time_is_told_and_ends_the_reader() {
    let lies: Vec<(ErrorKind, Misbehaviour)> = vec![
        (
            ErrorKind::Protocol,
            reads(|read| {
                SegmentCreated { request_id: read.request_id, segment: "a".into() }.into()
            }),
        ),
        (
            ErrorKind::PermissionDenied,
            // The real server sends the offset in place of the id, too.
            reads(|read| {
                let (request_id, server_stack_trace) = (read.offset, "".into());
                AuthTokenCheckFailed {
                    request_id,
                    server_stack_trace,
                    error_code: TokenFailure::Unspecified,
                }
                .into()
            }),
        ),
        (
            ErrorKind::Protocol,
            reads(|read| {
                let (segment, request_id, offset) =
                    (read.segment.clone(), read.request_id, read.offset);
                let (start_offset, server_stack_trace) = (0, "".into());
                SegmentIsTruncated { request_id, segment, start_offset, server_stack_trace, offset }
                    .into()
            }),
        ),
    ];
    for (kind, lie) in lies {
        block_on(async {
            let cluster = Cluster::new(1);
            cluster.fill(["event"]);
            cluster.world.set_misbehaviour(lie);
            let (error, goes_on) = first_error(&cluster, ReaderConfig::default()).await;
            assert_eq!((error.kind(), goes_on), (kind, false), "{error}");
            assert_eq!(error.segment(), Some(SegmentId::from(0)));
        });
    }
}

#[test]
fn an_answer_about_another_place_is_never_taken_for_the_one_asked_for() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill((0..10).map(|number| format!("event {number}")));
        cluster
            .world
            .set_misbehaviour(reads(|read| SegmentRead { offset: read.offset + 1, ..read }.into()));
        let (error, goes_on) = first_error(&cluster, ReaderConfig::default()).await;
        assert_eq!((error.kind(), goes_on), (ErrorKind::Protocol, false), "{error}");
    });
}

#[test]
fn a_segment_that_cannot_be_read_is_reported_and_tried_on() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill(["event"]);
        cluster.world.set_store_up(0, false);
        let config = ReaderConfig::default().with_stall_timeout(Duration::from_secs(20));
        let mut reader = cluster.reader(config).await;
        for _ in 0..2 {
            let error = timeout(Duration::from_secs(60), reader.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (ErrorKind::Unavailable, true),
                "{error}"
            );
            assert!(error.attempts() > 5, "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
        cluster.world.set_store_up(0, true);
        assert_eq!(reader.next().await.unwrap().unwrap().into_event(), "event");
    });
}

/// Bytes that are not an event; each follows a valid one.
fn damages() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("another type", vec![0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3]),
        ("a negative length", vec![0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("a length beyond the limit", vec![0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF]),
        ("a length beyond the segment", vec![0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3]),
        ("half a header", vec![0, 0, 0]),
    ]
}

#[test]
fn what_is_no_event_ends_the_reader_or_is_skipped_up_to_the_tail() {
    for (name, damage) in damages() {
        block_on(async {
            let cluster = Cluster::new(1);
            cluster.fill(["good"]);
            cluster.world.append_raw(&cluster.segment(0), &damage);
            let (error, goes_on) = first_error(&cluster, ReaderConfig::default()).await;
            assert_eq!(
                (error.kind(), error.offset(), goes_on),
                (ErrorKind::Corrupt, Some(Offset(12)), false),
                "{name}"
            );
            let mut skipping = cluster
                .reader(ReaderConfig::default().with_corrupt_events(CorruptEvents::Skip))
                .await;
            assert_eq!(skipping.next().await.unwrap().unwrap().into_event(), "good");
            let told = timeout(Duration::from_secs(60), skipping.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap_err();
            assert_eq!(
                (told.kind(), told.offset()),
                (ErrorKind::Corrupt, Some(Offset(12))),
                "{name}: {told}"
            );
            assert!(timeout(Duration::from_secs(1), skipping.next()).await.is_err());
            cluster.fill(["behind"]);
            let next =
                timeout(Duration::from_secs(60), skipping.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(next.event(), "behind", "{name}");
            assert_eq!(next.offset().0, 12 + damage.len() as i64);
            // And at the end of a sealed segment.
            cluster.world.seal_stream(&cluster.stream);
            assert!(skipping.next().await.is_none(), "{name}");
        });
    }
}

#[test]
fn an_event_that_is_cut_off_by_the_end_of_its_segment_is_told() {
    for (name, damage) in damages() {
        block_on(async {
            let cluster = Cluster::new(1);
            cluster.fill(["good"]);
            cluster.world.append_raw(&cluster.segment(0), &damage);
            cluster.world.seal_stream(&cluster.stream);
            let (error, goes_on) = first_error(&cluster, ReaderConfig::default()).await;
            assert_eq!((error.kind(), goes_on), (ErrorKind::Corrupt, false), "{name}: {error}");
        });
    }
}

#[test]
fn an_event_that_the_codec_refuses_is_passed_over_with_an_error() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill([&b"text"[..], &[0xFF, 0xFE], b"more"]);
        let mut reader = cluster.reader(ReaderConfig::default()).await;
        let batch = reader.next_batch(10).await.unwrap().unwrap();
        assert_eq!(batch.len(), 1, "an error comes after the events before it");
        let error = reader.next_batch(10).await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(Offset(12))));
        assert_eq!(reader.next().await.unwrap().unwrap().event(), "more");
    });
}

#[test]
fn a_cut_that_leaves_out_a_segment_is_refused_when_a_reader_is_opened() {
    block_on(async {
        let cluster = Cluster::new(2);
        cluster.world.begin_scale(&cluster.stream, vec![0.into(), 1.into()], KeyRange::equal(1));
        cluster.world.finish_scale();
        let half =
            BoundedCut::new(cluster.stream.clone(), [(SegmentId::from(0), Offset(0))]).unwrap();
        let empty = BoundedCut::empty(cluster.stream.clone());
        for cut in [half, empty] {
            let configs = [
                ReaderConfig::default().with_start(cut.clone()),
                ReaderConfig::default().with_end(ReadUntil::Cut(cut)),
            ];
            for config in configs {
                let opened =
                    EventReader::open(cluster.context(), &cluster.stream, Raw, config).await;
                let refused = opened.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidStreamCut, "{refused}");
            }
        }
    });
}

#[test]
fn truncation_under_a_reader_is_told_once_and_positions_only_move_forward() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill((0..40).map(|number| format!("event {number:02}")));
        let mut reader = cluster.reader(ReaderConfig::default().with_max_read_bytes(40)).await;
        assert_eq!(reader.next().await.unwrap().unwrap().event(), "event 00");
        let before = reader.stream_cut();
        cluster.world.truncate(&cluster.stream, &[(SegmentId::from(0), Offset(16 * 30))].into());
        let (mut errors, mut last) = (0, 0);
        while last < 39 {
            match reader.next().await.unwrap() {
                Ok(event) => last = event.event()[6..].parse().unwrap(),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Truncated);
                    assert!(error.to_string().contains("truncated up to 480"), "{error}");
                    errors += 1;
                }
            }
        }
        assert_eq!(errors, 1);
        let (start, end) =
            (before.offset(0.into()).unwrap(), reader.stream_cut().offset(0.into()).unwrap());
        assert_eq!((start, end), (Offset(16).into(), Offset(16 * 40).into()));
    });
}

#[test]
fn a_reader_without_progress_does_not_delay_others_on_its_connection() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.fill((0..20_000).map(|number| format!("event {number} {}", "x".repeat(100))));
        let parts = cluster.context();
        let open = || {
            EventReader::open(
                parts.clone(),
                &cluster.stream,
                Raw,
                ReaderConfig::default().with_seed(7),
            )
        };
        let mut alone = open().await.unwrap();
        let started = tokio::time::Instant::now();
        let real = Instant::now();
        for _ in 0..20_000 {
            alone.next().await.unwrap().unwrap();
        }
        let (quick, took) = (started.elapsed(), real.elapsed());
        // It requested as much as its budget allows, and takes none of it.
        let mut still = open().await.unwrap();
        still.next().await.unwrap().unwrap();
        let mut other = open().await.unwrap();
        let (started, real) = (tokio::time::Instant::now(), Instant::now());
        for _ in 0..20_000 {
            other.next().await.unwrap().unwrap();
        }
        assert!(
            started.elapsed() <= quick + quick / 10 + Duration::from_millis(5),
            "{:?}",
            started.elapsed()
        );
        println!("alone {took:?}, beside the other {:?}", real.elapsed());
        assert_eq!(cluster.network.links(), 1);
        // It continues at its position.
        for _ in 1..20_000 {
            still.next().await.unwrap().unwrap();
        }
    });
}

#[test]
fn handles_can_be_dropped_outside_the_runtime_and_after_it() {
    for is_after in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let handles = runtime.block_on(async {
            let cluster = Cluster::new(1);
            cluster.fill(["event", "another"]);
            let mut reader = cluster.reader(ReaderConfig::default()).await;
            reader.next().await.unwrap().unwrap();
            let writer = cluster.transactions().await;
            let mut transaction = writer.begin().await.unwrap();
            transaction.write("k", "event").await.unwrap();
            let bytes =
                ByteReader::open(cluster.context(), &cluster.stream, ByteReaderConfig::default())
                    .await
                    .unwrap();
            (reader, transaction, writer, bytes)
        });
        if is_after {
            drop(runtime);
            drop(handles);
        } else {
            drop(handles);
            runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
        }
    }
}

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    let cluster = block_on(async { Cluster::new(1) });
    let parts = block_on(async { cluster.context() });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut opening =
        Box::pin(EventReader::open(parts.clone(), &cluster.stream, Raw, ReaderConfig::default()));
    match opening.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
        other => panic!("{other:?}"),
    }
    let mut opening =
        Box::pin(ByteReader::open(parts, &cluster.stream, ByteReaderConfig::default()));
    match opening.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_text_of_a_cut_that_is_none_names_the_step() {
    assert!("H4sIAAAA".parse::<StreamCut>().unwrap_err().to_string().contains("gzip"));
}

#[test]
fn a_commit_whose_events_could_not_be_written_did_not_take_effect() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.transactions().await;
        let mut transaction = writer.begin().await.unwrap();
        let id = transaction.id();
        transaction.write("k", "event").await.unwrap();
        // The store stores the event, and answers neither it nor a set-up that asks what is stored,
        // so its outcome is unknown.
        cluster.world.set_misbehaviour(Box::new(|reply| match reply {
            WireCommand::DataAppended(_) | WireCommand::AppendSetup(_) => Vec::new(),
            other => vec![other],
        }));
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::NotApplied),
            "{error}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(writer.status(id).await.unwrap(), TransactionState::Aborted);
    });
}
