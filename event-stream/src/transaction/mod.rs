//! Transactions: events that become part of a stream together, or not at all.
//!
//! ```text
//!   begin ──▶ Open ── commit ──▶ Committing ──▶ Committed   readers see all events
//!               │
//!               └─ abort, drop, expired lease ──▶ Aborting ──▶ Aborted   readers see no event
//! ```
//!
//! Each transaction has segments of its own, one for each segment of the stream, and writes to them
//! as an event writer does. The controller merges them when it commits. One task for all
//! transactions of a writer keeps them alive at the controller.

mod begin;
mod commit;
mod config;
mod machine;
mod pings;
mod shared;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use pravega_sdk_controller_client::{
    CompletedTransaction, CreatedTransaction, SegmentWithRange, TransactionState,
};
use pravega_sdk_segment_client::{
    append::{Target, writer_name},
    context::SegmentContext,
    error::detail_of,
    runtime::{rng, runtime},
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream, SegmentMap, Timestamp, TransactionId};
use tokio::sync::oneshot;

pub use self::{commit::Commit, config::TransactionConfig};
use self::{
    commit::Decision,
    pings::{Command, Commands, Pings},
    shared::Shared,
};
use crate::{
    codec::{Encode, Raw},
    error::TransactionError,
    reader::segments_of_epoch,
    routing::Routing,
    writer::EventWriter,
};

/// Begins transactions on a stream, and takes over those of others.
///
/// Clones are cheap and share the task that keeps transactions alive.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{
///     SegmentContext, TransactionConfig, TransactionalWriter, codec::Utf8,
/// };
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = "shop/orders".parse()?;
/// let config = TransactionConfig::default();
/// let writer = TransactionalWriter::open(context, &orders, Utf8, config).await?;
/// let mut transaction = writer.begin().await?;
/// transaction.write("customer-7", "three apples").await?;
/// transaction.write("customer-7", "and two pears").await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct TransactionalWriter<C = Raw> {
    shared: Arc<Shared>,
    codec: Arc<C>,
}

/// A transaction that can be written to.
///
/// No reader sees its events before it is committed. A transaction that is dropped is aborted;
/// [`Self::leave_open`] keeps it for another writer.
pub struct Transaction<C = Raw> {
    writer: EventWriter<C>,
    shared: Arc<Shared>,
    id: TransactionId,
    /// How it ended without our doing, if it did.
    ended: Arc<OnceLock<Option<TransactionState>>>,
    /// Why it can only be aborted.
    failed: Option<TransactionError>,
    /// Dropping it aborts it.
    is_ours: bool,
    /// True if other writers may know its id, and so may commit it.
    is_known: AtomicBool,
}

