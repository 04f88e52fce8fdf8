//! Transactions, and the times that writers note.

use std::{sync::Arc, time::Duration};

use pravega_sdk_controller_client::{Controller, PingStatus, TransactionOutcome, TransactionState};
use pravega_sdk_integration_tests::harness::{controller, eventually, new_stream};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, Offset, ScopedStream, SegmentId, Timestamp, TransactionId, WriterName,
};

async fn state(
    controller: &Arc<dyn Controller>,
    stream: &ScopedStream,
    id: TransactionId,
) -> TransactionState {
    controller.transaction_state(stream, id).await.unwrap()
}

#[tokio::test]
async fn transactions_begin_live_and_end() {
    let controller = controller().await;
    let stream = new_stream(&controller, 2).await;
    let lease = Duration::from_secs(20);
    let committed = controller.create_transaction(&stream, lease).await.unwrap();
    assert_eq!(committed.segments.len(), 2);
    assert_eq!(state(&controller, &stream, committed.id).await, TransactionState::Open);
    assert_eq!(
        controller.ping_transaction(&stream, committed.id, lease).await.unwrap(),
        PingStatus::Open
    );
    controller.commit_transaction(&stream, committed.id, None).await.unwrap();
    eventually("the transaction is committed", async || {
        state(&controller, &stream, committed.id).await == TransactionState::Committed
    })
    .await;
    controller.commit_transaction(&stream, committed.id, None).await.unwrap();
    let late = controller.abort_transaction(&stream, committed.id).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConditionFailed);

    let aborted = controller.create_transaction(&stream, lease).await.unwrap();
    controller.abort_transaction(&stream, aborted.id).await.unwrap();
    eventually("the transaction is aborted", async || {
        state(&controller, &stream, aborted.id).await == TransactionState::Aborted
    })
    .await;
    let late = controller.commit_transaction(&stream, aborted.id, None).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::ConditionFailed);

    let unknown = TransactionId::from_halves(1, 2);
    assert_eq!(
        controller.transaction_state(&stream, unknown).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        controller.ping_transaction(&stream, unknown, lease).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );

    // The Java server has one list for all streams, and may return no transaction of this stream.
    for ended in controller.completed_transactions(&stream).await.unwrap() {
        let expected = if ended.id == committed.id {
            TransactionOutcome::Committed
        } else {
            TransactionOutcome::Aborted
        };
        assert_eq!(ended.outcome, expected);
    }
}

#[tokio::test]
async fn a_lease_that_servers_do_not_take_is_refused_before_it_is_sent() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let refused = controller.create_transaction(&stream, Duration::from_secs(9)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.attempts()), (ErrorKind::InvalidArgument, 0));
    let long =
        controller.create_transaction(&stream, Duration::from_secs(100_000)).await.unwrap_err();
    assert_eq!(long.attempts(), 1, "{long}: a repeat would begin another transaction");
    assert!(long.to_string().contains("10s to 600s"), "{long}");
}

#[tokio::test]
async fn times_are_noted_and_writers_forgotten() {
    let controller = controller().await;
    let stream = new_stream(&controller, 1).await;
    let writer = WriterName::new("writer-1").unwrap();
    let position =
        |offset| BoundedCut::new(stream.clone(), [(SegmentId::from(0), Offset(offset))]).unwrap();
    controller.note_time(&writer, &position(10), Timestamp::from_millis(1000)).await.unwrap();
    controller.note_time(&writer, &position(20), Timestamp::from_millis(2000)).await.unwrap();
    let earlier = controller
        .note_time(&writer, &position(30), Timestamp::from_millis(500))
        .await
        .unwrap_err();
    assert_eq!(earlier.kind(), ErrorKind::ConditionFailed);
    let backwards = controller
        .note_time(&writer, &position(5), Timestamp::from_millis(3000))
        .await
        .unwrap_err();
    assert_eq!(backwards.kind(), ErrorKind::ConditionFailed);
    assert!(controller.remove_writer(&stream, &writer).await.unwrap());
    let unknown = WriterName::new("unknown").unwrap();
    assert!(!controller.remove_writer(&stream, &unknown).await.unwrap());
}
