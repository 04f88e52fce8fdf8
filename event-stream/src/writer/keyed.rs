//! A writer of events whose routing key is part of the event.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use pravega_sdk_segment_client::{
    append::{Ack, Appended, CloseReport},
    error::WriteError,
};
use pravega_sdk_types::ScopedStream;

use super::event_writer::{EventWriter, TryEnqueueError};
use crate::{codec::Encode, routing::Routing};

/// The routing key of an event; `None` means that the event has no key.
type KeyFunction<E> = dyn for<'e> Fn(&'e E) -> Option<Cow<'e, str>> + Send + Sync;

/// Writes events whose routing key is part of the event: a function takes the key out of each.
///
/// [`EventWriter::with_key`] creates it. All else is as with [`EventWriter`], which
/// [`Self::writer`] returns. Clones are cheap and share everything.
///
/// The codec encodes a reference to the event. [`Raw`](crate::codec::Raw), which keeps the bytes
/// that it takes, encodes only static ones: with it, pass the key to [`EventWriter::write`].
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{EventWriter, codec::{CodecError, Codec, Encode}};
/// # use bytes::Bytes;
///
/// struct Order { customer: String, pieces: u32 }
/// # struct Orders;
/// # impl Codec for Orders {
/// #     type Event = ();
/// #     fn decode(&self, _: Bytes) -> Result<(), CodecError> { Ok(()) }
/// # }
/// # impl Encode<&Order> for Orders {
/// #     fn encode(&self, order: &Order) -> Result<Bytes, CodecError> {
/// #         Ok(order.pieces.to_string().into())
/// #     }
/// # }
///
/// # async fn example(writer: EventWriter<Orders>) -> Result<(), Box<dyn std::error::Error>> {
/// let writer = writer.with_key(|order: &Order| order.customer.as_str());
/// writer.write(&Order { customer: "ann".to_owned(), pieces: 3 }).await?;
/// # Ok(())
/// # }
/// ```
pub struct KeyedEventWriter<C, E: ?Sized> {
    writer: EventWriter<C>,
    key: Arc<KeyFunction<E>>,
}

impl<C> EventWriter<C> {
    /// Turns the writer into one that takes the routing key from each event with `key`.
    #[must_use]
    pub fn with_key<E, F>(self, key: F) -> KeyedEventWriter<C, E>
    where
        E: ?Sized,
        F: Fn(&E) -> &str + Send + Sync + 'static,
    {
        self.with_optional_key(move |event| Some(Cow::Borrowed(key(event))))
    }

    /// Turns the writer into one that takes the routing key from each event with `key`, which may
    /// compute it, or return `None` for an event that goes to any segment.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(writer: pravega_sdk_event_stream::EventWriter) {
    /// struct Reading { sensor: u32 }
    ///
    /// let writer = writer.with_optional_key(|reading: &Reading| {
    ///     (reading.sensor != 0).then(|| reading.sensor.to_string().into())
    /// });
    /// # drop(writer);
    /// # }
    /// ```
    #[must_use]
    pub fn with_optional_key<E, F>(self, key: F) -> KeyedEventWriter<C, E>
    where
        E: ?Sized,
        F: Fn(&E) -> Option<Cow<'_, str>> + Send + Sync + 'static,
    {
        KeyedEventWriter { writer: self, key: Arc::new(key) }
    }
}

impl<C, E: ?Sized> KeyedEventWriter<C, E> {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        self.writer.stream()
    }

    /// The writer that this one writes through.
    #[must_use]
    pub fn writer(&self) -> &EventWriter<C> {
        &self.writer
    }

    /// Writes an event, and waits until it is durable; see [`EventWriter::write`].
    ///
    /// # Errors
    ///
    /// [`WriteError`], whose outcome is that of the event.
    ///
    /// # Cancel safety
    ///
    /// As [`EventWriter::write`].
    pub async fn write<'e>(&self, event: &'e E) -> Result<Appended, WriteError>
    where
        C: Encode<&'e E>,
    {
        let key = (self.key)(event);
        self.writer.write(Routing::from(key.as_deref()), event).await
    }

    /// Takes an event to be written, as soon as there is capacity for it; see
    /// [`EventWriter::enqueue`].
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the event cannot be taken at all.
    ///
    /// # Cancel safety
    ///
    /// As [`EventWriter::enqueue`].
    pub async fn enqueue<'e>(&self, event: &'e E) -> Result<Ack, WriteError>
    where
        C: Encode<&'e E>,
    {
        let key = (self.key)(event);
        self.writer.enqueue(Routing::from(key.as_deref()), event).await
    }

    /// Takes an event to be written, if there is capacity for it now; see
    /// [`EventWriter::try_enqueue`].
    ///
    /// # Errors
    ///
    /// As [`EventWriter::try_enqueue`].
    pub fn try_enqueue<'e>(&self, event: &'e E) -> Result<Ack, TryEnqueueError>
    where
        C: Encode<&'e E>,
    {
        let key = (self.key)(event);
        self.writer.try_enqueue(Routing::from(key.as_deref()), event)
    }

    /// Waits until everything that was written so far is done; see [`EventWriter::flush`].
    ///
    /// # Errors
    ///
    /// As [`EventWriter::flush`].
    ///
    /// # Cancel safety
    ///
    /// As [`EventWriter::flush`].
    pub async fn flush(&self) -> Result<(), WriteError> {
        self.writer.flush().await
    }

    /// Ends the writer, with all its clones; see [`EventWriter::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`EventWriter::close`].
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.writer.close(deadline).await
    }
}

impl<C, E: ?Sized> Clone for KeyedEventWriter<C, E> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), key: Arc::clone(&self.key) }
    }
}

impl<C, E: ?Sized> fmt::Debug for KeyedEventWriter<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedEventWriter").field("stream", self.stream()).finish_non_exhaustive()
    }
}
