//! The event writer: its handle.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    append::{Ack, Appended, Capacity, CloseReport, Handle, SegmentTail, Target, Write},
    context::SegmentContext,
    error::WriteError,
    runtime::runtime,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream, SegmentMap, Timestamp};
use pravega_sdk_wire_protocol::event;

use super::{config::WriterConfig, encoder::Encoder, permit::Permit};
use crate::{
    codec::{Encode, Raw},
    routing::Routing,
};

/// Writes events to a stream.
///
/// When a write returns, its event is durable, and is in the stream once. Events of one routing key
/// stay in the order in which they were written, across reconnects and scaling. The writer sends
/// events at once; under load it sends several together.
///
/// Clones are cheap and write through the same task and connections; two writes are in order if one
/// began after the other returned, or after it was enqueued. The writer ends with its last clone;
/// enqueued events are still sent, which [`Self::close`] waits for.
///
/// # The end of the program
///
/// An event that is enqueued is not yet stored. Call [`Self::flush`] or [`Self::close`] before the
/// end of the runtime, which is where `main` returns: they report what was not stored.
///
/// A runtime that ends with events in hand waits for them, up to
/// [`with_end_timeout`](WriterConfig::with_end_timeout), if the writer was opened by a
/// [factory](crate::SegmentContext::with_again). A process that is killed or calls
/// [`std::process::exit`], and a runtime that is ended with `shutdown_background` or
/// `shutdown_timeout`, wait for nothing. Events that are not stored are reported by a warning of
/// `tracing`, or on standard error if the program has no subscriber, and by their acks.
pub struct EventWriter<C = Raw> {
    handle: Handle,
    encoder: Arc<Encoder<C>>,
}

