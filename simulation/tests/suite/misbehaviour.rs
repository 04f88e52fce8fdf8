//! Stores, controllers and callers that break the rules.

use std::time::Duration;

use pravega_sdk_event_stream::{TryEnqueueError, WriterConfig};
use pravega_sdk_simulation::Misbehaviour;
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, SegmentId, Timestamp};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::{FailureCode, TokenFailure},
    commands::{
        AuthTokenCheckFailed, DataAppended, ErrorMessage, Hello, OperationUnsupported,
        SegmentCreated,
    },
};

use crate::common::{Cluster, block_on};

/// Changes acknowledgements, and no other reply.
fn acks(
    change: impl Fn(DataAppended) -> Vec<WireCommand> + Send + 'static,
) -> impl FnMut(WireCommand) -> Vec<WireCommand> {
    move |reply| match reply {
        WireCommand::DataAppended(ack) => change(ack),
        other => vec![other],
    }
}

fn lies() -> Vec<(&'static str, Misbehaviour)> {
    let number = |ack: DataAppended, by: i64| {
        DataAppended { event_number: ack.event_number + by, ..ack }.into()
    };
    vec![
        ("acknowledges what was not sent", Box::new(acks(move |ack| vec![number(ack, 5)]))),
        ("goes backwards", Box::new(acks(move |ack| vec![number(ack, -1)]))),
        (
            "claims to have acknowledged it before",
            Box::new(acks(|ack| {
                vec![DataAppended { previous_event_number: ack.event_number, ..ack }.into()]
            })),
        ),
        (
            "answers with something else",
            Box::new(acks(|ack| {
                vec![SegmentCreated { request_id: ack.request_id, segment: "a/b/0".into() }.into()]
            })),
        ),
        (
            "remembers more than was sent",
            Box::new(|reply| match reply {
                WireCommand::AppendSetup(mut set_up) => {
                    set_up.last_event_number = 1000;
                    vec![set_up.into()]
                }
                other => vec![other],
            }),
        ),
        (
            "answers what only clients send",
            Box::new(acks(|_| {
                vec![
                    WireCommand::Hello(Hello { high_version: 16, low_version: 5 }),
                    WireCommand::Padding(pravega_sdk_wire_protocol::commands::Padding {
                        length: 3,
                    }),
                ]
            })),
        ),
    ]
}

#[test]
fn a_store_that_lies_for_ever_is_never_believed() {
    for (what, lie) in lies() {
        block_on(async {
            let cluster = Cluster::new(1);
            cluster.world.set_misbehaviour(lie);
            let writer = cluster.writer().await;
            match writer.write("k", "event").await {
                // A store that lies about appends but not at set-ups turns out to have the event.
                Ok(_) => assert_eq!(cluster.texts(), ["event"], "{what}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
                    let is_there = !cluster.texts().is_empty();
                    assert!(error.outcome() == Outcome::Unknown || !is_there, "{what}: {error}");
                }
            }
        });
    }
}

#[test]
fn a_store_that_lies_once_costs_a_connection_and_nothing_else() {
    for (what, mut lie) in lies() {
        block_on(async {
            let cluster = Cluster::new(1);
            let mut lies_left = 2;
            cluster.world.set_misbehaviour(Box::new(move |reply| {
                let is_ack =
                    matches!(reply, WireCommand::DataAppended(_) | WireCommand::AppendSetup(_));
                if is_ack && lies_left > 0 {
                    lies_left -= 1;
                    return lie(reply);
                }
                vec![reply]
            }));
            let writer = cluster.writer().await;
            for event in ["first", "second", "third"] {
                writer.write("k", event).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            assert_eq!(cluster.texts(), ["first", "second", "third"], "{what}");
        });
    }
}

#[test]
fn a_reply_that_no_request_waits_for_is_ignored_and_costs_nothing() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.world.set_misbehaviour(Box::new(acks(|ack| {
            let stray = DataAppended { request_id: 99 << 32, ..ack.clone() };
            vec![stray.into(), ack.into()]
        })));
        let writer = cluster.writer().await;
        for event in ["first", "second"] {
            writer.write("k", event).await.unwrap();
        }
        assert_eq!((cluster.texts().len(), cluster.network.links()), (2, 1));
    });
}

