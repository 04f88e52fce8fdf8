//! A change of the catalog: one entry of the journal, set or removed.
//!
//! The catalog changes only by [`Catalog::apply`](super::state::Catalog::apply), now and when a
//! journal is read back.

use std::collections::BTreeMap;

use pravega_sdk_types::{Epoch, Offset, SegmentId, SegmentNumber, TransactionId};
use serde::{Deserialize, Serialize};

use super::{
    cut::Cut,
    history::EpochRecord,
    key::{EntryKey, PartKey, StreamKey},
    older::OlderStream,
    state::{Group, Table},
    stream::{RetentionPoint, StreamState, Subscriber, WatermarkBounds, WriterMark},
    transaction::Transaction,
};

/// A change of a scope, or of something in it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) scope: String,
    pub(super) part: Part,
}

/// The part of a scope that changes; `None` removes it.
#[derive(Debug)]
pub(super) enum Part {
    /// The scope itself.
    Scope(Option<ScopeRecord>),
    /// The scope is being deleted, or the stream that has left it under this name.
    Leaving,
    /// The least number of the first segment of a new stream.
    Floor(SegmentNumber),
    /// The number of the next segment of a deleted stream.
    Number(String, Option<SegmentNumber>),
    Table(String, Option<Table>),
    Group(String, Option<Group>),
    Stream(String, StreamPart),
}

/// The part of a stream that changes; `None` removes it.
#[derive(Debug)]
pub(super) enum StreamPart {
    /// The stream itself. Its other parts leave with it.
    State(Option<StreamState>),
    Epoch(Epoch, EpochRecord),
    Head(Cut),
    End(SegmentId, Offset),
    /// The ends of many segments, which are kept as an entry for each.
    Ends(Vec<(SegmentId, Offset)>),
    Writer(String, Option<WriterMark>),
    Watermark(WatermarkBounds),
    Subscriber(String, Option<Subscriber>),
    RetentionPoint(u64, Option<RetentionPoint>),
    Transaction(TransactionId, Option<Transaction>),
    /// A whole stream as earlier versions wrote it.
    Older(Box<OlderStream>),
}

/// The entry of a scope itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ScopeRecord {
    /// For each deleted stream the number of its next segment. Earlier versions kept them here; now
    /// each is an entry of its own.
    pub(super) next_numbers: BTreeMap<String, SegmentNumber>,
}

impl Change {
    pub(super) fn key(&self) -> EntryKey {
        let part = match &self.part {
            Part::Scope(_) => PartKey::Scope,
            Part::Leaving => PartKey::Leaving,
            Part::Floor(_) => PartKey::Floor,
            Part::Number(stream, _) => PartKey::Number(stream.clone()),
            Part::Table(name, _) => PartKey::Table(name.clone()),
            Part::Group(name, _) => PartKey::Group(name.clone()),
            Part::Stream(stream, part) => PartKey::Stream(stream.clone(), part.key()),
        };
        EntryKey { scope: self.scope.clone(), part }
    }
}

impl StreamPart {
    fn key(&self) -> StreamKey {
        match self {
            Self::State(_) | Self::Older(_) => StreamKey::State,
            Self::Epoch(epoch, _) => StreamKey::Epoch(*epoch),
            Self::Head(_) => StreamKey::Head,
            Self::End(segment, _) => StreamKey::End(*segment),
            // They are in the order of their segments; a copy may have those after the first twice.
            Self::Ends(ends) => {
                StreamKey::End(ends.first().map_or(SegmentId::from(0), |(segment, _)| *segment))
            }
            Self::Writer(name, _) => StreamKey::Writer(name.clone()),
            Self::Watermark(_) => StreamKey::Watermark,
            Self::Subscriber(name, _) => StreamKey::Subscriber(name.clone()),
            Self::RetentionPoint(key, _) => StreamKey::RetentionPoint(*key),
            Self::Transaction(id, _) => StreamKey::Transaction(*id),
        }
    }
}

impl Change {
    pub(super) fn new(scope: &str, part: Part) -> Self {
        Self { scope: scope.to_owned(), part }
    }

    pub(super) fn of_stream(scope: &str, stream: &str, part: StreamPart) -> Self {
        Self::new(scope, Part::Stream(stream.to_owned(), part))
    }
}
