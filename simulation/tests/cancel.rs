//! Every public call, dropped after each of its polls: nothing that was acknowledged is lost, nothing is doubled, and the
//! writer goes on.

mod common;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Cluster, block_on};
use futures_util::{SinkExt as _, future::BoxFuture};
use pravega_sdk_event_stream::{EventWriter, WriterConfig, codec::Raw};
use pravega_sdk_simulation::{SimNetwork, World, link::Faults};

/// Polls a future that many times, with time in between for everybody else. Says whether it ended.
async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> bool {
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    false
}

/// A cluster whose every answer takes a while, and little room, so that there is something to wait for everywhere.
fn slow_cluster() -> Cluster {
    let world = World::new(1);
    world.set_ack_delay(Duration::from_millis(10));
    let late = || Faults { delay: (Duration::from_millis(5), Duration::from_millis(9)), ..Faults::default() };
    let network = SimNetwork::new(&world, Box::new(move || (late(), late())));
    Cluster::with_network(world, network, 1)
}

/// What is dropped: it may write the event "dropped", once.
type Call = fn(EventWriter<Raw>) -> BoxFuture<'static, ()>;

fn calls() -> Vec<(&'static str, Call)> {
    vec![
        ("write", |writer| Box::pin(async move { drop(writer.write("k", "dropped").await) })),
        ("enqueue", |writer| Box::pin(async move { drop(writer.enqueue("k", "dropped").await) })),
        ("ack", |writer| Box::pin(async move { drop(writer.enqueue("k", "dropped").await.unwrap().await) })),
        ("batch", |writer| Box::pin(async move { drop(writer.enqueue_batch("k", ["dropped"]).await.unwrap().await) })),
        ("write_at", |writer| Box::pin(async move { drop(writer.write_at("k", 0.into(), "dropped").await) })),
        ("reserve", |writer| {
            Box::pin(async move { drop(writer.reserve(100).await.unwrap().enqueue("k", "dropped").unwrap().await) })
        }),
        ("flush", |writer| Box::pin(async move { drop(writer.flush().await) })),
        ("note_time", |writer| Box::pin(async move { drop(writer.note_time(1).await) })),
        ("sink", |writer| Box::pin(async move { drop(writer.sink().send(("k", "dropped")).await) })),
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
                // The room is used up, so that the call has to wait for some.
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
                let mut expected: Vec<String> = (0..count).map(|number| format!("before {number}")).collect();
                let mut found = cluster.texts();
                found.retain(|text| text != "dropped");
                expected.push("after".to_owned());
                assert_eq!(found, expected, "{name} dropped after {polls} polls");
                let copies = cluster.texts().len() - found.len();
                assert!(copies <= 1, "{name} dropped after {polls} polls: {copies} copies");
                assert_eq!(cluster.network.links(), 1, "{name} dropped after {polls} polls cost a connection");
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
fn an_open_that_is_dropped_anywhere_leaves_nothing_behind() {
    for polls in 0.. {
        let ended = block_on(async {
            let cluster = slow_cluster();
            let ended = {
                let mut opening = pin!(cluster.writer());
                poll_times(opening.as_mut(), polls).await
            };
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(cluster.network.links(), 0);
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "after {polls} polls");
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
