//! The entries of the catalog in the journal, each under a key like the path of a file.
//!
//! ```text
//! scope/S      leaving/S       floor/S         number/S/N      table/S/N      group/S/G
//! state/S/N    epoch/S/N/E     head/S/N        end/S/N/ID      watermark/S/N
//! writer/S/N/W                 subscriber/S/N/SCOPE/GROUP      point/S/N/K    transaction/S/N/ID
//! ```
//!
//! A record has the size of what changed: an epoch is kept as its difference from the one before.
//! What belongs to a stream or a scope leaves with it. `stream/S/N`, a whole stream, is read only:
//! earlier versions wrote it.

use bytes::Bytes;
use pravega_sdk_types::{Epoch, SegmentId, SegmentNumber};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    apply::MissingParent,
    change::{Change, Part, ScopeRecord, StreamPart},
    names,
    state::{Catalog, Group, Scope},
    stream::Stream,
};
use crate::record::Record;

/// A record of the catalog in the journal cannot be applied.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The entry that this one belongs to does not exist.
    #[error("the {parent} of {key} is missing")]
    MissingParent {
        /// The key of the entry.
        key: String,
        /// The kind of the missing entry.
        parent: &'static str,
    },
    /// The key is of no known kind.
    #[error("{0} is not an entry of the catalog")]
    UnknownKey(String),
    /// The value cannot be decoded.
    #[error("the entry {key} cannot be read")]
    Unreadable {
        /// The key of the entry.
        key: String,
        /// The cause.
        source: postcard::Error,
    },
}

impl Change {
    /// The record of the change.
    pub(super) fn record(&self) -> Record {
        let Self { scope, part } = self;
        let (key, value) = match part {
            Part::Scope(record) => (format!("scope/{scope}"), record.as_ref().map(encode)),
            Part::Leaving => (format!("leaving/{scope}"), Some(Bytes::new())),
            Part::Floor(floor) => (format!("floor/{scope}"), Some(encode(floor))),
            Part::Number(stream, number) => {
                (format!("number/{scope}/{stream}"), number.as_ref().map(encode))
            }
            Part::Table(name, table) => {
                (format!("table/{scope}/{name}"), table.as_ref().map(encode))
            }
            Part::Group(name, group) => {
                (format!("group/{scope}/{name}"), group.as_ref().map(encode))
            }
            Part::Stream(stream, part) => {
                let (kind, id, value) = part.entry();
                let id = id.map(|id| format!("/{id}")).unwrap_or_default();
                (format!("{kind}/{scope}/{stream}{id}"), value)
            }
        };
        Record::CatalogEntry { key, value }
    }

    /// The change that an entry of the journal is.
    fn read(key: &str, value: Option<&[u8]>) -> Result<Self, RestoreError> {
        let unknown = || RestoreError::UnknownKey(key.to_owned());
        let mut parts = key.splitn(4, '/');
        let (kind, scope) = (parts.next().ok_or_else(unknown)?, parts.next().ok_or_else(unknown)?);
        let (name, id) = (parts.next(), parts.next());
        let part = match (kind, name) {
            ("scope", None) => Part::Scope(read(key, value)?),
            ("leaving", None) => Part::Leaving,
            ("floor", None) => Part::Floor(required(key, value)?),
            ("number", Some(stream)) => Part::Number(stream.to_owned(), read(key, value)?),
            ("table", Some(name)) => Part::Table(name.to_owned(), read(key, value)?),
            ("group", Some(name)) => {
                let group: Option<Group> = read(key, value)?;
                if !group.as_ref().is_none_or(Group::is_readable) {
                    return Err(unreadable(key, postcard::Error::SerdeDeCustom));
                }
                Part::Group(name.to_owned(), group)
            }
            (kind, Some(stream)) => {
                let part = StreamPart::read(key, kind, id, value)?;
                Part::Stream(stream.to_owned(), part)
            }
            _ => return Err(unknown()),
        };
        Ok(Self::new(scope, part))
    }
}

impl StreamPart {
    /// The kind of the entry, the last part of its key, and its value.
    fn entry(&self) -> (&'static str, Option<String>, Option<Bytes>) {
        match self {
            Self::State(state) => ("state", None, state.as_ref().map(encode)),
            Self::Epoch(epoch, record) => ("epoch", Some(epoch.to_string()), Some(encode(record))),
            Self::Head(cut) => ("head", None, Some(encode(cut))),
            Self::End(segment, end) => {
                ("end", Some(i64::from(*segment).to_string()), Some(encode(end)))
            }
            Self::Writer(name, mark) => ("writer", Some(name.clone()), mark.as_ref().map(encode)),
            Self::Watermark(bounds) => ("watermark", None, Some(encode(bounds))),
            Self::Subscriber(name, subscriber) => {
                ("subscriber", Some(name.clone()), subscriber.as_ref().map(encode))
            }
            Self::RetentionPoint(key, point) => {
                ("point", Some(key.to_string()), point.as_ref().map(encode))
            }
            Self::Transaction(id, transaction) => {
                ("transaction", Some(id.to_string()), transaction.as_ref().map(encode))
            }
            Self::Older(stream) => ("stream", None, Some(encode(stream))),
        }
    }

