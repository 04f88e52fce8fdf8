//! Commits whose answers do not arrive, and what the writer reports of them.

mod common;

use std::time::Duration;

use common::{Cluster, block_on};
use pravega_sdk_event_stream::TransactionError;
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::time::sleep;

/// How long the simulated controller may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A commit without an answer is carried out and read; the stream is deleted, the commit repeated.
async fn commit_before_the_deletion() -> TransactionError {
    let cluster = Cluster::new(1);
    let mut transaction = cluster.transactions().await.begin().await.unwrap();
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
    let error = block_on(commit_before_the_deletion());
    let expected = (ErrorKind::TransactionNotOpen, Outcome::Unknown);
    assert_eq!((error.kind(), error.outcome()), expected, "{error}");
}

#[test]
fn a_commit_after_that_of_another_writer_succeeds_before_and_after_a_ping_shows_it() {
    block_on(async {
        for pause in [Duration::ZERO, Duration::from_secs(8)] {
            let cluster = Cluster::new(1);
            let mut transaction = cluster.transactions().await.begin().await.unwrap();
            transaction.write("k", "event").await.unwrap();
            transaction.flush().await.unwrap();
            let other = cluster.transactions().await.resume(transaction.id()).await.unwrap();
            other.commit().await.unwrap().wait_until_visible(Duration::from_secs(5)).await.unwrap();
            sleep(pause).await;
            let committed = transaction.commit().await.unwrap();
            committed.wait_until_visible(Duration::from_secs(5)).await.unwrap();
            assert_eq!(cluster.texts(), ["event"]);
        }
    });
}
