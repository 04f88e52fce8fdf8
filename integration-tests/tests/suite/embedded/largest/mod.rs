//! The largest message of every call and of every command, sent by one client while another
//! appends: how long the other one waits.
//!
//! ```text
//! calls      gRPC: 4 MiB, or the most segments of a stream
//! commands   frames of 16 MiB, lists of the most elements, the longest names
//! rest       bodies and paths of the most bytes
//! other      the client that appends
//! ```
//!
//! `cargo test --release -p pravega-sdk-integration-tests --test suite by_hand_largest --
//! --ignored --nocapture` prints the waits for a server in memory and one in a folder; the tool
//! must be built first: `cargo build --release -p pravega-sdk-cli`.

mod calls;
mod commands;
mod other;
mod rest;

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use pravega_sdk_integration_tests::harness::FAR;
use tokio::time::{sleep, timeout};

use self::other::Other;
use super::{bounds::store_port, process::Process};

/// The goal, with a build for use on a quiet machine.
const GOAL: Duration = Duration::from_millis(20);
/// The other client waits for no longer than this with a build for tests, on a machine with other
/// work.
const MOST: Duration = Duration::from_millis(20 * 20);

/// A message of a client; it is sent once this is polled, and ends with the answer, or with the
/// connection.
type Sent = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a message is, and its sending.
struct Large {
    what: String,
    send: Sent,
}

impl Large {
    fn new(what: impl Into<String>, send: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { what: what.into(), send: Box::pin(send) }
    }
}

/// How long something took, and how long the other client waited meanwhile, and without it.
struct Wait {
    what: String,
    took: Duration,
    waited: Duration,
    quiet: Duration,
}

/// How often the wait without any message is measured.
#[derive(Clone, Copy, PartialEq)]
enum Quiet {
    Once,
    /// For each message, for as long as it took.
    Each,
}

/// Sends all messages to a server.
async fn measure(arguments: &[&str], quiet: Quiet) -> Vec<Wait> {
    let process = Process::start(arguments);
    let store = store_port(&process).await;
    let other = Other::start(store);
    sleep(Duration::from_millis(300)).await;
    let mut without = other.longest();
    let mut waits = Vec::new();
    let all = [
        calls::all(process.port()).await,
        commands::all(store).await,
        rest::all(process.rest_address()).await,
    ];
    for Large { what, send } in all.into_iter().flatten() {
        other.longest();
        let begun = Instant::now();
        timeout(FAR, send).await.unwrap_or_else(|_| panic!("{what} has no answer"));
        let took = begun.elapsed();
        let waited = other.longest();
        if quiet == Quiet::Each {
            sleep(took.clamp(Duration::from_millis(20), Duration::from_secs(1))).await;
            without = other.longest();
        }
        waits.push(Wait { what, took, waited, quiet: without });
    }
    waits
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn print(waits: &[Wait]) {
    println!("{:52} {:>10} {:>12} {:>12}", "message", "took, ms", "other, ms", "without, ms");
    for Wait { what, took, waited, quiet } in waits {
        let (took, waited, quiet) = (millis(*took), millis(*waited), millis(*quiet));
        println!("{what:52} {took:10.2} {waited:12.2} {quiet:12.2}");
    }
}

/// The messages by which the other client waits for longer than some time.
fn above(waits: &[Wait], most: Duration) -> BTreeSet<String> {
    let is_above = |wait: &&Wait| wait.waited > most.max(4 * wait.quiet);
    waits.iter().filter(is_above).map(|wait| wait.what.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_holds_another_client_up() {
    let waits = measure(&[], Quiet::Once).await;
    print(&waits);
    let mut slow = above(&waits, MOST);
    if !slow.is_empty() {
        // Other work of the machine holds up a client, too, but not at the same message twice.
        let again = measure(&[], Quiet::Once).await;
        print(&again);
        slow = &slow & &above(&again, MOST);
    }
    assert!(slow.is_empty(), "another client waits for more than {MOST:?}: {slow:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure, no check: bench/README.md has the command"]
async fn by_hand_largest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    for arguments in [&[][..], &["--dir", folder.to_str().unwrap()]] {
        println!("pravega dev {}", arguments.join(" "));
        let waits = measure(arguments, Quiet::Each).await;
        print(&waits);
        println!("longer than {GOAL:?}: {:?}\n", above(&waits, GOAL));
    }
}