    fn read(
        key: &str,
        kind: &str,
        id: Option<&str>,
        value: Option<&[u8]>,
    ) -> Result<Self, RestoreError> {
        let number = |id: &str| -> Result<i64, RestoreError> {
            id.parse().map_err(|_| RestoreError::UnknownKey(key.to_owned()))
        };
        Ok(match (kind, id) {
            ("stream", None) => match read(key, value)? {
                Some(older) => Self::Older(older),
                None => Self::State(None),
            },
            ("state", None) => Self::State(read(key, value)?),
            ("epoch", Some(epoch)) => {
                let epoch = i32::try_from(number(epoch)?).unwrap_or(i32::MAX);
                Self::Epoch(Epoch(epoch), required(key, value)?)
            }
            ("head", None) => Self::Head(required(key, value)?),
            ("end", Some(id)) => Self::End(SegmentId::from(number(id)?), required(key, value)?),
            ("writer", Some(name)) => Self::Writer(name.to_owned(), read(key, value)?),
            ("watermark", None) => Self::Watermark(required(key, value)?),
            ("subscriber", Some(name)) => Self::Subscriber(name.to_owned(), read(key, value)?),
            ("point", Some(id)) => {
                Self::RetentionPoint(number(id)?.unsigned_abs(), read(key, value)?)
            }
            ("transaction", Some(id)) => {
                let id = id.parse().map_err(|_| RestoreError::UnknownKey(key.to_owned()))?;
                Self::Transaction(id, read(key, value)?)
            }
            _ => return Err(RestoreError::UnknownKey(key.to_owned())),
        })
    }
}

impl Catalog {
    /// Applies an entry of the journal.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if the entry is unknown, cannot be decoded, or belongs to a missing one.
    pub fn restore(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), RestoreError> {
        let missing =
            |MissingParent(parent)| RestoreError::MissingParent { key: key.to_owned(), parent };
        self.apply(Change::read(key, value)?).map_err(missing)
    }

    /// The whole catalog as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (name, scope) in &self.scopes {
            scope.snapshot(name, &mut put);
        }
        for (name, leaving) in &self.leaving {
            leaving.scope.snapshot(name, &mut put);
            put(Change::new(name, Part::Leaving).record());
        }
    }
}

impl Scope {
    fn snapshot(&self, scope: &str, put: &mut impl FnMut(Record)) {
        let mut entry = |part: Part| put(Change::new(scope, part).record());
        if scope != names::SYSTEM_SCOPE {
            entry(Part::Scope(Some(ScopeRecord::default())));
        }
        if self.numbers.floor != SegmentNumber::default() {
            entry(Part::Floor(self.numbers.floor));
        }
        for (stream, number) in self.numbers.iter() {
            entry(Part::Number(stream.clone(), Some(number)));
        }
        for (name, table) in &self.tables {
            entry(Part::Table(name.clone(), Some(table.clone())));
        }
        for (name, group) in &self.groups {
            entry(Part::Group(name.clone(), Some(group.clone())));
        }
        for (name, stream) in &self.streams {
            stream.snapshot(|part| entry(Part::Stream(name.clone(), part)));
        }
    }
}

impl Stream {
    fn snapshot(&self, mut part: impl FnMut(StreamPart)) {
        part(StreamPart::State(Some(self.state.clone())));
        for (number, epoch) in self.history.records() {
            part(StreamPart::Epoch(number, epoch));
        }
        if !self.head.is_empty() {
            part(StreamPart::Head(self.head.clone()));
        }
        for (segment, end) in &self.deleted_ends {
            part(StreamPart::End(*segment, *end));
        }
        for (name, mark) in &self.writers {
            part(StreamPart::Writer(name.clone(), Some(mark.clone())));
        }
        if let Some(bounds) = self.watermark {
            part(StreamPart::Watermark(bounds));
        }
        for (name, subscriber) in &self.subscribers {
            part(StreamPart::Subscriber(name.clone(), Some(subscriber.clone())));
        }
        for (key, point) in &self.retention_points {
            part(StreamPart::RetentionPoint(*key, Some(point.clone())));
        }
        for (id, transaction) in self.transactions.iter() {
            part(StreamPart::Transaction(id, Some(transaction.clone())));
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // Writing plain values to memory does not fail. If it did, the empty value would be refused
    // when it is read back.
    postcard::to_allocvec(value).unwrap_or_default().into()
}

fn unreadable(key: &str, source: postcard::Error) -> RestoreError {
    RestoreError::Unreadable { key: key.to_owned(), source }
}

fn read<T: DeserializeOwned>(key: &str, value: Option<&[u8]>) -> Result<Option<T>, RestoreError> {
    let read = |bytes| postcard::from_bytes(bytes).map_err(|source| unreadable(key, source));
    value.map(read).transpose()
}

/// The value of an entry that is never removed by itself.
fn required<T: DeserializeOwned>(key: &str, value: Option<&[u8]>) -> Result<T, RestoreError> {
    read(key, value)?.ok_or_else(|| RestoreError::UnknownKey(key.to_owned()))
}
