//! What happens to one more transaction, once all others of a seed are decided and all faults have
//! ended.

use std::time::Duration;

use pravega_sdk_event_stream::{
    SegmentContext, Transaction, TransactionConfig, TransactionalWriter, codec::Utf8,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};
use tokio::time::{Instant, sleep};

use crate::{World, history::Violation};

/// The event of the last transaction.
const LAST: &str = "the last event";

/// A client of a cluster without faults.
pub(crate) struct Client<'a> {
    pub(crate) world: &'a World,
    pub(crate) context: SegmentContext,
    pub(crate) stream: ScopedStream,
    pub(crate) config: TransactionConfig,
}

impl Client<'_> {
    async fn writer(&self) -> TransactionalWriter<Utf8> {
        let (context, config) = (self.context.clone(), self.config.clone());
        let writer = TransactionalWriter::open(context, &self.stream, Utf8, config).await;
        writer.expect("a stream to write to")
    }

    /// Seals the stream, and begins a transaction.
    pub(crate) async fn begin_on_sealed(&self) -> Option<Violation> {
        let writer = self.writer().await;
        self.world.seal_stream(&self.stream);
        self.world.count("transaction on a sealed stream");
        let begun = Instant::now();
        let ended = writer.begin().await.map(drop).map_err(|error| (error.kind(), error.outcome()));
        let took = begun.elapsed();
        let is_right = ended == Err((ErrorKind::Sealed, Outcome::NotApplied));
        (!is_right || took > Duration::from_secs(2)).then(|| {
            let detail = format!("a transaction on a sealed stream: {ended:?} after {took:?}");
            Violation { check: "T1", detail }
        })
    }

    /// A transaction with one event, which is durable.
    async fn written(&self, writer: &TransactionalWriter<Utf8>) -> Option<Transaction<Utf8>> {
        let mut transaction = writer.begin().await.ok()?;
        transaction.write("key", LAST).await.ok()?;
        transaction.flush().await.ok()?;
        Some(transaction)
    }

    /// Commits a transaction, of which all answers are lost, and deletes the stream at any time.
    pub(crate) async fn commit_before_deletion(
        &self,
        random: &mut fastrand::Rng,
    ) -> Option<Violation> {
        let Some(transaction) = self.written(&self.writer().await).await else {
            return Some(failed("T2", "the last transaction cannot be written"));
        };
        self.world.set_lost_answers(100);
        if random.bool() {
            self.world.leave_unanswered(|call| call == "transaction_state");
        }
        let committing = tokio::spawn(transaction.commit());
        sleep(Duration::from_millis(random.u64(0..35_000))).await;
        self.world.delete_stream(&self.stream);
        self.world.count("stream deleted under a commit");
        self.world.set_lost_answers(0);
        sleep(Duration::from_millis(random.u64(0..35_000))).await;
        self.world.answer_calls();
        let ended = committing.await.expect("a commit does not panic").map(drop);
        let stored = self.world.all_content(&self.stream);
        let is_stored = stored.iter().any(|stored| stored.event == LAST.as_bytes());
        let is_right = match &ended {
            Ok(()) => is_stored,
            Err(error) => error.outcome() != Outcome::NotApplied || !is_stored,
        };
        (!is_right).then(|| failed("T2", &format!("{ended:?}, stored: {is_stored}")))
    }

    /// Commits a transaction that another writer has committed, before or after a ping shows it.
    pub(crate) async fn commit_elsewhere(&self, random: &mut fastrand::Rng) -> Option<Violation> {
        let Some(transaction) = self.written(&self.writer().await).await else {
            return Some(failed("T3", "the last transaction cannot be written"));
        };
        let other = self.writer().await.resume(transaction.id()).await;
        let committed = match other {
            Ok(other) => other.commit().await.map(drop),
            Err(error) => Err(error),
        };
        sleep(Duration::from_millis(random.u64(0..10_000))).await;
        let again = transaction.commit().await.map(drop);
        self.world.count("transaction committed by two writers");
        (committed.is_err() || again.is_err())
            .then(|| failed("T3", &format!("committed: {committed:?}, and again: {again:?}")))
    }
}

fn failed(check: &'static str, detail: &str) -> Violation {
    Violation { check, detail: detail.to_owned() }
}
