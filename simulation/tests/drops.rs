//! Handles dropped in every order, inside and outside the runtime, after it, and while panicking:
//! no drop blocks or panics, and those who wait get an error.

mod common;

use std::{panic::AssertUnwindSafe, time::Duration};

use common::Cluster;
use pravega_sdk_event_stream::{Ack, EventWriter, SegmentContext, codec::Raw};
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::runtime::Runtime;
use tracing_subscriber::util::SubscriberInitExt as _;

enum Handle {
    Parts(SegmentContext),
    Writer(EventWriter<Raw>),
    Clone(EventWriter<Raw>),
    Ack(Ack),
    Runtime(Runtime),
}

/// All orders of the elements.
fn orders(rest: Vec<usize>) -> Vec<Vec<usize>> {
    if rest.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (at, first) in rest.iter().enumerate() {
        let mut others = rest.clone();
        others.remove(at);
        all.extend(orders(others).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Where {
    Inside,
    Outside,
    Panicking,
    WithoutRuntime,
}

fn check(order: &[usize], place: Where) {
    let runtime = runtime();
    let cluster = Cluster::new(1);
    // The store never acknowledges, so the ack stays pending.
    cluster.world.set_deaf();
    let (parts, writer, ack, observer) = runtime.block_on(async {
        let parts = cluster.context();
        let writer = EventWriter::open(parts.clone(), &cluster.stream, Raw, Default::default())
            .await
            .unwrap();
        let ack = writer.enqueue("k", "event").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let observer = writer.enqueue("k", "another").await.unwrap();
        (parts, writer, ack, observer)
    });
    let mut handles = vec![
        Some(Handle::Parts(parts)),
        Some(Handle::Clone(writer.clone())),
        Some(Handle::Writer(writer)),
        Some(Handle::Ack(ack)),
    ];
    let mut spare = None;
    match place {
        Where::WithoutRuntime => drop(runtime),
        Where::Inside => spare = Some(runtime),
        Where::Outside | Where::Panicking => handles.push(Some(Handle::Runtime(runtime))),
    }
    for at in order {
        let Some(handle) = handles.get_mut(*at).and_then(Option::take) else { continue };
        match place {
            Where::Inside => spare.as_ref().unwrap().block_on(async move { drop_one(handle) }),
            Where::Outside | Where::WithoutRuntime => drop_one(handle),
            Where::Panicking => {
                let unwound = std::panic::catch_unwind(AssertUnwindSafe(move || {
                    let _handle = handle;
                    std::panic::resume_unwind(Box::new("on purpose"));
                }));
                assert!(unwound.is_err());
            }
        }
    }
    drop(spare);
    drop(handles);
    let error = observer.result().expect("the ack fails with its runtime").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{order:?} {place:?}");
    assert_ne!(error.outcome(), Outcome::Applied, "{order:?} {place:?}");
}

fn drop_one(handle: Handle) {
    match handle {
        Handle::Parts(parts) => drop(parts),
        Handle::Writer(writer) | Handle::Clone(writer) => drop(writer),
        Handle::Ack(ack) => drop(ack),
        Handle::Runtime(runtime) => drop(runtime),
    }
}

#[test]
fn every_order_of_dropping_is_free() {
    // Otherwise each writer reports its events on standard error.
    tracing_subscriber::registry().try_init().ok();
    let all = orders((0..5).collect());
    assert_eq!(all.len(), 120);
    for order in &all {
        for place in [Where::Inside, Where::Outside, Where::Panicking, Where::WithoutRuntime] {
            check(order, place);
        }
    }
}

#[test]
fn what_was_enqueued_is_still_sent_when_the_last_handle_goes() {
    let runtime = runtime();
    let cluster = Cluster::new(1);
    runtime.block_on(async {
        let writer = cluster.writer().await;
        for number in 0..100 {
            drop(writer.enqueue("k", format!("{number}")).await.unwrap());
        }
        drop(writer);
        assert!(cluster.texts().is_empty(), "no event was sent yet");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(cluster.texts().len(), 100);
        assert_eq!(
            tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            0,
            "the tasks have ended"
        );
    });
}

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    let cluster = Cluster::new(1);
    let mut opening = Box::pin(cluster.writer_with(Default::default()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match opening.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::NoRuntime),
        other => panic!("{other:?}"),
    }
}