#[test]
fn refusals_have_their_kinds_and_the_writer_can_be_used_on() {
    let refuse = |kind, refusal: fn(i64) -> WireCommand| {
        block_on(async {
            let cluster = Cluster::new(1);
            let mut is_first = true;
            cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
                WireCommand::AppendSetup(set_up) if std::mem::take(&mut is_first) => {
                    vec![refusal(set_up.request_id)]
                }
                other => vec![other],
            }));
            let writer = cluster.writer().await;
            let error = writer.write("k", "refused").await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error}");
            writer.write("k", "taken").await.unwrap();
            assert_eq!(cluster.texts(), ["taken"]);
        });
    };
    refuse(ErrorKind::PermissionDenied, |request_id| {
        let error_code = TokenFailure::Unspecified;
        AuthTokenCheckFailed { request_id, server_stack_trace: "".into(), error_code }.into()
    });
    refuse(ErrorKind::Unsupported, |request_id| {
        OperationUnsupported {
            request_id,
            operation_name: "append".into(),
            server_stack_trace: "".into(),
        }
        .into()
    });
    refuse(ErrorKind::InvalidArgument, |request_id| {
        let error_code = FailureCode::IllegalArgument;
        ErrorMessage { request_id, segment: "".into(), message: "no".into(), error_code }.into()
    });
}

#[test]
fn an_expired_token_is_renewed_without_an_error() {
    block_on(async {
        let cluster = Cluster::new(1);
        let mut left = 3;
        cluster.world.set_misbehaviour(Box::new(move |reply| match reply {
            WireCommand::AppendSetup(set_up) if left > 0 => {
                left -= 1;
                let error_code = TokenFailure::Expired;
                let request_id = set_up.request_id;
                vec![
                    AuthTokenCheckFailed { request_id, server_stack_trace: "".into(), error_code }
                        .into(),
                ]
            }
            other => vec![other],
        }));
        cluster.writer().await.write("k", "event").await.unwrap();
        assert_eq!((cluster.texts().len(), cluster.network.links()), (1, 1));
    });
}

#[test]
fn a_store_without_a_version_in_common_is_given_up_at_once() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.world.set_misbehaviour(Box::new(|reply| match reply {
            WireCommand::Hello(_) => vec![Hello { high_version: 4, low_version: 1 }.into()],
            other => vec![other],
        }));
        let error = cluster.writer().await.write("k", "event").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::IncompatibleServer, Outcome::NotApplied),
            "{error}"
        );
        assert!(!error.is_retryable());
        assert_eq!(cluster.network.links(), 1);
    });
}

#[test]
fn a_dead_store_fails_each_event_by_its_deadline_and_says_whether_it_was_sent() {
    block_on(async {
        let cluster = Cluster::new(1);
        let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(20));
        let writer = cluster.writer_with(config).await.unwrap();
        writer.write("k", "stored").await.unwrap();
        cluster.world.set_deaf();
        let started = tokio::time::Instant::now();
        let sent = writer.enqueue("k", "sent").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.world.set_store_up(0, false);
        cluster.network.reset(0);
        let unsent = writer.enqueue("k", "unsent").await.unwrap();
        let error = sent.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::Unknown),
            "{error}"
        );
        assert_eq!(started.elapsed().as_secs(), 20);
        let error = unsent.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::NotApplied),
            "{error}"
        );
        assert_eq!(started.elapsed().as_secs(), 25);
        assert!(error.attempts() > 3 && std::error::Error::source(&error).is_some(), "{error}");
        // The writer continues once the store is back, and does not resend the failed event.
        cluster.world.set_store_up(0, true);
        let begun = tokio::time::Instant::now();
        writer.write("k", "later").await.unwrap();
        // The store is still deaf; after half of the delivery timeout a set-up tells.
        assert!((10..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        assert!(!cluster.texts().contains(&"unsent".to_owned()));
    });
}

