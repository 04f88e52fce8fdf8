//! Calls about transactions and the times that writers note.

use pravega_sdk_integration_tests::harness::eventually;
use pravega_sdk_proto::*;

use super::{
    both::{Both, call},
    requests::{cut, stream_info},
};

/// Transactions.
pub(super) async fn transactions(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();

    let info = || Some(stream_info(s, "stream"));
    let begin = |lease| CreateTxnRequest { stream_info: info(), lease, ..Default::default() };
    call!(both, "a lease that is too short", create_transaction, begin(10));
    let missing = CreateTxnRequest {
        stream_info: Some(stream_info(s, "missing")),
        lease: 30_000,
        ..Default::default()
    };
    call!(both, "a transaction in a missing stream", create_transaction, missing);
    let one = both.real.controller.create_transaction(begin(30_000)).await.unwrap().into_inner();
    let other =
        both.embedded.controller.create_transaction(begin(30_000)).await.unwrap().into_inner();
    assert_eq!(one.active_segments, other.active_segments);
    let epoch = |id: &Option<TxnId>| id.unwrap().high_bits >> 32;
    assert_eq!(epoch(&one.txn_id), epoch(&other.txn_id));
    // Each server has ids of its own: the same call uses the id of each.
    macro_rules! of_each {
        ($name:literal, $method:ident, |$id:ident| $request:expr) => {{
            let ask = |$id| $request;
            let real = both.real.controller.$method(ask(one.txn_id)).await;
            let embedded = both.embedded.controller.$method(ask(other.txn_id)).await;
            both.compare(
                $name,
                &real.map(tonic::Response::into_inner),
                &embedded.map(tonic::Response::into_inner),
            );
        }};
    }
    let asked = |txn_id| TxnRequest {
        stream_info: info(),
        txn_id,
        writer_id: String::new(),
        timestamp: i64::MIN,
    };
    let ping = |txn_id, lease| PingTxnRequest { stream_info: info(), txn_id, lease };
    of_each!("an open transaction", check_transaction_state, |id| asked(id));
    of_each!("a ping", ping_transaction, |id| ping(id, 30_000));
    of_each!("a ping with a long lease", ping_transaction, |id| ping(id, 100_000_000));
    of_each!("an abort", abort_transaction, |id| asked(id));
    let aborted = i32::from(txn_state::State::Aborted);
    let real = both.real.controller.clone();
    eventually("the transaction is aborted", async || {
        let state = real.clone().check_transaction_state(asked(one.txn_id)).await;
        state.unwrap().into_inner().state == aborted
    })
    .await;
    of_each!("an aborted transaction", check_transaction_state, |id| asked(id));
    of_each!("an abort again", abort_transaction, |id| asked(id));
    of_each!("a commit of an aborted one", commit_transaction, |id| asked(id));
    of_each!("a ping of an aborted one", ping_transaction, |id| ping(id, 30_000));
    let unknown = |_: Option<TxnId>| asked(Some(TxnId { high_bits: 0, low_bits: 77 }));
    of_each!("an unknown transaction", check_transaction_state, |id| unknown(id));
    of_each!("a commit of an unknown one", commit_transaction, |id| unknown(id));
}

/// Times of writers.
pub(super) async fn times(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let whole = [((1 << 32) | 2, 0), ((1 << 32) | 3, 0), (1, 0)];
    let note = |writer: &str, timestamp| TimestampFromWriter {
        writer: writer.to_owned(),
        position: Some(cut(s, "stream", &whole)),
        timestamp,
    };
    call!(both, "a time", note_timestamp_from_writer, note("writer", 10));
    call!(both, "an earlier time", note_timestamp_from_writer, note("writer", 5));
    let leave = |writer: &str| RemoveWriterRequest {
        writer: writer.to_owned(),
        stream: Some(stream_info(s, "stream")),
    };
    call!(both, "a writer that leaves", remove_writer, leave("writer"));
}
