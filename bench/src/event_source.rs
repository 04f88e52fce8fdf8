//! A reader of events that reads alone, or as the only member of a group.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use pravega_sdk::{
    ClientFactory, EventReader, ReadUntil, ReaderConfig, StreamPosition,
    codec::Raw,
    group::GroupReader,
    types::{ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream},
};

/// Where events come from.
pub(crate) enum EventSource {
    Alone(Box<EventReader<Raw>>),
    Member(Box<GroupReader<Raw>>),
}

impl EventSource {
    /// Opens a reader: as a member of a new group if the mode begins with `group-`.
    pub(crate) async fn open(
        factory: &ClientFactory,
        stream: &ScopedStream,
        start: StreamPosition,
        mode: &str,
    ) -> Result<Self> {
        if !mode.starts_with("group-") {
            let config = ReaderConfig::default().with_start(start);
            let reader = factory.event_reader_with(stream, Raw, config).await?;
            return Ok(Self::Alone(Box::new(reader)));
        }
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let name = format!("group-{nanos}").parse()?;
        let group = ScopedReaderGroup::new(stream.scope().clone(), name);
        let part = factory.reader_group_part(stream, start, ReadUntil::Sealed).await?;
        let configuration = ReaderGroupConfiguration::bounded([part])?;
        factory.create_reader_group(&group, &configuration).await?;
        let reader = factory.group_reader(&group, &"reader".parse()?, Raw).await?;
        Ok(Self::Member(Box::new(reader)))
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
}
