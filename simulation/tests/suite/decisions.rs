//! Commits and truncations whose answers do not arrive, and what the writer reports of them: with
//! the code as it is, and with the code as it was.

use std::{
    task::{Context, Waker},
    time::Duration,
};

use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{
    ByteWriter, ByteWriterConfig, SeededBug, TransactionError, WriteError,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::sleep;

use crate::common::{Cluster, block_on};

/// How long the simulated controller may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A commit without an answer is carried out and read; the stream is deleted, the commit repeated.
async fn commit_before_the_deletion(bug: Option<SeededBug>) -> TransactionError {
    let cluster = Cluster::new(1);
    let mut transaction = cluster.transactions_with(bug).await.begin().await.unwrap();
    transaction.write("k", "event").await.unwrap();
    transaction.flush().await.unwrap();
    cluster.world.set_lost_answers(100);
    cluster.world.leave_unanswered(|call| call == "transaction_state");
    let committing = tokio::spawn(transaction.commit());
    sleep(CALL_TIMEOUT / 2).await;
    assert_eq!(cluster.texts(), ["event"], "readers see it");
    cluster.world.delete_stream(&cluster.stream);
    cluster.world.set_lost_answers(0);
    // The first question for the state is given up, and the next one answered.
    sleep(CALL_TIMEOUT).await;
    cluster.world.answer_calls();
    committing.await.unwrap().unwrap_err()
}

#[test]
fn a_commit_without_an_answer_stays_in_doubt_when_a_later_attempt_is_refused() {
    let error = block_on(commit_before_the_deletion(None));
    let expected = (ErrorKind::TransactionNotOpen, Outcome::Unknown);
    assert_eq!((error.kind(), error.outcome()), expected, "{error}");
    let bug = SeededBug::BelievesLastAttempts;
    let error = block_on(commit_before_the_deletion(Some(bug)));
    assert_eq!(error.outcome(), Outcome::NotApplied, "the bug is no longer what it was");
}

/// A transaction is committed after another writer has committed it, and after a pause.
async fn commit_after_another(
    pause: Duration,
    bug: Option<SeededBug>,
) -> Result<(), TransactionError> {
    let cluster = Cluster::new(1);
    let mut transaction = cluster.transactions_with(bug).await.begin().await.unwrap();
    transaction.write("k", "event").await.unwrap();
    transaction.flush().await.unwrap();
    let other = cluster.transactions().await.resume(transaction.id()).await.unwrap();
    other.commit().await.unwrap().wait_until_visible(Duration::from_secs(5)).await.unwrap();
    sleep(pause).await;
    let committed = transaction.commit().await?;
    committed.wait_until_visible(Duration::from_secs(5)).await.unwrap();
    assert_eq!(cluster.texts(), ["event"]);
    Ok(())
}

#[test]
fn a_commit_after_that_of_another_writer_succeeds_before_and_after_a_ping_shows_it() {
    let after_a_ping = Duration::from_secs(8);
    block_on(async {
        commit_after_another(Duration::ZERO, None).await.unwrap();
        commit_after_another(after_a_ping, None).await.unwrap();
        let bug = Some(SeededBug::MissesOtherCommits);
        commit_after_another(after_a_ping, bug).await.expect_err("the bug is what it was");
    });
}

/// A truncation of a byte stream is carried out, and its answers are lost.
async fn truncate_without_an_answer(bug: Option<SeededBug>) -> WriteError {
    let cluster = Cluster::new(1);
    let config = ByteWriterConfig::default().with_seed(7);
    let config = bug.into_iter().fold(config, ByteWriterConfig::with_seeded_bug);
    let mut writer = ByteWriter::open(cluster.context(), &cluster.stream, config).await.unwrap();
    writer.write_bytes("some bytes".into()).await.unwrap();
    writer.flush().await.unwrap();
    let _lost = cluster
        .world
        .lose_replies(|departure| matches!(departure.reply, WireCommand::SegmentTruncated(_)));
    let error = writer.truncate(Offset(4)).await.unwrap_err();
    assert_eq!(cluster.world.head_of(&cluster.segment(0)), Some(Offset(4)));
    error
}

#[test]
fn a_truncation_of_a_byte_stream_without_an_answer_is_in_doubt() {
    let error = block_on(truncate_without_an_answer(None));
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown), "{error}");
    let error = block_on(truncate_without_an_answer(Some(SeededBug::DeniesChanges)));
    assert_eq!(error.outcome(), Outcome::NotApplied, "the bug is no longer what it was");
}

#[test]
fn a_commit_that_another_writer_made_without_an_event_of_this_one_is_in_doubt() {
    let error = block_on(async {
        let cluster = Cluster::new(1);
        let mut transaction = cluster.transactions().await.begin().await.unwrap();
        let other = cluster.transactions().await.resume(transaction.id()).await.unwrap();
        cluster.world.set_store_up(0, false);
        transaction.write("k", "event").await.unwrap();
        other.commit().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        cluster.world.set_store_up(0, true);
        let error = transaction.commit().await.unwrap_err();
        assert!(cluster.texts().is_empty(), "the event is not part of it");
        error
    });
    let expected = (ErrorKind::TransactionNotOpen, Outcome::Unknown);
    assert_eq!((error.kind(), error.outcome()), expected, "{error}");
    let state = error.state();
    let is_committed =
        matches!(state, Some(TransactionState::Committing | TransactionState::Committed));
    assert!(is_committed, "{state:?}");
}

#[test]
fn a_commit_without_an_event_was_not_applied_if_the_transaction_could_be_aborted() {
    for is_known in [false, true] {
        let (error, state) = block_on(async {
            let cluster = Cluster::new(1);
            let writer = cluster.transactions().await;
            let mut transaction = writer.begin().await.unwrap();
            if is_known {
                assert_eq!(transaction.id(), transaction.id());
            }
            cluster.world.set_store_up(0, false);
            transaction.write("k", "event").await.unwrap();
            let error = transaction.commit().await.unwrap_err();
            sleep(Duration::from_secs(1)).await;
            (error, cluster.world.transaction_states().into_values().next())
        });
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
        let is_aborted =
            matches!(state, Some(TransactionState::Aborting | TransactionState::Aborted));
        assert!(is_aborted, "{state:?}");
    }
}

#[test]
fn an_event_of_a_transaction_that_was_not_sent_is_not_applied_when_the_runtime_ends() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let mut transaction = runtime.block_on(async {
        let cluster = Cluster::new(1);
        let mut transaction = cluster.transactions().await.begin().await.unwrap();
        cluster.world.leave_unanswered(|call| call == "segment_endpoint");
        transaction.write("k", "event").await.unwrap();
        transaction
    });
    let mut flushing = Box::pin(transaction.flush());
    runtime.block_on(async {
        assert!(flushing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        sleep(Duration::from_secs(1)).await;
    });
    drop(runtime);
    let error = block_on(flushing).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::NotApplied));
}
