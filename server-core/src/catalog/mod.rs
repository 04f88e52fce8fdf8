//! The controller: scopes and what is in them.
//!
//! Requests and answers are the controller's own messages. What lasts is kept entry by entry, under
//! names like those of files: `scope/S`, `stream/S/N`, `transaction/S/N/ID`, `table/S/N`,
//! `group/S/G`.

mod cuts;
mod describe;
mod groups;
mod names;
mod retention;
mod scaling;
pub mod scopes;
mod stream;
mod streams;
mod tables;
mod time;
pub mod transactions;

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub use self::{
    describe::StreamFilter,
    scaling::{Pace, Rates},
};
use self::{stream::Stream, transactions::Transaction};
use crate::{
    record::Record,
    store::{Refusal, Store},
};

/// Everything that the controller knows.
#[derive(Debug, Default)]
pub struct Catalog {
    scopes: BTreeMap<String, Scope>,
}

/// A scope and what is in it.
#[derive(Debug, Default)]
struct Scope {
    streams: BTreeMap<String, Stream>,
    tables: BTreeMap<String, Table>,
    groups: BTreeMap<String, Group>,
    record: ScopeRecord,
}

/// What is kept of a scope itself.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ScopeRecord {
    /// The number from which the segments of a stream count on that was deleted, if it is made
    /// again.
    next_numbers: BTreeMap<String, i32>,
}

/// A key-value table.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    #[serde(with = "message")]
    config: pravega_sdk_proto::KeyValueTableConfig,
}

/// A reader group, as far as the controller knows it.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    #[serde(with = "message")]
    config: pravega_sdk_proto::ReaderGroupConfiguration,
}

/// A call failed, with a reason that gRPC has a code for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    NotFound(String),
    Internal(String),
    Unknown(String),
    ResourceExhausted(String),
    Unavailable(String),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message();
        match refusal {
            Refusal::Full { .. } => Self::ResourceExhausted(message),
            Refusal::Ended(_) => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }
}

type Answer<T> = Result<T, Fault>;

fn no_stream(scope: &str, stream: &str) -> Fault {
    Fault::NotFound(format!("there is no stream {scope}/{stream}"))
}

impl Catalog {
    fn stream(&self, scope: &str, stream: &str) -> Option<&Stream> {
        self.scopes.get(scope)?.streams.get(stream)
    }

    fn stream_mut(&mut self, scope: &str, stream: &str) -> Option<&mut Stream> {
        self.scopes.get_mut(scope)?.streams.get_mut(stream)
    }

    /// Notes what a stream is now.
    fn keep_stream(&self, store: &mut Store, scope: &str, stream: &str) {
        let value = self.stream(scope, stream).map(blob);
        store.commit_catalog(format!("stream/{scope}/{stream}"), value);
    }

    fn keep_scope(&self, store: &mut Store, scope: &str) {
        let value = self.scopes.get(scope).map(|scope| blob(&scope.record));
        store.commit_catalog(format!("scope/{scope}"), value);
    }

    fn keep_transaction(&self, store: &mut Store, scope: &str, stream: &str, id: Uuid) {
        let value =
            self.stream(scope, stream).and_then(|stream| stream.transactions.get(&id)).map(blob);
        store.commit_catalog(format!("transaction/{scope}/{stream}/{id}"), value);
    }

    fn keep_table(&self, store: &mut Store, scope: &str, table: &str) {
        let value = self.scopes.get(scope).and_then(|scope| scope.tables.get(table)).map(blob);
        store.commit_catalog(format!("table/{scope}/{table}"), value);
    }

    fn keep_group(&self, store: &mut Store, scope: &str, group: &str) {
        let value = self.scopes.get(scope).and_then(|scope| scope.groups.get(group)).map(blob);
        store.commit_catalog(format!("group/{scope}/{group}"), value);
    }

    /// Sets an entry as it was before a restart.
    pub fn restore(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), String> {
        let mut parts = key.split('/');
        let (kind, scope) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (name, id) = (parts.next().unwrap_or_default(), parts.next());
        if kind == "scope" {
            match value {
                None => drop(self.scopes.remove(scope)),
                Some(value) => {
                    self.scopes.entry(scope.to_owned()).or_default().record = read(key, value)?
                }
            }
            return Ok(());
        }
        let Some(scope) = self.scopes.get_mut(scope) else {
            return if value.is_none() {
                Ok(())
            } else {
                Err(format!("the scope of {key} is missing"))
            };
        };
        match (kind, id) {
            ("stream", None) => {
                let mut stream: Option<Stream> = value.map(|value| read(key, value)).transpose()?;
                if let (Some(stream), Some(old)) = (&mut stream, scope.streams.get_mut(name)) {
                    // They are entries of their own.
                    stream.transactions = std::mem::take(&mut old.transactions);
                }
                set(&mut scope.streams, name, stream);
            }
            ("table", None) => {
                set(&mut scope.tables, name, value.map(|value| read(key, value)).transpose()?)
            }
            ("group", None) => {
                set(&mut scope.groups, name, value.map(|value| read(key, value)).transpose()?)
            }
            ("transaction", Some(id)) => {
                let id = Uuid::try_parse(id).map_err(|_| format!("{key} names no transaction"))?;
                let transaction: Option<Transaction> =
                    value.map(|value| read(key, value)).transpose()?;
                let Some(stream) = scope.streams.get_mut(name) else {
                    return if value.is_none() {
                        Ok(())
                    } else {
                        Err(format!("the stream of {key} is missing"))
                    };
                };
                match transaction {
                    Some(transaction) => drop(stream.transactions.insert(id, transaction)),
                    None => drop(stream.transactions.remove(&id)),
                }
            }
            _ => return Err(format!("nothing is known of {key}")),
        }
        Ok(())
    }

    /// Everything that is there, as records that make it again.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (scope_name, scope) in &self.scopes {
            let mut entry =
                |key: String, value: Bytes| put(Record::Cataloged { key, value: Some(value) });
            entry(format!("scope/{scope_name}"), blob(&scope.record));
            for (name, stream) in &scope.streams {
                entry(format!("stream/{scope_name}/{name}"), blob(stream));
                for (id, transaction) in &stream.transactions {
                    entry(format!("transaction/{scope_name}/{name}/{id}"), blob(transaction));
                }
            }
            for (name, table) in &scope.tables {
                entry(format!("table/{scope_name}/{name}"), blob(table));
            }
            for (name, group) in &scope.groups {
                entry(format!("group/{scope_name}/{name}"), blob(group));
            }
        }
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn blob<T: Serialize>(value: &T) -> Bytes {
    // Writing plain values to memory does not fail; were it to, the empty blob would be refused
    // when it is read back.
    postcard::to_allocvec(value).unwrap_or_default().into()
}

fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("the entry {key} cannot be read: {error}"))
}

/// Messages of the controller inside of other values, in their own encoding.
mod message {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::Message;

    pub(super) fn serialize<M: Message, S: Serializer>(
        message: &M,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        message.encode_to_vec().serialize(to)
    }

    pub(super) fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(
        from: D,
    ) -> Result<M, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        M::decode(&bytes[..]).map_err(D::Error::custom)
    }
}
