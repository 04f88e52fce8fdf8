//! The state of the controller: scopes with their streams, tables and groups.

use std::collections::{BTreeMap, HashMap};

use bytestring::ByteString;
use pravega_sdk_proto::{KeyValueTableConfig, ReaderGroupConfiguration};
use pravega_sdk_types::SegmentNumber;
use serde::{Deserialize, Serialize};

use super::{message, rates::Rates, stream::Stream};

/// The state of the controller.
#[derive(Debug, Default)]
pub struct Catalog {
    pub(super) scopes: BTreeMap<String, Scope>,
    /// The rates of the segments whose streams scale by rate. They are measured again after a
    /// restart.
    pub(super) rates: HashMap<ByteString, Rates>,
}

/// A scope with its streams, tables and groups.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) record: ScopeRecord,
}

/// The persistent part of a scope itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ScopeRecord {
    /// For each deleted stream the number of its next segment, for a stream of the same name.
    pub(super) next_numbers: BTreeMap<String, SegmentNumber>,
}

/// A key-value table.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    #[serde(with = "message")]
    pub(super) config: KeyValueTableConfig,
}

/// A reader group, as far as the controller knows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Group {
    #[serde(with = "message")]
    pub(super) config: ReaderGroupConfiguration,
}

impl Catalog {
    pub(super) fn stream(&self, scope: &str, stream: &str) -> Option<&Stream> {
        self.scopes.get(scope)?.streams.get(stream)
    }

    pub(super) fn stream_mut(&mut self, scope: &str, stream: &str) -> Option<&mut Stream> {
        self.scopes.get_mut(scope)?.streams.get_mut(stream)
    }

    pub(super) fn table(&self, scope: &str, table: &str) -> Option<&Table> {
        self.scopes.get(scope)?.tables.get(table)
    }

    pub(super) fn group(&self, scope: &str, group: &str) -> Option<&Group> {
        self.scopes.get(scope)?.groups.get(group)
    }

    pub(super) fn group_mut(&mut self, scope: &str, group: &str) -> Option<&mut Group> {
        self.scopes.get_mut(scope)?.groups.get_mut(group)
    }
}