impl<C> TransactionalWriter<C> {
    /// Opens a writer of transactions on `stream`, with a task on the caller's runtime.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such
    /// stream, [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of
    /// the controller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        codec: C,
        config: TransactionConfig,
    ) -> Result<Self, TransactionError> {
        let runtime = runtime()?;
        let asked = context.controller().current_segments(stream).await;
        let refused = |error| {
            let detail = detail_of(&error, "the stream's segments cannot be found");
            TransactionError::from_query(error, detail, stream)
        };
        if asked.map_err(refused)?.is_empty() {
            return Err(TransactionError::new(
                ErrorKind::Sealed,
                Outcome::NotApplied,
                "the stream is sealed",
            )
            .with_stream(stream));
        }
        let writer_name =
            writer_name(config.writer_name.as_ref(), &mut rng(config.writer.append.seed))
                .map_err(|error| error.with_stream(stream))?;
        let pings =
            Pings::start(&runtime, Arc::clone(context.controller()), stream.clone(), config.lease);
        let shared = Shared { context, stream: stream.clone(), config, writer_name, pings };
        Ok(Self { shared: Arc::new(shared), codec: Arc::new(codec) })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.shared.stream
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]: [`InvalidArgument`](ErrorKind::InvalidArgument) for a lease that the
    /// server does not take, [`Sealed`](ErrorKind::Sealed) if the stream is sealed,
    /// [`NotFound`](ErrorKind::NotFound) if it is gone, [`Closed`](ErrorKind::Closed) if the
    /// runtime on which the writer was opened has ended, and otherwise that of the controller. With
    /// an unknown outcome a transaction may have begun; it is not kept alive, so it ends with its
    /// lease.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, a transaction that still begins is aborted.
    pub async fn begin(&self) -> Result<Transaction<C>, TransactionError> {
        self.check_runtime()?;
        let (tell, begun) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        // Spawned, so that a transaction is aborted at once if the caller drops this future.
        let beginning = async move {
            let created = shared.create().await;
            let pings = shared.pings.clone();
            tell.send(created.map(|created| Unclaimed { created, pings: Some(pings) })).ok();
        };
        runtime()?.spawn(beginning);
        let begun = begun.await.map_err(|_| {
            TransactionError::new(ErrorKind::Closed, Outcome::Unknown, "the runtime is going down")
                .with_stream(self.stream())
        });
        let mut begun = begun??;
        let transaction = self.attach(begun.created.id, &begun.created.segments)?;
        begun.pings = None;
        Ok(transaction)
    }

    /// Resumes a transaction that another writer began, or that this program left open: from now
    /// on this writer pings it, and can write to it. Earlier events that were not flushed may be
    /// missing, and events of two concurrent writers have no order.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], of kind [`TransactionNotOpen`](ErrorKind::TransactionNotOpen) if it is
    /// committed or aborted, which [`TransactionError::state`] returns,
    /// [`NotFound`](ErrorKind::NotFound) if there is none of that id, or it ended too long ago, and
    /// [`Closed`](ErrorKind::Closed) if the runtime on which the writer was opened has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn resume(&self, id: TransactionId) -> Result<Transaction<C>, TransactionError> {
        self.check_runtime()?;
        match self.status(id).await? {
            TransactionState::Open => {}
            other => return Err(TransactionError::not_open(Some(other), self.stream())),
        }
        // An open transaction has an epoch, whether the instance that answers knows it or not.
        let segments = segments_of_epoch(&self.shared.context, self.stream(), id.epoch()).await;
        let segments = segments.map_err(|error| {
            TransactionError::from_query(
                error,
                "the transaction's segments cannot be found",
                self.stream(),
            )
        })?;
        let transaction = self.attach(id, &segments)?;
        transaction.is_known.store(true, Ordering::Relaxed);
        Ok(transaction)
    }

    /// The state of a transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], of kind [`NotFound`](ErrorKind::NotFound) if there is none of that id,
    /// or it ended too long ago.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn status(&self, id: TransactionId) -> Result<TransactionState, TransactionError> {
        self.shared.status(id).await
    }

    /// Transactions on the stream that ended not long ago; at most 500, of the last 24 hours by
    /// default. A 0.13.0 server answers none where transactions of several streams ended.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] if the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn completed(&self) -> Result<Vec<CompletedTransaction>, TransactionError> {
        let completed =
            self.shared.context.controller().completed_transactions(self.stream()).await;
        completed.map_err(|error| {
            TransactionError::from_query(
                error,
                "the transactions that ended cannot be listed",
                self.stream(),
            )
        })
    }

    /// The task that keeps transactions alive ends with its runtime.
    fn check_runtime(&self) -> Result<(), TransactionError> {
        if self.shared.pings.is_closed() {
            return Err(self.ended(Outcome::NotApplied));
        }
        Ok(())
    }

    fn ended(&self, outcome: Outcome) -> TransactionError {
        let detail = "the runtime on which the writer was opened has ended";
        TransactionError::new(ErrorKind::Closed, outcome, detail).with_stream(self.stream())
    }

    fn attach(
        &self,
        id: TransactionId,
        segments: &[SegmentWithRange],
    ) -> Result<Transaction<C>, TransactionError> {
        let Shared { context, stream, config, pings, .. } = &*self.shared;
        let map = SegmentMap::new(segments.iter().map(|segment| (segment.id, segment.range)));
        let target = Target::Transaction(id);
        let codec = Arc::clone(&self.codec);
        let writer = EventWriter::with_segments(
            context.clone(),
            stream,
            target,
            map,
            codec,
            &config.writer,
        )?;
        let ended = Arc::new(OnceLock::new());
        if !config.writer.append.bugs.has(SeededBug::NeverPings) {
            let watch = Command::Watch(id, Arc::clone(&ended));
            pings.send(watch).map_err(|_| self.ended(Outcome::Unknown))?;
        }
        Ok(Transaction {
            writer,
            shared: Arc::clone(&self.shared),
            id,
            ended,
            failed: None,
            is_ours: true,
            is_known: AtomicBool::new(false),
        })
    }
}