/// The reason why an event was not enqueued at once.
///
/// The variants are public, so that a caller gets the encoded event back and can enqueue it later.
/// A writer that is full has the kind [`LimitReached`](ErrorKind::LimitReached).
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum TryEnqueueError {
    /// Too many bytes wait for their acknowledgement. Nothing was taken; this is the encoded
    /// event.
    #[error("too many events wait for their acknowledgement")]
    Full(Bytes),
    /// The event cannot be written.
    #[error(transparent)]
    Refused(#[from] WriteError),
}

impl<C> EventWriter<C> {
    /// Opens a writer for `stream`, with a task on the caller's runtime.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such stream,
    /// [`Sealed`](ErrorKind::Sealed) if it takes no events, [`NoRuntime`](ErrorKind::NoRuntime)
    /// outside a tokio runtime, and otherwise that of the controller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        codec: C,
        config: WriterConfig,
    ) -> Result<Self, WriteError> {
        runtime()?;
        let segments = context.controller().current_segments(stream).await.map_err(|error| {
            WriteError::from_controller(error, "the stream's segments cannot be found", stream)
        })?;
        if segments.is_empty() {
            return Err(WriteError::new(
                ErrorKind::Sealed,
                Outcome::NotApplied,
                "the stream is sealed",
            )
            .with_stream(stream));
        }
        let map = SegmentMap::new(segments.iter().map(|segment| (segment.id, segment.range)));
        Self::with_segments(context, stream, Target::Stream, map, Arc::new(codec), &config)
    }

    /// Opens a writer for segments that are known.
    pub(crate) fn with_segments(
        context: SegmentContext,
        stream: &ScopedStream,
        target: Target,
        map: SegmentMap,
        codec: Arc<C>,
        config: &WriterConfig,
    ) -> Result<Self, WriteError> {
        let handle = Handle::open(context, stream, target, map, &config.append)?;
        Ok(Self { handle, encoder: Arc::new(Encoder::new(stream, codec, config)) })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        self.handle.stream()
    }

    /// Writes an event, and waits until it is durable.
    ///
    /// # Errors
    ///
    /// [`WriteError`], whose outcome is that of the event.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before there is capacity for the event, nothing is written; if it
    /// is dropped later, the event is still written.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use pravega_sdk_event_stream::EventWriter;
    /// # async fn example(writer: EventWriter) -> Result<(), Box<dyn std::error::Error>> {
    /// let appended = writer.write("sensor-1", "21.5").await?;
    /// println!("{:?}", appended.pointer());
    /// writer.write(None, "to any segment").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write<'k, E>(
        &self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<Appended, WriteError>
    where
        C: Encode<E>,
    {
        let write = self.prepare(key.into(), event)?;
        self.send_with_capacity(write).await?.await
    }

    /// Takes an event to be written, as soon as there is capacity for it. The ack ends when it is
    /// durable. Before the program ends, wait for the acks, or call [`Self::flush`] or
    /// [`Self::close`]; see [`EventWriter`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the event cannot be taken at all, or of kind
    /// [`Timeout`](ErrorKind::Timeout) if there is no capacity within the delivery timeout.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before there is capacity for the event, nothing is written.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use pravega_sdk_event_stream::EventWriter;
    /// # async fn example(writer: EventWriter) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut acks = Vec::new();
    /// for number in 0..1000 {
    ///     acks.push(writer.enqueue("counter", number.to_string()).await?);
    /// }
    /// for ack in acks {
    ///     ack.await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue<'k, E>(
        &self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<Ack, WriteError>
    where
        C: Encode<E>,
    {
        let write = self.prepare(key.into(), event)?;
        self.send_with_capacity(write).await
    }

    /// Takes an event to be written, if there is capacity for it now.
    ///
    /// # Errors
    ///
    /// [`TryEnqueueError::Full`] if there is no capacity, with the encoded event;
    /// [`TryEnqueueError::Refused`] if the event cannot be taken at all.
    pub fn try_enqueue<'k, E>(
        &self,
        key: impl Into<Routing<'k>>,
        event: E,
    ) -> Result<Ack, TryEnqueueError>
    where
        C: Encode<E>,
    {
        let write = self.prepare(key.into(), event)?;
        match self.try_reserve(&write)? {
            Some(capacity) => Ok(self.send(capacity, write)?),
            None => Err(TryEnqueueError::Full(write.into_data())),
        }
    }

    /// Waits for capacity for `bytes` bytes of an event, so that the event can be taken at once.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the writer is closed, or of kind [`Timeout`](ErrorKind::Timeout) if there
    /// is no capacity within the delivery timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue for capacity.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use pravega_sdk_event_stream::EventWriter;
    /// # async fn example(writer: EventWriter) -> Result<(), Box<dyn std::error::Error>> {
    /// let permit = writer.reserve(100).await?;
    /// let event = "made only when it can be sent";
    /// let ack = permit.enqueue(None, event)?;
    /// ack.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reserve(&self, bytes: usize) -> Result<Permit<'_, C>, WriteError> {
        let bytes = bytes.saturating_add(event::EVENT_HEADER_LEN);
        let capacity = self.handle.reserve(bytes).await?;
        Ok(Permit::new(&self.handle, &self.encoder, capacity, bytes))
    }

    /// Writes several events as one: they are stored together, one after the other, or not at all.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`]; a batch of nothing is refused, and so is one of more than
    /// 2,147,483,647 events. What does not fit one append (nearly 16 MiB) counts as a large event.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::enqueue`].
    pub async fn enqueue_batch<'k, E>(
        &self,
        key: impl Into<Routing<'k>>,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Ack, WriteError>
    where
        C: Encode<E>,
    {
        let write = {
            let key = key.into().position()?;
            let events: Result<Vec<Bytes>, WriteError> =
                events.into_iter().map(|event| self.encoder.encode(event)).collect();
            Write::Routed { key, payload: self.encoder.batch(events?)? }
        };
        self.send_with_capacity(write).await
    }

    /// Writes an event only if the segment of `tail` ends there and owns the key. Other writers may
    /// be faster, or the segment may be sealed by a scale: then the kind of the error is
    /// [`ConditionFailed`](ErrorKind::ConditionFailed), and nothing was written. The event never
    /// goes to another segment; a write without a condition shows which one owns the key now.
    ///
    /// # Errors
    ///
    /// [`WriteError`], whose outcome is that of the event. Large events cannot be conditional.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::write`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use pravega_sdk_event_stream::EventWriter;
    /// # async fn example(writer: EventWriter) -> Result<(), Box<dyn std::error::Error>> {
    /// let balance = writer.write("account-7", "balance 100").await?;
    /// if let Some(tail) = balance.tail() {
    ///     // Fails if any event of the segment came between.
    ///     writer.write_at("account-7", &tail, "balance 80").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_at<'k, E>(
        &self,
        key: impl Into<Routing<'k>>,
        tail: &SegmentTail,
        event: E,
    ) -> Result<Appended, WriteError>
    where
        C: Encode<E>,
    {
        let write = self.encoder.prepare_at(key.into(), tail, event)?;
        self.send_with_capacity(write).await?.await
    }

    /// The first failure of a write, also if it was reported before; `None` if none has failed.
    pub(crate) fn first_failure(&self) -> Option<&WriteError> {
        self.handle.first_failure()
    }

    /// Waits until everything that was written so far is done.
    ///
    /// # Errors
    ///
    /// The first failure among the writes it waited for; those that were reported by an earlier
    /// flush are not again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the events; after that only the acks report a
    /// failure among them.
    pub async fn flush(&self) -> Result<(), WriteError> {
        self.handle.flush().await
    }

    /// Notes that everything acknowledged so far was written by `time`, by a clock of the
    /// application; readers find it as watermarks.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`ConditionFailed`](ErrorKind::ConditionFailed) if the time is
    /// before one noted earlier.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the time may still be noted.
    pub async fn note_time(&self, time: Timestamp) -> Result<(), WriteError> {
        self.handle.note_time(time).await
    }

    /// Ends the writer, with all its clones: nothing new is taken, and events in flight have until
    /// `deadline` from now. Events that are not acknowledged by then fail. Closing again returns
    /// the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the writer closed; events in flight go on, under their delivery
    /// timeout alone.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.handle.close(deadline).await
    }

    pub(super) fn prepare<E>(&self, key: Routing<'_>, event: E) -> Result<Write, WriteError>
    where
        C: Encode<E>,
    {
        self.encoder.prepare(key, event)
    }

    pub(super) fn try_reserve(&self, write: &Write) -> Result<Option<Capacity<'_>>, WriteError> {
        self.handle.try_reserve(write.framed_len())
    }

    pub(super) async fn send_with_capacity(&self, write: Write) -> Result<Ack, WriteError> {
        let capacity = self.handle.reserve(write.framed_len()).await?;
        self.send(capacity, write)
    }

    pub(super) fn send(&self, capacity: Capacity<'_>, write: Write) -> Result<Ack, WriteError> {
        self.handle.send(capacity, write)
    }
}

impl<C> Clone for EventWriter<C> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), encoder: Arc::clone(&self.encoder) }
    }
}

impl<C> fmt::Debug for EventWriter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter").field("stream", self.stream()).finish_non_exhaustive()
    }
}
