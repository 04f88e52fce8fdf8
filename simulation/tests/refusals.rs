//! Mistakes of the caller: the client tells them for what they are, at once.

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{Cluster, block_on};
use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    SeededBug, TransactionConfig, TransactionError, TransactionalWriter, WriterConfig, codec::Utf8,
};
use pravega_sdk_simulation::misuse_scenario;
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::time::Instant;
use tracing_subscriber::util::SubscriberInitExt as _;

async fn writer(cluster: &Cluster, config: TransactionConfig) -> TransactionalWriter<Utf8> {
    TransactionalWriter::open(cluster.context(), &cluster.stream, Utf8, config).await.unwrap()
}

/// Begins a transaction on a stream that is sealed after its writer was opened.
async fn begin_on_sealed(config: TransactionConfig) -> TransactionError {
    let cluster = Cluster::new(2);
    let writer = writer(&cluster, config).await;
    cluster.world.seal_stream(&cluster.stream);
    let started = Instant::now();
    let error = writer.begin().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    error
}

#[test]
fn a_transaction_on_a_sealed_stream_is_refused_as_sealed() {
    let error = block_on(begin_on_sealed(TransactionConfig::default()));
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Sealed, Outcome::NotApplied));
}

#[test]
fn a_client_that_passes_the_failure_on_is_caught() {
    let config = WriterConfig::default().with_seeded_bug(SeededBug::PassesFailuresOn);
    let error = block_on(begin_on_sealed(TransactionConfig::default().with_writer(config)));
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::ServerFailure, Outcome::Unknown));
}

#[test]
fn a_transaction_on_a_stream_that_is_gone_is_refused_as_missing() {
    let error = block_on(async {
        let cluster = Cluster::new(1);
        let writer = writer(&cluster, TransactionConfig::default()).await;
        cluster.world.delete_stream(&cluster.stream);
        writer.begin().await.unwrap_err()
    });
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
}

#[test]
fn a_lease_that_is_too_long_is_an_invalid_argument_and_leaves_nothing() {
    block_on(async {
        let cluster = Cluster::new(1);
        let longest = Duration::from_secs(600);
        let config = TransactionConfig::default().with_lease(longest + Duration::from_millis(1));
        let error = writer(&cluster, config).await.begin().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(error.outcome(), Outcome::NotApplied);
        let states = cluster.world.transaction_states();
        assert!(states.values().all(|state| *state == TransactionState::Aborted), "{states:?}");
        let config = TransactionConfig::default().with_lease(longest);
        writer(&cluster, config).await.begin().await.unwrap();
    });
}

#[test]
fn an_answer_that_is_lost_is_no_mistake_of_the_caller() {
    block_on(async {
        let cluster = Cluster::new(1);
        let writer = writer(&cluster, TransactionConfig::default()).await;
        cluster.world.set_lost_answers(100);
        let error = writer.begin().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    });
}

const SEEDS: u64 = 300;

#[test]
fn every_mistake_is_told_at_once_and_two_runs_of_a_seed_are_the_same() {
    // Otherwise each writer reports its events on standard error.
    tracing_subscriber::registry().try_init().ok();
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let report = misuse_scenario::run(seed, None);
        assert!(report.violations.is_empty(), "SEED={seed}: {:#?}", report.violations);
        assert_eq!(report.digest, misuse_scenario::run(seed, None).digest, "SEED={seed}");
        for (what, times) in report.counters {
            *happened.entry(what).or_default() += times;
        }
    }
    assert_eq!(happened.len(), 7, "{happened:#?}");
    assert!(happened.values().all(|times| *times >= 10), "{happened:#?}");
}

#[test]
fn every_seeded_bug_of_refusals_is_caught() {
    tracing_subscriber::registry().try_init().ok();
    for bug in SeededBug::REFUSALS {
        let caught = (0..2000).find(|seed| {
            let report = misuse_scenario::run(*seed, Some(bug));
            !report.violations.is_empty()
        });
        println!("{bug:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} is not caught");
    }
}
