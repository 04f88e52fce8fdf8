//! The keys of entries.

use pravega_sdk_types::{Epoch, SegmentId, TransactionId};

/// The key of an entry. In the order of keys each entry comes after those that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey {
    pub(super) scope: String,
    pub(super) part: PartKey,
}

/// The key of an entry in its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartKey {
    Scope,
    Leaving,
    Floor,
    Number(String),
    Table(String),
    Group(String),
    Stream(String, StreamKey),
}

/// The key of an entry in its stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamKey {
    State,
    Epoch(Epoch),
    Head,
    End(SegmentId),
    Writer(String),
    Watermark,
    Subscriber(String),
    RetentionPoint(u64),
    Transaction(TransactionId),
}

impl EntryKey {
    /// The key as in the journal.
    pub(super) fn path(&self) -> String {
        let scope = &self.scope;
        match &self.part {
            PartKey::Scope => format!("scope/{scope}"),
            PartKey::Leaving => format!("leaving/{scope}"),
            PartKey::Floor => format!("floor/{scope}"),
            PartKey::Number(stream) => format!("number/{scope}/{stream}"),
            PartKey::Table(name) => format!("table/{scope}/{name}"),
            PartKey::Group(name) => format!("group/{scope}/{name}"),
            PartKey::Stream(stream, key) => match key {
                StreamKey::State => format!("state/{scope}/{stream}"),
                StreamKey::Epoch(epoch) => format!("epoch/{scope}/{stream}/{epoch}"),
                StreamKey::Head => format!("head/{scope}/{stream}"),
                StreamKey::End(segment) => {
                    format!("end/{scope}/{stream}/{}", i64::from(*segment))
                }
                StreamKey::Writer(name) => format!("writer/{scope}/{stream}/{name}"),
                StreamKey::Watermark => format!("watermark/{scope}/{stream}"),
                StreamKey::Subscriber(name) => format!("subscriber/{scope}/{stream}/{name}"),
                StreamKey::RetentionPoint(key) => format!("point/{scope}/{stream}/{key}"),
                StreamKey::Transaction(id) => format!("transaction/{scope}/{stream}/{id}"),
            },
        }
    }

    /// The key that [`path`](Self::path) has; `None` if it is not one.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.splitn(4, '/');
        let (kind, scope) = (parts.next()?, parts.next()?.to_owned());
        let (name, id) = (parts.next().map(str::to_owned), parts.next());
        let part = match (kind, name, id) {
            ("scope", None, None) => PartKey::Scope,
            ("leaving", None, None) => PartKey::Leaving,
            ("floor", None, None) => PartKey::Floor,
            ("number", Some(stream), None) => PartKey::Number(stream),
            ("table", Some(name), None) => PartKey::Table(name),
            ("group", Some(name), None) => PartKey::Group(name),
            (kind, Some(stream), id) => PartKey::Stream(stream, StreamKey::parse(kind, id)?),
            _ => return None,
        };
        Some(Self { scope, part })
    }
}

impl StreamKey {
    fn parse(kind: &str, id: Option<&str>) -> Option<Self> {
        Some(match (kind, id) {
            ("state", None) => Self::State,
            ("epoch", Some(epoch)) => Self::Epoch(Epoch(epoch.parse().ok()?)),
            ("head", None) => Self::Head,
            ("end", Some(id)) => Self::End(SegmentId::from(id.parse::<i64>().ok()?)),
            ("writer", Some(name)) => Self::Writer(name.to_owned()),
            ("watermark", None) => Self::Watermark,
            ("subscriber", Some(name)) => Self::Subscriber(name.to_owned()),
            ("point", Some(key)) => Self::RetentionPoint(key.parse().ok()?),
            ("transaction", Some(id)) => Self::Transaction(id.parse().ok()?),
            _ => return None,
        })
    }
}
