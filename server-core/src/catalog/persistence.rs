//! The entries of the catalog in the journal, each under a key like the path of a file.
//!
//! ```text
//! scope/S      leaving/S       floor/S         number/S/N      table/S/N      group/S/G
//! state/S/N    epoch/S/N/E     head/S/N        end/S/N/ID      watermark/S/N     ends/S/N/ID
//! writer/S/N/W                 subscriber/S/N/SCOPE/GROUP      point/S/N/K    transaction/S/N/ID
//! ```
//!
//! A record has the size of what changed: an epoch is kept as its difference from the one before.
//! What belongs to a stream or a scope leaves with it. `ends/S/N/ID` sets several of `end/S/N/ID`.
//! `stream/S/N`, a whole stream, is read only: earlier versions wrote it.

use bytes::Bytes;
use pravega_sdk_types::{Epoch, SegmentId};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    apply::MissingParent,
    change::{Change, Part, StreamPart},
    state::{Catalog, Group, Table},
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
    /// A value of a checkpoint, or a change of the log, is of no known kind.
    #[error("{0} cannot be read")]
    UnknownState(&'static str),
    /// Two segments have a name, of which only one can have been left.
    #[error("the segment {0} was created again; the older one is left out")]
    Superseded(String),
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
                // As of `encode`.
                let entry = |table: &Table| table.encode().unwrap_or_default().into();
                (format!("table/{scope}/{name}"), table.as_ref().map(entry))
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
    pub(super) fn read(key: &str, value: Option<&[u8]>) -> Result<Self, RestoreError> {
        let unknown = || RestoreError::UnknownKey(key.to_owned());
        let mut parts = key.splitn(4, '/');
        let (kind, scope) = (parts.next().ok_or_else(unknown)?, parts.next().ok_or_else(unknown)?);
        let (name, id) = (parts.next(), parts.next());
        let part = match (kind, name) {
            ("scope", None) => Part::Scope(read(key, value)?),
            ("leaving", None) => Part::Leaving,
            ("floor", None) => Part::Floor(required(key, value)?),
            ("number", Some(stream)) => Part::Number(stream.to_owned(), read(key, value)?),
            ("table", Some(name)) => {
                let table = value.map(Table::read).transpose();
                Part::Table(name.to_owned(), table.map_err(|source| unreadable(key, source))?)
            }
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
            Self::Ends(ends) => {
                // A segment is deleted once, so the first of them is in no other entry.
                let first = ends.first().map_or(0, |(segment, _)| i64::from(*segment));
                ("ends", Some(first.to_string()), Some(encode(ends)))
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
            ("ends", Some(id)) => {
                number(id)?;
                Self::Ends(required(key, value)?)
            }
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
        let change = Change::read(key, value)?;
        let moved = match &change.part {
            Part::Stream(stream, StreamPart::Head(_)) => {
                Some((change.scope.clone(), stream.clone()))
            }
            _ => None,
        };
        self.apply(change).map_err(missing)?;
        // The history may be read back later.
        if let Some((scope, stream)) = moved {
            self.prune(&scope, &stream);
        }
        Ok(())
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

/// Entries as earlier versions wrote them, after that of their scope: a stream, and a scope with
/// the numbers of deleted streams, which takes the place of the numbers before it.
#[cfg(test)]
pub(crate) fn older_entries(scope: &str) -> Vec<Record> {
    let number = pravega_sdk_types::SegmentNumber(7);
    let numbered =
        super::change::ScopeRecord { next_numbers: [("gone".to_owned(), number)].into() };
    let older = || Box::new(super::older::OlderStream::example());
    let parts = [
        Part::Number("other".to_owned(), Some(number)),
        Part::Scope(Some(numbered)),
        Part::Stream("older".to_owned(), StreamPart::Older(older())),
        Part::Stream("older".to_owned(), StreamPart::Older(older())),
    ];
    parts.into_iter().map(|part| Change::new(scope, part).record()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pravega_sdk_proto::{KeyValueTableConfig, ReaderGroupConfiguration, StreamConfig};
    use pravega_sdk_types::{Offset, SegmentNumber, TransactionId};
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::{
        catalog::{
            change::ScopeRecord,
            cut::Cut,
            history::EpochRecord,
            key::EntryKey,
            state::Table,
            stream::{
                RetentionPoint, StreamState, Subscriber, WatermarkBounds, WriterMark, WriterTime,
            },
            transaction::{Transaction, TransactionState},
        },
        record::Millis,
    };

    /// Each kind of entry, with its key and its value as plain values.
    fn entries() -> Vec<(Part, &'static str, Vec<u8>)> {
        let part = |part| Part::Stream("n".to_owned(), part);
        let (scope, table) = ("s".to_owned(), "k".to_owned());
        let ends = vec![(SegmentId::from(4), Offset(5))];
        let config = StreamConfig { rollover_size_bytes: 7, ..StreamConfig::default() };
        let state = StreamState { config: config.clone(), sealed: true };
        let epoch = EpochRecord {
            reference: Epoch(1),
            at: Millis(2),
            sealed: vec![SegmentId::from(3)],
            created: Vec::new(),
        };
        let offsets: BTreeMap<i64, i64> = [(4, 5)].into();
        let position = [(SegmentId::from(4), Offset(5))].into();
        let mark = WriterMark { time: WriterTime(1), position, at: Millis(2) };
        let bounds = WatermarkBounds { lower: WriterTime(1), upper: WriterTime(2) };
        let cut = || Cut::from(&offsets);
        let subscriber = Subscriber { generation: 1, group_id: "id".to_owned(), cut: cut() };
        let point = RetentionPoint { at: Millis(1), bytes: 2, cut: cut() };
        let id = TransactionId(Uuid::from_u128(1));
        let group = ReaderGroupConfiguration { scope: scope.clone(), ..Default::default() };
        let tables = KeyValueTableConfig { scope, ..KeyValueTableConfig::default() };
        let number = SegmentNumber(7);
        let table_of =
            |first| Part::Table(table.clone(), Some(Table { config: tables.clone(), first }));
        vec![
            (Part::Scope(Some(ScopeRecord::default())), "scope/s", values(&Vec::<u8>::new())),
            (Part::Leaving, "leaving/s", Vec::new()),
            (Part::Floor(number), "floor/s", values(&7_i32)),
            (Part::Number("n".to_owned(), Some(number)), "number/s/n", values(&7_i32)),
            (
                Part::Group("g".to_owned(), Some(Group::new(&group))),
                "group/s/g",
                values(&group.encode_to_vec()),
            ),
            (table_of(SegmentNumber(0)), "table/s/k", values(&tables.encode_to_vec())),
            (table_of(number), "table/s/k", values(&(tables.encode_to_vec(), 7_i32))),
            (
                part(StreamPart::State(Some(state))),
                "state/s/n",
                values(&(config.encode_to_vec(), true)),
            ),
            (
                part(StreamPart::Epoch(Epoch(9), epoch)),
                "epoch/s/n/9",
                values(&(1_i32, 2_i64, [3_i64].to_vec(), [0_u8; 0].to_vec())),
            ),
            (part(StreamPart::Head(cut())), "head/s/n", values(&offsets)),
            (part(StreamPart::End(SegmentId::from(4), Offset(5))), "end/s/n/4", values(&5_i64)),
            (part(StreamPart::Ends(ends)), "ends/s/n/4", values(&[(4_i64, 5_i64)].to_vec())),
            (
                part(StreamPart::Writer("a/b".to_owned(), Some(mark))),
                "writer/s/n/a/b",
                values(&(1_i64, &offsets, 2_i64)),
            ),
            (part(StreamPart::Watermark(bounds)), "watermark/s/n", values(&(1_i64, 2_i64))),
            (
                part(StreamPart::Subscriber("s/g".to_owned(), Some(subscriber))),
                "subscriber/s/n/s/g",
                values(&(1_i64, "id", &offsets)),
            ),
            (
                part(StreamPart::RetentionPoint(8, Some(point))),
                "point/s/n/8",
                values(&(1_i64, 2_i64, &offsets)),
            ),
            (
                part(StreamPart::Transaction(id, Some(transaction()))),
                "transaction/s/n/00000000-0000-0000-0000-000000000001",
                values(&(1_u32, [3_i32].to_vec(), 4_i64, 5_i64, 6_i64)),
            ),
        ]
    }

    fn transaction() -> Transaction {
        Transaction {
            state: TransactionState::Committed,
            numbers: vec![SegmentNumber(3)],
            expires: Millis(4),
            ends: Millis(5),
            completed: Millis(6),
        }
    }

    fn entry(part: Part) -> Option<(String, Bytes)> {
        match Change::new("s", part).record() {
            Record::CatalogEntry { key, value } => Some((key, value?)),
            _ => None,
        }
    }

    fn values<T: Serialize>(values: &T) -> Vec<u8> {
        encode(values).to_vec()
    }

    #[test]
    fn every_entry_has_its_key_and_its_layout_and_is_read_back() {
        for (part, expected, layout) in entries() {
            let shown = format!("{part:?}");
            let (key, value) = entry(part).unwrap();
            assert_eq!((&*key, &value[..]), (expected, &layout[..]), "{shown}");
            let read = Change::read(&key, Some(&value)).unwrap();
            if !key.starts_with("ends/") {
                assert_eq!(EntryKey::parse(&key), Some(read.key()), "{key}");
                assert_eq!(read.key().path(), key);
            }
            assert_eq!((&*read.scope, format!("{:?}", read.part)), ("s", shown));
        }
    }

    #[test]
    fn an_entry_that_is_unknown_or_damaged_is_refused_by_its_key() {
        for key in [
            "",
            "scope",
            "other/s",
            "other/s/n",
            "epoch/s/n",
            "epoch/s/n/x",
            "end/s/n/x",
            "ends/s/n/x",
            "transaction/s/n/1",
        ] {
            let error = Change::read(key, Some(&[1])).unwrap_err();
            assert!(matches!(error, RestoreError::UnknownKey(_)), "{key}: {error}");
        }
        for (part, _, _) in entries() {
            let shown = format!("{part:?}");
            let (key, _) = entry(part).unwrap();
            let read = Change::read(&key, Some(&[0xFF; 9]));
            // A part without a value has none to damage.
            assert!(read.is_err() || key.starts_with("leaving/"), "{shown}: {read:?}");
        }
    }
}
