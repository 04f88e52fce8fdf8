//! Every public call of a handle whose runtime has ended, and every one outside a runtime, ends
//! with an error of its own kind: none panics, none waits.

#![cfg(feature = "embedded")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod calls;

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, OnceLock, mpsc},
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::Duration,
};

use calls::{handles::Handles, log::Log, seen::Seen};
use pravega_sdk::{ErrorKind, Outcome, embedded::EmbeddedServer};
use tokio::runtime::{Builder, Runtime};

/// The calls that work after the end of their handle's runtime, in another one: those that create
/// something on the runtime of the caller, those of a pool, which goes on there, and those of a
/// segment whose store is known.
const WORK_ELSEWHERE: &[&str] = &[
    "batch: client.fetch",
    "bytes: reader.head_offset",
    "bytes: reader.tail_offset",
    "bytes: writer.head_offset",
    "bytes: writer.seek_to_tail",
    "bytes: writer.tail_offset",
    "bytes: writer.truncate",
    "controller: credentials.authorization",
    "controller: endpoints.endpoint",
    "controller: tokens.token",
    "embedded: Embedded::with",
    "embedded: builder.start",
    "embedded: pravega.shutdown",
    "embedded: pravega_sdk::embedded",
    "embedded: pravega_sdk::embedded::backup",
    "embedded: pravega_sdk::embedded::salvage",
    "embedded: server.shutdown",
    "factory: ClientFactory::connect",
    "factory: client.close",
    "factory: client.table_segment",
    "factory: client.table_segment_with",
    "factory: client.table_synchronizer",
    "factory: client.table_synchronizer_with",
    "reader_groups: group.cancel_checkpoints",
    "reader_groups: group.configuration",
    "reader_groups: group.describe",
    "reader_groups: group.online_readers",
    "reader_groups: group.reader_offline",
    "reader_groups: group.take_out_dead",
    "reader_groups: watch.next",
    "groups: election.resign",
    "groups: election.round",
    "groups: members.leave",
    "groups: members.round",
    "index: reader.first",
    "index: reader.last",
    "index: reader.search",
    "index: writer.truncate",
    "key_value_tables: entries.next",
    "key_value_tables: table.exists",
    "key_value_tables: table.get",
    "key_value_tables: table.get_all",
    "key_value_tables: table.insert",
    "key_value_tables: table.put",
    "key_value_tables: table.put_all",
    "key_value_tables: table.put_at",
    "key_value_tables: table.remove",
    "key_value_tables: table.remove_all",
    "key_value_tables: table.remove_at",
    "key_value_tables: watch.next",
    "pool: pool.claim",
    "pool: pool.claim_at",
    "pool: pool.claim_shared",
    "pool: pool.claim_shared_at",
    "pool: pool.close",
    "pool: pool.drain",
    "pool: pool.set_policy",
    "pool: pool.snapshot",
    "recipes: counter.add",
    "recipes: counter.value",
    "recipes: guard.release",
    "recipes: guard.renew",
    "recipes: lock.acquire",
    "recipes: lock.try_acquire",
    "recipes: map.insert",
    "recipes: map.refresh",
    "recipes: map.remove",
    "revisioned_streams: stream.entries",
    "revisioned_streams: stream.entries_between",
    "revisioned_streams: stream.follow",
    "revisioned_streams: stream.latest_revision",
    "revisioned_streams: stream.mark",
    "revisioned_streams: stream.oldest_revision",
    "states: state.bytes_since_compaction",
    "states: state.fetch",
    "segment_attributes: attributes.compare_and_set",
    "segment_attributes: attributes.value",
    "store_connections: client.close",
    "store_connections: client.connection",
    "store_connections: client.exchange",
    "store_connections: client.read",
    "store_connections: client.request",
    "store_connections: dialer.connect",
    "store_connections: dialer.connect_stream",
    "store_connections: pool.connection",
    "store_connections: pool.drain",
    "store_connections: pool.snapshot",
    "store_connections: pool.stream",
    "synchronizers: TableSynchronizer::delete",
    "synchronizers: TableSynchronizer::open",
    "synchronizers: TableSynchronizer::open_existing",
    "synchronizers: table.clean",
    "synchronizers: table.close",
    "synchronizers: table.fetch",
    "synchronizers: table.update",
    "tables: TableSegment::create",
    "tables: TableSegment::open",
    "tables: deltas.next",
    "tables: items.next",
    "tables: table.delete",
    "tables: table.delete_if_empty",
    "tables: table.get",
    "tables: table.info",
    "tables: table.put",
    "tables: table.read",
    "tables: table.remove",
    "typed_tables: entries.next",
    "typed_tables: table.exists",
    "typed_tables: table.get",
    "typed_tables: table.get_all",
    "typed_tables: table.insert",
    "typed_tables: table.put",
    "typed_tables: table.put_at",
    "typed_tables: table.remove",
    "typed_tables: table.remove_at",
];

