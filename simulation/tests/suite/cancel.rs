//! Every public call, dropped after each of its polls: no acknowledged event is lost, none is
//! doubled, and the writer continues.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{FutureExt as _, SinkExt as _, future::BoxFuture};
use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    ByteReader, ByteWriter, ByteWriterConfig, EventWriter, ReadEvent, ReaderConfig, SegmentTail,
    Transaction, WriterConfig,
    codec::{Raw, Utf8},
    index::{IndexWriter, IndexWriterConfig},
};
use pravega_sdk_simulation::{SimNetwork, World, link::Faults};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedSegment, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{Cluster, block_on, poll_times};

/// A cluster whose every answer takes time, so that every call has to wait.
fn slow_cluster() -> Cluster {
    let world = World::new(1);
    world.set_ack_delay(Duration::from_millis(10));
    let late = || Faults {
        delay: (Duration::from_millis(5), Duration::from_millis(9)),
        ..Faults::default()
    };
    let network = SimNetwork::new(&world, Box::new(move || (late(), late())));
    Cluster::with_network(world, network, 1)
}

/// A call that is dropped. It may write the event "dropped" once.
type Call = fn(EventWriter<Raw>) -> BoxFuture<'static, ()>;

fn calls() -> Vec<(&'static str, Call)> {
    vec![
        ("write", |writer| Box::pin(async move { drop(writer.write("k", "dropped").await) })),
        ("enqueue", |writer| Box::pin(async move { drop(writer.enqueue("k", "dropped").await) })),
        ("ack", |writer| {
            Box::pin(async move { drop(writer.enqueue("k", "dropped").await.unwrap().await) })
        }),
        ("batch", |writer| {
            Box::pin(
                async move { drop(writer.enqueue_batch("k", ["dropped"]).await.unwrap().await) },
            )
        }),
        ("write_at", |writer| {
            Box::pin(async move {
                let segment = ScopedSegment::new(writer.stream(), 0.into());
                let tail = SegmentTail::new(segment, 0.into());
                drop(writer.write_at("k", &tail, "dropped").await)
            })
        }),
        ("reserve", |writer| {
            Box::pin(async move {
                drop(writer.reserve(100).await.unwrap().enqueue("k", "dropped").unwrap().await)
            })
        }),
        ("flush", |writer| Box::pin(async move { drop(writer.flush().await) })),
        ("note_time", |writer| {
            let time = Timestamp::from_millis(1);
            Box::pin(async move { drop(writer.note_time(time).await) })
        }),
        ("sink", |writer| {
            Box::pin(async move { drop(writer.sink().send(("k", "dropped")).await) })
        }),
    ]
}

#[test]
fn a_call_that_is_dropped_anywhere_loses_and_doubles_nothing() {
    let mut drops = 0;
    for (name, call) in calls() {
        for polls in 0.. {
            drops += 1;
            let ended = block_on(async {
                let cluster = slow_cluster();
                let config = WriterConfig::default().with_max_in_flight_bytes(16 * 1024);
                let writer = cluster.writer_with(config).await.unwrap();
                // The capacity is used up, so that the call has to wait for some.
                let mut before = Vec::new();
                while let Ok(ack) = writer.try_enqueue("k", format!("before {}", before.len())) {
                    before.push(ack);
                }
                let ended = {
                    let mut dropped = pin!(call(writer.clone()));
                    poll_times(dropped.as_mut(), polls).await
                };
                writer.write("k", "after").await.unwrap();
                let count = before.len();
                for ack in before {
                    ack.await.unwrap();
                }
                let mut expected: Vec<String> =
                    (0..count).map(|number| format!("before {number}")).collect();
                let mut found = cluster.texts();
                found.retain(|text| text != "dropped");
                expected.push("after".to_owned());
                assert_eq!(found, expected, "{name} dropped after {polls} polls");
                let copies = cluster.texts().len() - found.len();
                assert!(copies <= 1, "{name} dropped after {polls} polls: {copies} copies");
                assert_eq!(
                    cluster.network.links(),
                    1,
                    "{name} dropped after {polls} polls cost a connection"
                );
                ended
            });
            if ended {
                assert!(polls > 1, "{name} had nothing to wait for");
                break;
            }
        }
    }
    println!("{drops} drops");
}

#[test]
fn an_open_that_is_dropped_anywhere_leaves_no_task_and_no_connection() {
    for polls in 0.. {
        let ended = block_on(async {
            let cluster = slow_cluster();
            let ended = {
                let mut opening = pin!(cluster.writer());
                poll_times(opening.as_mut(), polls).await
            };
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(cluster.network.links(), 0);
            assert_eq!(
                tokio::runtime::Handle::current().metrics().num_alive_tasks(),
                0,
                "after {polls} polls"
            );
            ended
        });
        if ended {
            break;
        }
    }
}