impl<C> Transaction<C> {
    /// The id, by which the transaction can be taken over.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.is_known.store(true, Ordering::Relaxed);
        self.id
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.shared.stream
    }

    /// Writes an event, as soon as there is capacity for it. [`Self::flush`] and [`Self::commit`]
    /// report whether it is durable. Events without a routing key go to one segment, in order.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], of kind [`TransactionNotOpen`](ErrorKind::TransactionNotOpen) if the
    /// transaction is known to have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before there is capacity for the event, nothing is written.
    pub async fn write<'k, E>(
        &mut self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<(), TransactionError>
    where
        C: Encode<E>,
    {
        self.check_open()?;
        let key = key.into();
        let enqueued = match key {
            Routing::Anywhere => self.writer.enqueue(&self.id.to_string(), event).await,
            key => self.writer.enqueue(key, event).await,
        };
        match enqueued {
            // The flush reports the result.
            Ok(ack) => {
                drop(ack);
                Ok(())
            }
            Err(error) => Err(self.shared.explain(self.id, error.into()).await),
        }
    }

    /// Waits until everything that was written so far is durable, as part of the transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]: the first failure among the events; then the transaction can only be
    /// aborted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the events.
    pub async fn flush(&mut self) -> Result<(), TransactionError> {
        let flushed = self.writer.flush().await;
        // A failure that went to the waiter of a dropped flush counts, too.
        let failure = match flushed.err().or_else(|| self.writer.first_failure().cloned()) {
            Some(error) => error.into(),
            None => return self.check_open(),
        };
        let failure = match &self.failed {
            Some(first) => first.clone(),
            None => self.shared.explain(self.id, failure).await,
        };
        self.failed = Some(failure.clone());
        Err(failure)
    }

    /// The state of the transaction.
    ///
    /// # Errors
    ///
    /// As [`TransactionalWriter::status`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn status(&self) -> Result<TransactionState, TransactionError> {
        self.shared.status(self.id).await
    }

    /// Commits the transaction: waits until everything is durable, and has the controller decide.
    /// From then on it cannot fail any more; readers see it a little later, which
    /// [`Commit::wait_until_visible`] waits for.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]. With the outcome [`NotApplied`](Outcome::NotApplied) nothing of it
    /// becomes part of the stream: an event could not be written, in which case the transaction is
    /// aborted, or the transaction had ended before. With an unknown outcome
    /// [`TransactionalWriter::status`] tells later; until then it is neither aborted nor kept
    /// alive. If another writer has committed it without some of the events, the kind is
    /// [`TransactionNotOpen`](ErrorKind::TransactionNotOpen), the state is that of a committed
    /// transaction, and the source is the failure of the event.
    ///
    /// # Cancel safety
    ///
    /// Dropped while events are still being written the transaction is aborted; dropped later, the
    /// outcome is unknown.
    pub async fn commit(self) -> Result<Commit, TransactionError> {
        self.commit_with(None).await
    }

    /// As [`Self::commit`], and notes that everything in it was written by `time`, by a clock of
    /// the application; readers find it as watermarks.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::commit`].
    pub async fn commit_at(self, time: Timestamp) -> Result<Commit, TransactionError> {
        self.commit_with(Some(time)).await
    }

    async fn commit_with(mut self, time: Option<Timestamp>) -> Result<Commit, TransactionError> {
        runtime()?;
        if !self.shared.config.writer.append.bugs.has(SeededBug::CommitsBeforeFlush) {
            // Even if the outcome of an event is unknown, the commit was not requested.
            let flushed = self.flush().await;
            // Another writer of the transaction may have committed it, as its pings show.
            let misses = self.shared.config.writer.append.bugs.has(SeededBug::MissesOtherCommits);
            if flushed.is_err() && self.failed.is_none() && self.is_committed() && !misses {
                self.is_ours = false;
                return Ok(Commit::new(Arc::clone(&self.shared), self.id));
            }
            if let Err(error) = flushed {
                return Err(self.give_up(error).await);
            }
        }
        // From here on the controller decides, even if this future is dropped.
        self.is_ours = false;
        self.shared.decide(self.id, Decision::Commit { time }).await?;
        Ok(Commit::new(Arc::clone(&self.shared), self.id))
    }

    /// Aborts a transaction that is not whole, and finds out whether it was committed: another
    /// writer that knows the id can do so at any time before.
    async fn give_up(mut self, error: TransactionError) -> TransactionError {
        if !self.is_known.load(Ordering::Relaxed) {
            // Dropping it aborts it.
            return error.with_outcome(Outcome::NotApplied);
        }
        match self.shared.decide(self.id, Decision::Abort).await {
            Ok(()) => {
                self.is_ours = false;
                error.with_outcome(Outcome::NotApplied)
            }
            Err(committed) if committed.kind() == ErrorKind::TransactionNotOpen => {
                self.is_ours = false;
                committed.with_outcome(Outcome::Unknown).with_source(Some(Arc::new(error)))
            }
            Err(_) => error.with_outcome(Outcome::Unknown),
        }
    }

    /// Aborts the transaction: nothing of it becomes part of the stream.
    ///
    /// # Errors
    ///
    /// [`TransactionError`], of kind [`TransactionNotOpen`](ErrorKind::TransactionNotOpen) if it
    /// was committed before. A transaction that is not known any more, or was aborted before, is
    /// aborted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the transaction is still aborted, at the latest by its lease.
    pub async fn abort(mut self) -> Result<(), TransactionError> {
        runtime()?;
        self.is_ours = false;
        self.shared.decide(self.id, Decision::Abort).await
    }

    /// Keeps the transaction for another writer to take over by its id: waits until everything is
    /// durable, and stops keeping it alive. The other writer must take over within the lease.
    ///
    /// # Errors
    ///
    /// [`TransactionError`] if an event could not be written; then the transaction is aborted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the transaction.
    pub async fn leave_open(mut self) -> Result<TransactionId, TransactionError> {
        self.flush().await?;
        self.is_ours = false;
        Ok(self.id)
    }

    /// Returns true if its pings have shown that it is committed.
    fn is_committed(&self) -> bool {
        matches!(self.ended.get(), Some(Some(TransactionState::Committed)))
    }

    /// The pings may have shown that it ended, and a flush that it is not whole.
    fn check_open(&self) -> Result<(), TransactionError> {
        match (&self.failed, self.ended.get()) {
            (Some(failure), _) => Err(failure.clone()),
            (None, None) => Ok(()),
            (None, Some(state)) => Err(TransactionError::not_open(*state, self.stream())),
        }
    }
}

/// A transaction that has begun and was not returned yet. It is aborted if the caller is gone.
struct Unclaimed {
    created: CreatedTransaction,
    pings: Option<Commands>,
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(pings) = self.pings.take() {
            pings.send(Command::Abort(self.created.id)).ok();
        }
    }
}

impl<C> Drop for Transaction<C> {
    fn drop(&mut self) {
        // Without the task, which ends with its runtime, the lease ends the transaction.
        let command = if self.is_ours { Command::Abort(self.id) } else { Command::Forget(self.id) };
        self.shared.pings.send(command).ok();
    }
}

impl<C> Clone for TransactionalWriter<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), codec: Arc::clone(&self.codec) }
    }
}

impl<C> fmt::Debug for TransactionalWriter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalWriter").field("stream", self.stream()).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Transaction<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("stream", self.stream())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