/// The calls that return what came before the end.
const WERE_DONE: &[&str] = &[
    "event_writer: ack",
    "event_writer: writer.close",
    "keyed_event_writer: writer.close",
    // The reader has ended with an error.
    "event_reader: reader.next_batch",
    "group_readers: reader.next_batch",
    "group_readers: notices.next",
    // The writer has moved to the end, on the runtime of the caller.
    "bytes: writer.shutdown",
    "bytes: writer.seal",
];

const CLOSED: Seen = Seen::Fails(ErrorKind::Closed, Outcome::NotApplied);
const NO_RUNTIME: Seen = Seen::Fails(ErrorKind::NoRuntime, Outcome::NotApplied);

/// Returns the ends of a call that are right. Every call of `log` must have one of them.
fn check(log: &Log, right: impl Fn(&str) -> Vec<Seen>) {
    let wrong: Vec<_> = log.0.iter().filter(|(call, seen)| !right(call).contains(seen)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The deadline of a test, far beyond the time that it takes.
const FAR: Duration = Duration::from_secs(120);

/// Returns the URL of a server with a runtime of its own.
fn server() -> String {
    static SERVER: OnceLock<(Runtime, EmbeddedServer)> = OnceLock::new();
    let (_, server) = SERVER.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(EmbeddedServer::builder().start()).unwrap();
        (runtime, server)
    });
    server.url()
}

/// Runs a future on a thread without a runtime.
fn block_on_no_runtime<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Makes every call on a thread of its own, which must end.
fn log_of(make: impl FnOnce() -> Log + Send + 'static) -> Log {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(make()).ok());
    told.recv_timeout(FAR).expect("all calls end, and none panics")
}

fn runtimes() -> [Runtime; 2] {
    let build = |mut builder: Builder| builder.enable_all().build().unwrap();
    [build(Builder::new_multi_thread()), build(Builder::new_current_thread())]
}

/// Returns how each call ends on the runtime of its handle.
fn inside() -> Log {
    log_of(|| {
        let runtime = Runtime::new().unwrap();
        let handles = runtime.block_on(Handles::open(&server()));
        runtime.block_on(handles.call_all())
    })
}

#[test]
fn no_public_call_is_missing() {
    let log = inside();
    let called: BTreeSet<String> = log.0.keys().map(|call| (*call).to_owned()).collect();
    assert_eq!(called, calls::listed::listed());
    assert!(!log.0.values().any(|seen| [CLOSED, NO_RUNTIME, Seen::Panics].contains(seen)));
}

#[test]
fn after_the_end_of_its_runtime_every_call_fails_at_once_and_changes_nothing() {
    for ended in runtimes() {
        let log = log_of(move || {
            let handles = ended.block_on(Handles::open(&server()));
            drop(ended);
            Runtime::new().unwrap().block_on(handles.call_all())
        });
        check(&log, |call| match call {
            "store_connections: StoreConnection::open" => {
                vec![Seen::Fails(ErrorKind::ConnectionLost, Outcome::Unknown)]
            }
            // The group has no checkpoint yet, which is all that it asks for.
            "reader_groups: group.reset_to_last_checkpoint" => {
                vec![Seen::Fails(ErrorKind::ConditionFailed, Outcome::NotApplied)]
            }
            call if WORK_ELSEWHERE.contains(&call) || WERE_DONE.contains(&call) => {
                vec![Seen::Works]
            }
            _ => vec![CLOSED],
        });
    }
}

#[test]
fn after_the_end_of_its_runtime_every_call_outside_a_runtime_fails_at_once_too() {
    for ended in runtimes() {
        let log = log_of(move || {
            let handles = ended.block_on(Handles::open(&server()));
            drop(ended);
            block_on_no_runtime(handles.call_all())
        });
        check(&log, |call| match call {
            // The transaction was committed before.
            "transactions: commit.wait_until_visible" => {
                vec![Seen::Fails(ErrorKind::NoRuntime, Outcome::Applied)]
            }
            call if WORK_ELSEWHERE.contains(&call) => vec![Seen::Works, NO_RUNTIME],
            call if WERE_DONE.contains(&call) => vec![Seen::Works, CLOSED],
            _ => vec![CLOSED, NO_RUNTIME],
        });
    }
}

#[test]
fn outside_a_runtime_a_call_works_as_inside_or_says_that_there_is_none() {
    let inside = inside();
    let log = log_of(|| {
        let running = Runtime::new().unwrap();
        let handles = running.block_on(Handles::open(&server()));
        let log = block_on_no_runtime(handles.call_all());
        drop(running);
        log
    });
    check(&log, |call| match call {
        "transactions: commit.wait_until_visible" => {
            vec![Seen::Fails(ErrorKind::NoRuntime, Outcome::Applied)]
        }
        call => vec![inside.0[call], NO_RUNTIME],
    });
}