#[test]
fn a_close_that_is_dropped_anywhere_still_closes_and_delivers() {
    for polls in 0.. {
        let ended = block_on(async {
            let cluster = slow_cluster();
            let writer = cluster.writer().await;
            let ack = writer.enqueue("k", "first").await.unwrap();
            let ended = {
                let mut closing = pin!(writer.close(Duration::from_secs(10)));
                poll_times(closing.as_mut(), polls).await
            };
            ack.await.unwrap();
            assert_eq!(writer.write("k", "late").await.is_err(), polls > 0, "after {polls} polls");
            ended
        });
        if ended {
            break;
        }
    }
}

/// A reader whose calls are dropped again and again, after a number of polls, returns everything
/// once.
#[test]
fn a_read_that_is_dropped_anywhere_loses_and_doubles_nothing() {
    let events: Vec<String> = (0..20).map(|number| format!("event {number}")).collect();
    for polls in 0..12 {
        for batch in [1, 3] {
            block_on(async {
                let cluster = slow_cluster();
                cluster.fill(&events);
                cluster.world.set_max_reply(Some(40));
                let mut reader =
                    cluster.reader(ReaderConfig::default().with_max_read_bytes(60)).await;
                let mut found = Vec::new();
                for _ in 0..10_000 {
                    let next = async { reader.next_batch(batch).await };
                    let mut next = pin!(next.map(|batch| found.extend(batch.unwrap().unwrap())));
                    poll_times(next.as_mut(), polls).await;
                    if found.len() == events.len() {
                        break;
                    }
                    if polls == 0 {
                        // Without a poll there is no progress.
                        return;
                    }
                }
                let texts: Vec<String> = found.into_iter().map(ReadEvent::into_event).collect();
                assert_eq!(texts, events, "dropped after {polls} polls");
            });
        }
    }
}