#[test]
fn a_silent_store_is_left_after_35_seconds() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.writer().await;
        writer.write("k", "first").await.unwrap();
        // The store stores appends and answers nothing, not even keep-alives.
        cluster.world.set_misbehaviour(Box::new(|reply| match reply {
            WireCommand::KeepAlive(_) | WireCommand::DataAppended(_) => vec![],
            other => vec![other],
        }));
        let started = tokio::time::Instant::now();
        writer.write("k", "second").await.unwrap();
        assert!((30..=36).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        assert_eq!(cluster.texts(), ["first", "second"], "the set-up shows that it was stored");
        assert_eq!(cluster.network.links(), 2);
    });
}

#[test]
fn other_segments_do_not_wait_for_the_one_in_trouble() {
    block_on(async {
        let cluster = Cluster::new(2);
        let writer = cluster.writer().await;
        // One key is of segment 0, one of segment 1; segment 0 is sealed, and has no successors for
        // a minute.
        let keys = ["key-0", "key-1", "key-2", "key-3"];
        let of = |segment: i64| {
            let position = |key: &&str| pravega_sdk_types::RoutingKey::from(*key).position();
            keys.into_iter().find(|key| (position(key) > 0.5) == (segment == 1)).unwrap()
        };
        cluster.world.begin_scale(
            &cluster.stream,
            vec![SegmentId::from(0)],
            KeyRange::equal(4)[..2].to_vec(),
        );
        let waiting = writer.enqueue(of(0), "waits").await.unwrap();
        for number in 0..100 {
            let write = writer.write(of(1), format!("{number}"));
            tokio::time::timeout(Duration::from_secs(1), write).await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(waiting.result().is_none());
        cluster.world.finish_scale();
        waiting.await.unwrap();
        assert_eq!(cluster.texts().len(), 101);
    });
}

#[test]
fn a_segment_that_was_truncated_away_hands_its_events_to_the_successors() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.writer().await;
        writer.write("k", "first").await.unwrap();
        cluster.world.begin_scale(&cluster.stream, vec![SegmentId::from(0)], KeyRange::equal(2));
        cluster.world.finish_scale();
        cluster.world.truncate_away(&cluster.stream, SegmentId::from(0));
        writer.write("k", "second").await.unwrap();
        assert_eq!(cluster.texts(), ["second"]);
    });
}

#[test]
fn a_stream_that_ends_fails_what_is_under_way_and_what_comes_later_by_kind() {
    for (kind, end) in [
        (ErrorKind::Sealed, (|cluster| cluster.world.seal_stream(&cluster.stream)) as fn(&Cluster)),
        (ErrorKind::NotFound, |cluster| cluster.world.delete_stream(&cluster.stream)),
    ] {
        block_on(async {
            let cluster = Cluster::new(2);
            let writer = cluster.writer().await;
            writer.write("a", "first").await.unwrap();
            end(&cluster);
            for _ in 0..2 {
                let error = writer.write("a", "late").await.unwrap_err();
                assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error}");
                assert!(!error.is_retryable());
            }
            assert_eq!(writer.flush().await.map_err(|error| error.kind()), Err(kind));
            assert_eq!(writer.flush().await.map_err(|error| error.kind()), Ok(()), "reported once");
            let error = cluster.writer_with(WriterConfig::default()).await.unwrap_err();
            assert_eq!(error.kind(), kind);
        });
    }
}

#[test]
fn misuse_is_refused_before_anything_is_sent() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.writer().await;
        let refused = |error: pravega_sdk_event_stream::WriteError, part: &str| {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::InvalidArgument, Outcome::NotApplied),
                "{error}"
            );
            assert!(error.to_string().contains(part), "{error}");
        };
        refused(
            writer.write("k", vec![0; (8 << 20) + 1]).await.unwrap_err(),
            "8388609 bytes, 8388608 are allowed",
        );
        refused(writer.write("x".repeat(10 << 20).as_str(), "e").await.unwrap_err(), "routing key");
        refused(writer.enqueue_batch("k", Vec::<Vec<u8>>::new()).await.unwrap_err(), "no events");
        refused(
            writer.reserve(10).await.unwrap().enqueue("k", vec![0; 5000]).unwrap_err(),
            "were reserved",
        );
        assert_eq!(cluster.network.links(), 0);
        // An event of exactly the limit, an empty event and an empty key are valid.
        writer.write("k", vec![b'x'; 8 << 20]).await.unwrap();
        writer.write("", "").await.unwrap();
        assert_eq!(cluster.texts().iter().map(String::len).collect::<Vec<_>>(), [8 << 20, 0]);
    });
}

