//! The handle of a writer's task, which every surface that appends uses.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream, SegmentMap, Timestamp};
use tokio::{
    runtime::Handle as Runtime,
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    ack::Ack,
    capacity::{Capacity, Shared},
    config::Config,
    driver::{Command, Driver},
    name::writer_name,
    outlive::Task,
    segment::item::Write,
    stream::machine::{Target, WriterMachine},
};
use crate::{
    context::SegmentContext,
    error::WriteError,
    runtime::{random_bits, rng, runtime},
};

/// Appends to segments, through a task of its own.
///
/// Clones are cheap and append through the same task and connections. The order of appends is kept
/// between two of which one was sent after the other. With the last clone the task ends, after all
/// appends are done.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    // Bounded by the capacity: an append is sent only with capacity for it, everything else is one
    // command per call.
    commands: mpsc::UnboundedSender<Command>,
    /// The runtime of the task.
    runtime: Runtime,
}

/// The results of all appends of a writer.
#[must_use = "only the report says that events were lost; see `CloseReport::into_result`"]
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct CloseReport {
    /// Writes acknowledged since the writer was created; an atomic batch counts once.
    pub acknowledged: u64,
    /// Writes that failed, including those that the close ended, and those that had no result when
    /// the runtime of the writer ended.
    pub failed: u64,
    /// The first failure among those that were in flight when the writer was closed.
    pub first_failure: Option<WriteError>,
    stream: ScopedStream,
}

impl CloseReport {
    /// Returns an error if any write failed.
    ///
    /// # Errors
    ///
    /// The first failure among the writes that were in flight when the writer was closed. If only
    /// earlier writes failed, whose acks have their errors, an error of kind
    /// [`Closed`](ErrorKind::Closed) with their number and an unknown outcome.
    pub fn into_result(self) -> Result<(), WriteError> {
        match self {
            Self { first_failure: Some(failure), .. } => Err(failure),
            Self { failed: 0, .. } => Ok(()),
            Self { failed, stream, .. } => {
                let detail =
                    format_args!("writes that failed before the writer was closed: {failed}");
                let error = WriteError::new(ErrorKind::Closed, Outcome::Unknown, detail);
                Err(error.with_stream(&stream))
            }
        }
    }
}

