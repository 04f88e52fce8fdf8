//! No public call hangs: under every fault, each ends by its deadline with the right kind and
//! outcome.

mod calls;
mod faults;
#[path = "../../../tests/calls/listed.rs"]
mod listed;
mod seen;
#[path = "../common/sum.rs"]
mod sum;
mod table;

use std::{collections::BTreeSet, time::Duration};

use calls::{Act, CALLS, Call};
use faults::{Cluster, FAULTS, Fault};
use seen::Seen;
use table::{ELSEWHERE, End, ROWS};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, timeout},
};
use tracing_subscriber::util::SubscriberInitExt as _;

/// A call that takes longer hangs.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Makes a call under a fault. Returns how it ended, and after how long.
fn run(call: &Call, fault: Fault) -> (Option<Seen>, Duration) {
    let first = runtime();
    let (cluster, Act(act)) = first.block_on(async {
        let cluster = Cluster::new();
        let act = (call.prepare)(cluster.clone()).await;
        cluster.raise(fault).await;
        (cluster, act)
    });
    let timed = async {
        let started = Instant::now();
        (timeout(FOREVER, act).await.ok(), started.elapsed())
    };
    let ended = if fault == Fault::RuntimeEnded {
        drop(first);
        runtime().block_on(timed)
    } else {
        first.block_on(timed)
    };
    drop(cluster);
    ended
}

/// The end of a call under a fault is not the right one.
fn problem(call: &Call, fault: Fault, right: End) -> Option<String> {
    let End(expected, seconds) = right;
    let (seen, after) = run(call, fault);
    let is_right = seen == Some(expected) && after <= Duration::from_secs(seconds + 1);
    (!is_right).then(|| {
        let name = call.name;
        format!("{name}, {fault:?}: {seen:?} after {after:?}, not {expected:?} by {seconds} s")
    })
}

#[test]
fn every_call_under_every_fault_ends_by_its_deadline_as_the_table_says() {
    // Writers whose runtime ends would report on standard error.
    tracing_subscriber::registry().try_init().ok();
    let mut problems = Vec::new();
    for row in ROWS {
        for call in CALLS.iter().filter(|call| row.calls.contains(&call.name)) {
            for (fault, right) in FAULTS.into_iter().zip(row.ends) {
                problems.extend(problem(call, fault, right));
            }
        }
    }
    assert!(problems.is_empty(), "{} cells: {problems:#?}", problems.len());
}

#[test]
fn no_public_call_is_missing_from_the_table() {
    let made: BTreeSet<&str> = CALLS.iter().map(|call| call.name).collect();
    let in_table: Vec<&str> = ROWS.iter().flat_map(|row| row.calls).copied().collect();
    assert_eq!(in_table.len(), made.len(), "one row for each");
    assert_eq!(in_table.into_iter().collect::<BTreeSet<_>>(), made);
    let is_elsewhere = |call: &str| ELSEWHERE.iter().any(|(part, _)| call.starts_with(part));
    let listed = listed::listed();
    let missing: Vec<_> =
        listed.iter().filter(|call| !made.contains(call.as_str()) && !is_elsewhere(call)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(made.iter().all(|call| listed.contains(*call)), "the list has no such call");
}