#[test]
fn a_closed_writer_takes_nothing_and_can_be_closed_again() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = cluster.writer().await;
        let clone = writer.clone();
        let ack = writer.enqueue("k", "first").await.unwrap();
        let report = writer.close(Duration::from_secs(10)).await;
        assert_eq!(
            (report.acknowledged, report.failed, report.first_failure.is_none()),
            (1, 0, true)
        );
        ack.await.unwrap();
        let error = clone.write("k", "late").await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotApplied));
        assert!(matches!(clone.try_enqueue("k", "late"), Err(TryEnqueueError::Refused(_))));
        assert_eq!(clone.reserve(1).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(clone.close(Duration::from_secs(10)).await.acknowledged, 1);
    });
}

#[test]
fn a_close_that_cannot_be_finished_ends_by_its_deadline_and_says_what_is_left() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.world.set_deaf();
        let writer = cluster.writer().await;
        let acks =
            [writer.enqueue("k", "a").await.unwrap(), writer.enqueue("k", "b").await.unwrap()];
        let started = tokio::time::Instant::now();
        let report = writer.close(Duration::from_secs(3)).await;
        assert_eq!(started.elapsed().as_secs(), 3);
        assert_eq!((report.acknowledged, report.failed), (0, 2));
        assert_eq!(report.first_failure.unwrap().kind(), ErrorKind::Timeout);
        for ack in acks {
            assert_eq!(ack.await.unwrap_err().outcome(), Outcome::Unknown);
        }
    });
}

#[test]
fn a_full_writer_waits_or_says_so_and_drops_nothing() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.world.set_ack_delay(Duration::from_millis(100));
        let config = WriterConfig::default().with_max_in_flight_bytes(16 * 1024);
        let writer = cluster.writer_with(config).await.unwrap();
        let mut acks = Vec::new();
        let full = loop {
            match writer.try_enqueue("k", format!("{}", acks.len())) {
                Ok(ack) => acks.push(ack),
                Err(TryEnqueueError::Full(event)) => break event,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(acks.len(), 32, "each event counts for at least 512 bytes");
        assert_eq!(full, "32");
        assert!(tokio::time::timeout(Duration::from_millis(50), writer.reserve(1)).await.is_err());
        acks.push(writer.enqueue("k", full).await.unwrap());
        for ack in acks {
            ack.await.unwrap();
        }
        assert_eq!(cluster.texts(), (0..33).map(|number| number.to_string()).collect::<Vec<_>>());
        // Capacity that was reserved and not used is released.
        drop(writer.reserve(16 * 1024).await.unwrap());
        drop(writer.reserve(16 * 1024).await.unwrap());
    });
}

#[test]
fn a_write_without_faults_costs_one_connection_one_set_up_and_one_append() {
    block_on(async {
        let cluster = Cluster::new(4);
        let writer = cluster.writer().await;
        writer.write("k", "event").await.unwrap();
        let counters = cluster.world.counters();
        assert_eq!(
            (counters["AppendSetup"], counters["DataAppended"], counters["Hello"]),
            (1, 1, 1)
        );
    });
}

#[test]
fn time_is_noted_with_what_was_acknowledged() {
    block_on(async {
        let cluster = Cluster::new(2);
        let config = WriterConfig::default().with_writer_name("me".parse().unwrap());
        let writer = cluster.writer_with(config).await.unwrap();
        let appended = writer.write("k", "event").await.unwrap();
        writer.note_time(Timestamp::from_millis(77)).await.unwrap();
        let noted = cluster.controller.noted();
        let (name, position, time) = &noted[0];
        assert_eq!((name.to_string(), *time, noted.len()), ("me".to_owned(), 77, 1));
        let mut offsets: Vec<i64> =
            position.positions().map(|(_, offset)| offset.to_wire()).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, [-1, appended.stored_len() as i64]);
    });
}