impl Handle {
    /// Starts a task on the caller's runtime that appends to the segments of `map`.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime.
    pub fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        target: Target,
        map: SegmentMap,
        config: &Config,
    ) -> Result<Self, WriteError> {
        let runtime = runtime()?;
        let mut rng = rng(config.seed);
        let writer_name = writer_name(config.writer_name.as_ref(), &mut rng)
            .map_err(|error| error.with_stream(stream))?;
        let machine = WriterMachine::new(
            stream.clone(),
            target,
            map,
            config.settings(),
            random_bits(rng),
            config.bugs,
        );
        let capacity = u32::try_from(config.max_in_flight_bytes).unwrap_or(u32::MAX);
        let shared = Arc::new(Shared::new(stream.clone(), capacity, config.delivery_timeout));
        let (commands, queue) = mpsc::unbounded_channel();
        let driver = Driver::new(
            machine,
            Arc::clone(&shared),
            context,
            queue,
            writer_name,
            config.time_notes,
        );
        let task = Task::new(driver, runtime.clone(), config.end_timeout);
        runtime.spawn(task.run());
        Ok(Self { shared, commands, runtime })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.shared.stream
    }

    /// The first failure of an append, also if it was reported before; `None` if none has failed.
    #[must_use]
    pub fn first_failure(&self) -> Option<&WriteError> {
        self.shared.first_failure()
    }

    /// Waits for capacity for so many bytes, at most for the delivery timeout. What is sent with it
    /// has the rest of the timeout.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the writer is closed, and of kind [`Timeout`](ErrorKind::Timeout) if there
    /// is no capacity in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue for capacity.
    pub async fn reserve(&self, bytes: usize) -> Result<Capacity<'_>, WriteError> {
        if let Some(capacity) = self.shared.try_reserve(bytes)? {
            return Ok(capacity);
        }
        // The task watches the clock: a caller may be outside any runtime.
        let since = Instant::now();
        let (expire, expired) = oneshot::channel();
        self.commands
            .send(Command::Expire { since, expire })
            .map_err(|_| WriteError::closed(self.stream()))?;
        let reserving = pin!(self.shared.reserve(bytes, since));
        match select(reserving, expired).await {
            Either::Left((reserved, _)) => reserved,
            Either::Right((Ok(()), _)) => Err(self.shared.is_full()),
            Either::Right((Err(_), _)) => Err(WriteError::closed(self.stream())),
        }
    }

    /// Takes capacity for so many bytes. Returns `None` if there is not enough now.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the writer is closed.
    pub fn try_reserve(&self, bytes: usize) -> Result<Option<Capacity<'_>>, WriteError> {
        self.shared.try_reserve(bytes)
    }

    /// Takes over capacity for so many bytes that was [detached](Capacity::detach) before.
    pub fn attach(&self, bytes: usize) -> Capacity<'_> {
        self.shared.attach(bytes)
    }

    /// Sends an append to the task, with the capacity that was reserved for it.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the task has ended.
    pub fn send(&self, capacity: Capacity<'_>, write: Write) -> Result<Ack, WriteError> {
        let (ticket, ack) = self.shared.acks.next_pair();
        let waiting_since = capacity.waiting_since();
        let sent = self.commands.send(Command::Write { write, waiting_since, ticket });
        sent.map_err(|_| self.shared.ended())?;
        self.shared.count_sent();
        // The task releases it.
        capacity.detach();
        Ok(ack)
    }

    /// Waits until all appends sent so far are done.
    ///
    /// # Errors
    ///
    /// The first failure among the appends it waited for; those reported by an earlier flush are
    /// not reported again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the appends; only the acks report a failure among
    /// them then.
    pub async fn flush(&self) -> Result<(), WriteError> {
        let (told, waiter) = oneshot::channel();
        self.commands.send(Command::Flush(told)).map_err(|_| self.shared.ended())?;
        match waiter.await {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(self.shared.ended().with_outcome(Outcome::Unknown)),
        }
    }

    /// Notes that all events acknowledged so far were written by `time`.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`ConditionFailed`](ErrorKind::ConditionFailed) if the time is
    /// before one noted earlier.
    ///
    /// # Cancel safety
    ///
    /// The time may be noted after the future is dropped.
    pub async fn note_time(&self, time: Timestamp) -> Result<(), WriteError> {
        let (reply, noted) = oneshot::channel();
        self.commands.send(Command::NoteTime { time, reply }).map_err(|_| self.shared.ended())?;
        noted.await.unwrap_or_else(|_| Err(self.shared.ended().with_outcome(Outcome::Unknown)))
    }

    /// Ends the writer, with all its clones: new appends are refused, and those in flight have
    /// until `deadline` from now. Appends that are not acknowledged by then fail. Closing again
    /// returns the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the writer closed; appends in flight go on, under their delivery
    /// timeout alone.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.shared.close();
        let (told, mut waiter) = oneshot::channel();
        // The close comes after the flush, as the task may end once it has it.
        let is_running = self.commands.send(Command::Flush(told)).is_ok()
            && self.commands.send(Command::Close).is_ok();
        // `None` means that the task has ended.
        let mut flushed = None;
        if is_running {
            let waiting = {
                // The timer is the task's: the caller may have no runtime.
                let _context = self.runtime.enter();
                tokio::time::timeout(deadline, &mut waiter)
            };
            flushed = match waiting.await {
                Ok(flushed) => flushed.ok(),
                Err(_) => {
                    // A string: format arguments held across the await are not `Send`.
                    let detail = format!("the writer was not done within {deadline:?} of closing");
                    let error = WriteError::new(ErrorKind::Timeout, Outcome::Unknown, detail)
                        .with_stream(self.stream());
                    self.commands.send(Command::Abandon(error)).ok();
                    // All appends fail at once; only a task that has ended does not answer.
                    waiter.await.ok()
                }
            };
        }
        let lost = if flushed.is_some() { 0 } else { self.shared.unanswered() };
        let first_failure = flushed.flatten().or_else(|| self.lost(lost));
        CloseReport {
            acknowledged: self.shared.acknowledged(),
            failed: self.shared.failed() + lost,
            first_failure: self.shared.close_failure(first_failure),
            stream: self.stream().clone(),
        }
    }

    /// The failure of appends that had no result when the task ended; `None` if there are none.
    fn lost(&self, appends: u64) -> Option<WriteError> {
        let detail = format_args!(
            "the runtime ended before the writer's events were acknowledged: {appends} of them"
        );
        let error = WriteError::new(ErrorKind::Closed, Outcome::Unknown, detail);
        (appends > 0).then(|| error.with_stream(self.stream()))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stream", self.stream()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: u64, first_failure: Option<WriteError>) -> CloseReport {
        let stream = "scope/stream".parse().unwrap();
        CloseReport { acknowledged: 3, failed, first_failure, stream }
    }

    #[test]
    fn a_report_without_failures_is_no_error() {
        assert!(report(0, None).into_result().is_ok());
    }

    #[test]
    fn a_report_with_a_failure_is_that_failure() {
        let failure = WriteError::invalid("too large");
        let error = report(2, Some(failure)).into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_report_of_earlier_failures_only_is_an_error_with_their_number() {
        let error = report(2, None).into_result().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
        assert!(error.to_string().contains(": 2"), "{error}");
    }
}
