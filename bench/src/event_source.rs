//! A reader of events that reads alone, or as the only member of a group.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use pravega_sdk::{
    ClientFactory, EventReader, ReadUntil, ReaderConfig, StreamPosition,
    codec::Raw,
    group::{GroupItem, GroupReader},
    types::{ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream},
};

/// How events are read.
pub(crate) enum Reading {
    Alone(ScopedStream, StreamPosition),
    InGroup(ScopedReaderGroup),
}

impl Reading {
    /// Prepares to read a stream: creates a group if the mode begins with `group-`.
    pub(crate) async fn prepare(
        factory: &ClientFactory,
        stream: &ScopedStream,
        start: StreamPosition,
        mode: &str,
    ) -> Result<Self> {
        if !mode.starts_with("group-") {
            return Ok(Self::Alone(stream.clone(), start));
        }
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let name = format!("group-{nanos}").parse()?;
        let group = ScopedReaderGroup::new(stream.scope().clone(), name);
        let part = factory.reader_group_part(stream, start, ReadUntil::Sealed).await?;
        let configuration = ReaderGroupConfiguration::bounded([part])?;
        factory.create_reader_group(&group, &configuration).await?;
        Ok(Self::InGroup(group))
    }
}

/// Where events come from.
pub(crate) enum EventSource {
    Alone(Box<EventReader<Raw>>),
    Member(Box<GroupReader<Raw>>),
}

impl EventSource {
    /// Opens a reader.
    pub(crate) async fn open(factory: &ClientFactory, reading: Reading) -> Result<Self> {
        match reading {
            Reading::Alone(stream, start) => {
                let config = ReaderConfig::default().with_start(start);
                let reader = factory.event_reader_with(&stream, Raw, config).await?;
                Ok(Self::Alone(Box::new(reader)))
            }
            Reading::InGroup(group) => {
                let reader = factory.group_reader(&group, &"reader".parse()?, Raw).await?;
                Ok(Self::Member(Box::new(reader)))
            }
        }
    }

    /// Returns the next event.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        match self {
            Self::Alone(reader) => {
                Ok(reader.next().await.context("the stream ended early")??.into_event())
            }
            Self::Member(reader) => loop {
                let item = reader.next().await.context("the group ended early")??;
                if let Some(event) = item.into_event() {
                    return Ok(event.into_event());
                }
            },
        }
    }

    /// Waits for events, and visits those that have arrived, at most `max`. Returns how many.
    pub(crate) async fn next_batch(
        &mut self,
        max: usize,
        mut visit: impl FnMut(&Bytes),
    ) -> Result<u64> {
        match self {
            Self::Alone(reader) => {
                let events = reader.next_batch(max).await.context("the stream ended early")??;
                events.iter().for_each(|event| visit(event.event()));
                Ok(events.len() as u64)
            }
            Self::Member(reader) => {
                let items = reader.next_batch(max).await.context("the group ended early")??;
                let events = items.into_iter().filter_map(GroupItem::into_event);
                Ok(events.map(|event| visit(event.event())).count() as u64)
            }
        }
    }
}
