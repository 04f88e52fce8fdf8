//! A writer as a [`Sink`], for programs that have a stream of events to write.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, Sink, future::BoxFuture};
use pravega_sdk_segment_client::error::WriteError;

use super::event_writer::EventWriter;
use crate::{codec::Encode, routing::ToRouting};

/// Writes pairs of a routing key and an event.
///
/// Each item is taken as soon as there is capacity for it; flushing waits until all are durable and
/// reports the first failure. Closing flushes, and leaves the writer it was made of as it is.
///
/// # Examples
///
/// ```no_run
/// use futures_util::{StreamExt, stream};
///
/// # use pravega_sdk_event_stream::EventWriter;
/// # async fn example(writer: EventWriter) -> Result<(), Box<dyn std::error::Error>> {
/// let events = stream::iter([("a", "first"), ("a", "second")].map(Ok));
/// events.forward(writer.sink()).await?;
/// # Ok(())
/// # }
/// ```
pub struct EventSink<C> {
    writer: EventWriter<C>,
    waiting: Waiting,
}

/// What the sink waits for.
enum Waiting {
    Nothing,
    Capacity(BoxFuture<'static, Result<(), WriteError>>),
    Flush(BoxFuture<'static, Result<(), WriteError>>),
}

impl<C: Send + Sync + 'static> EventWriter<C> {
    /// The writer as a sink.
    #[must_use]
    pub fn sink(&self) -> EventSink<C> {
        EventSink { writer: self.clone(), waiting: Waiting::Nothing }
    }
}

impl<C> EventSink<C> {
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let done = match &mut self.waiting {
            Waiting::Nothing => Ok(()),
            Waiting::Capacity(waiting) | Waiting::Flush(waiting) => ready!(waiting.poll_unpin(cx)),
        };
        self.waiting = Waiting::Nothing;
        Poll::Ready(done)
    }
}

impl<C, K, E> Sink<(K, E)> for EventSink<C>
where
    C: Encode<E>,
    K: ToRouting,
{
    type Error = WriteError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.poll_waiting(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, (key, event): (K, E)) -> Result<(), WriteError> {
        let write = self.writer.prepare(key.to_routing(), event)?;
        if let Ok(Some(capacity)) = self.writer.try_reserve(&write) {
            // The flush reports the result of the event.
            return self.writer.send(capacity, write).map(drop);
        }
        let writer = self.writer.clone();
        self.waiting = Waiting::Capacity(
            async move { writer.send_with_capacity(write).await.map(drop) }.boxed(),
        );
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        if !matches!(self.waiting, Waiting::Flush(_)) {
            ready!(self.poll_waiting(cx))?;
            let writer = self.writer.clone();
            self.waiting = Waiting::Flush(async move { writer.flush().await }.boxed());
        }
        self.poll_waiting(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        Sink::<(K, E)>::poll_flush(self, cx)
    }
}

impl<C> fmt::Debug for EventSink<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSink").field("writer", &self.writer).finish_non_exhaustive()
    }
}
