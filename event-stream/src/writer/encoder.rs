//! Encoding of events: the codec, the routing, the limits.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    append::{Key, Payload, Pinned, SegmentTail, Write},
    error::WriteError,
};
use pravega_sdk_types::ScopedStream;
use pravega_sdk_wire_protocol::MAX_APPEND_LEN;

use super::config::{LargeEvents, WriterConfig};
use crate::{codec::Encode, routing::Routing};

/// Encodes events and checks them against the limits of a writer.
pub(super) struct Encoder<C> {
    stream: ScopedStream,
    codec: Arc<C>,
    large_events: LargeEvents,
    max_event_bytes: usize,
}

impl<C> Encoder<C> {
    pub(super) fn new(stream: &ScopedStream, codec: Arc<C>, config: &WriterConfig) -> Self {
        Self {
            stream: stream.clone(),
            codec,
            large_events: config.large_events,
            max_event_bytes: config.max_event_bytes,
        }
    }

    pub(super) fn prepare<E>(&self, key: Routing<'_>, event: E) -> Result<Write, WriteError>
    where
        C: Encode<E>,
    {
        let key = key.position().map_err(|error| error.with_stream(&self.stream))?;
        Ok(Write::Routed { key, payload: self.single(self.encode(event)?)? })
    }

    /// Prepares an event that is written only if a segment ends at `tail`.
    pub(super) fn prepare_at<E>(
        &self,
        key: Routing<'_>,
        tail: &SegmentTail,
        event: E,
    ) -> Result<Write, WriteError>
    where
        C: Encode<E>,
    {
        let segment = tail.segment();
        if segment.scoped_stream() != self.stream {
            let detail = format_args!("the condition is about {segment}");
            return Err(self.refuse(detail));
        }
        let position = match key.position().map_err(|error| error.with_stream(&self.stream))? {
            Key::Hashed(position) => Some(position),
            Key::Any => None,
        };
        let Payload::Event(event) = self.single(self.encode(event)?)? else {
            return Err(self.refuse("a large event cannot be written on a condition"));
        };
        let (segment, offset) = (tail.segment().id(), tail.offset());
        Ok(Write::Pinned { position, segment, offset, payload: Pinned::Event(event) })
    }

    pub(super) fn encode<E>(&self, event: E) -> Result<Bytes, WriteError>
    where
        C: Encode<E>,
    {
        self.codec.encode(event).map_err(|error| {
            WriteError::invalid("the event cannot be encoded")
                .with_stream(&self.stream)
                .with_source(Some(Arc::new(error)))
        })
    }

    pub(super) fn single(&self, event: Bytes) -> Result<Payload, WriteError> {
        if event.len() <= self.max_event_bytes {
            return Ok(Payload::Event(event));
        }
        self.check_large(event.len())?;
        Ok(Payload::Large(vec![event]))
    }

    pub(super) fn batch(&self, events: Vec<Bytes>) -> Result<Payload, WriteError> {
        if events.is_empty() {
            return Err(self.refuse("a batch of no events"));
        }
        if i32::try_from(events.len()).is_err() {
            return Err(self.refuse("a batch of more than 2147483647 events"));
        }
        let longest = events.iter().map(Bytes::len).max().unwrap_or(0);
        let payload = Payload::Batch(events);
        let len = payload.framed_len();
        if longest <= self.max_event_bytes && len <= MAX_APPEND_LEN {
            return Ok(payload);
        }
        self.check_large(len)?;
        match payload {
            Payload::Batch(events) => Ok(Payload::Large(events)),
            other => Ok(other),
        }
    }

    fn check_large(&self, len: usize) -> Result<(), WriteError> {
        let limit = match self.large_events {
            LargeEvents::Refuse => self.max_event_bytes,
            // What an event's header can say.
            LargeEvents::UpTo(limit) => limit.min(i32::MAX as usize),
        };
        if len <= limit {
            return Ok(());
        }
        let hint = match self.large_events {
            LargeEvents::Refuse => "; WriterConfig::with_large_events allows more",
            LargeEvents::UpTo(_) => "",
        };
        Err(self.refuse(format_args!("the event has {len} bytes, {limit} are allowed{hint}")))
    }

    pub(super) fn refuse(&self, detail: impl fmt::Display) -> WriteError {
        WriteError::invalid(detail).with_stream(&self.stream)
    }
}