#[test]
fn bytes_that_are_read_and_written_in_calls_dropped_anywhere_stay_as_they_are() {
    for polls in 1..12 {
        block_on(async {
            let cluster = slow_cluster();
            let config =
                ByteWriterConfig::default().with_seed(7).with_max_in_flight_bytes(16 * 1024);
            let mut writer =
                ByteWriter::open(cluster.context(), &cluster.stream, config).await.unwrap();
            let mut written = Vec::new();
            for number in 0..40_u8 {
                let piece = vec![number; 1000];
                let len = {
                    let mut write = pin!(writer.write(&piece));
                    let mut len = 0;
                    for _ in 0..polls {
                        if let Poll::Ready(taken) =
                            write.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                        {
                            len = taken.unwrap();
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(3)).await;
                    }
                    len
                };
                written.extend_from_slice(&piece[..len]);
                let mut flush = pin!(writer.flush());
                poll_times(flush.as_mut(), polls % 3).await;
            }
            writer.flush().await.unwrap();
            assert_eq!(writer.offset().0, written.len() as i64);
            let mut reader =
                ByteReader::open(cluster.context(), &cluster.stream, Default::default())
                    .await
                    .unwrap();
            let mut read = Vec::new();
            while read.len() < written.len() {
                let mut piece = [0; 700];
                let mut reading = pin!(reader.read(&mut piece));
                let mut len = 0;
                for _ in 0..polls {
                    if let Poll::Ready(taken) =
                        reading.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                    {
                        len = taken.unwrap();
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                read.extend_from_slice(&piece[..len]);
            }
            assert!(read == written, "dropped after {polls} polls");
        });
    }
}

/// After a call of a transaction is dropped, the transaction is in the stream as a whole or not at
/// all.
#[test]
fn a_transaction_whose_calls_are_dropped_anywhere_is_whole_or_absent() {
    type Step = fn(Transaction<Utf8>) -> BoxFuture<'static, ()>;
    let steps: Vec<(&str, Step)> = vec![
        ("commit", |transaction| Box::pin(async move { drop(transaction.commit().await) })),
        ("abort", |transaction| Box::pin(async move { drop(transaction.abort().await) })),
        ("leave_open", |transaction| Box::pin(async move { drop(transaction.leave_open().await) })),
        ("flush", |mut transaction| Box::pin(async move { drop(transaction.flush().await) })),
        ("write", |mut transaction| {
            Box::pin(async move { drop(transaction.write("k", "dropped").await) })
        }),
        ("status", |transaction| Box::pin(async move { drop(transaction.status().await) })),
    ];
    for (name, step) in steps {
        for polls in 0.. {
            let ended = block_on(async {
                let cluster = slow_cluster();
                let writer = cluster.transactions().await;
                let mut transaction = writer.begin().await.unwrap();
                let id = transaction.id();
                for number in 0..5 {
                    transaction.write("k", format!("event {number}")).await.unwrap();
                }
                let ended = {
                    let mut dropped = pin!(step(transaction));
                    poll_times(dropped.as_mut(), polls).await
                };
                // A transaction that was not decided runs out.
                tokio::time::sleep(Duration::from_secs(40)).await;
                let state = writer.status(id).await.unwrap();
                let found = cluster.texts();
                let whole: Vec<String> = (0..5).map(|number| format!("event {number}")).collect();
                match state {
                    TransactionState::Committed => {
                        assert_eq!(found, whole, "{name} after {polls} polls")
                    }
                    TransactionState::Aborted => {
                        assert!(found.is_empty(), "{name} after {polls} polls")
                    }
                    other => panic!("{name} after {polls} polls: {other:?}"),
                }
                assert!(name == "commit" || state == TransactionState::Aborted);
                ended
            });
            if ended {
                break;
            }
        }
    }
}

#[test]
fn a_begin_that_is_dropped_anywhere_leaves_no_transaction_open() {
    for polls in 0.. {
        let ended = block_on(async {
            let cluster = slow_cluster();
            let writer = cluster.transactions().await;
            let ended = {
                let mut beginning = pin!(writer.begin());
                poll_times(beginning.as_mut(), polls).await
            };
            tokio::time::sleep(Duration::from_secs(1)).await;
            let states = cluster.world.transaction_states();
            assert!(
                states.values().all(|state| *state == TransactionState::Aborted),
                "after {polls} polls: {states:?}"
            );
            ended
        });
        if ended {
            break;
        }
    }
}

#[test]
fn polls_that_are_not_due_do_no_harm() {
    block_on(async {
        let cluster = slow_cluster();
        let writer = cluster.writer().await;
        let mut write = pin!(writer.write("k", "event"));
        for _ in 0..100 {
            let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
        }
        write.await.unwrap();
        assert_eq!(cluster.texts(), ["event"]);
    });
}

#[test]
fn a_record_whose_append_was_dropped_in_its_middle_is_completed_by_the_next_call() {
    const RECORD: u32 = 1 << 20;
    for next in ["append", "flush"] {
        block_on(async {
            let cluster = slow_cluster();
            let config = IndexWriterConfig::default()
                .with_record_size(RECORD)
                .with_max_in_flight_bytes(300 << 10);
            let opened = IndexWriter::open(cluster.context(), &cluster.stream, config);
            let mut writer = opened.await.unwrap();
            let is_done = poll_times(pin!(writer.append(&[("number", 1)], b"one")), 1).await;
            assert!(!is_done, "its first part is taken");
            let whole = match next {
                "append" => {
                    let offset = writer.append(&[("number", 2)], b"two").await.unwrap();
                    assert_eq!(offset, i64::from(RECORD).into());
                    2
                }
                _ => 1,
            };
            writer.flush().await.unwrap();
            let (_, bytes) = cluster.world.bytes(&cluster.segment(0));
            assert_eq!(bytes.len(), whole * RECORD as usize, "{next}");
            let lower = writer.append(&[("number", 0)], b"three").await.unwrap_err();
            assert_eq!(lower.kind(), ErrorKind::InvalidArgument, "the dropped one counts");
        });
    }
}

#[test]
fn a_write_whose_bytes_are_taken_in_part_is_not_reported_as_not_applied() {
    block_on(async {
        let cluster = Cluster::new(1);
        cluster.world.set_store_up(0, true);
        let config = ByteWriterConfig::default()
            .with_max_in_flight_bytes(300 << 10)
            .with_delivery_timeout(Duration::from_secs(5));
        let opened = ByteWriter::open(cluster.context(), &cluster.stream, config);
        let mut writer = opened.await.unwrap();
        cluster.world.set_store_up(0, false);
        let error = writer.write_bytes(vec![7; 1 << 20].into()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert!(writer.offset().0 > 0);
    });
}

#[test]
fn a_write_that_is_not_polled_keeps_no_capacity_from_the_others() {
    block_on(async {
        let cluster = slow_cluster();
        // The least capacity, which 32 events of any length use up.
        let config = WriterConfig::default().with_max_in_flight_bytes(0);
        let writer = cluster.writer_with(config).await.unwrap();
        for number in 0..32 {
            drop(writer.enqueue("k", format!("event {number}")).await.unwrap());
        }
        // One that needs all of it waits, and then is left alone.
        let mut idle = Box::pin(writer.write("k", "x".repeat(20 << 10)));
        assert!(!poll_times(idle.as_mut(), 1).await);
        let begun = tokio::time::Instant::now();
        for number in 0..64 {
            writer.write("k", format!("event {number}")).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        idle.await.unwrap();
    });
}
