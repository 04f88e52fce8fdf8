//! The entries of the catalog in the journal, each under a key like the path of a file.
//!
//! ```text
//! scope/S      stream/S/N      transaction/S/N/ID      table/S/N      group/S/G
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use pravega_sdk_types::TransactionId;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    state::{Catalog, Scope},
    stream::Stream,
    transaction::Transaction,
};
use crate::record::{Journal, Record};

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

impl Catalog {
    /// Records the present state of a stream.
    pub(super) fn save_stream(&self, journal: &mut Journal, scope: &str, stream: &str) {
        save(journal, format!("stream/{scope}/{stream}"), self.stream(scope, stream));
    }

    pub(super) fn save_scope(&self, journal: &mut Journal, scope: &str) {
        let record = self.scopes.get(scope).map(|scope| &scope.record);
        save(journal, format!("scope/{scope}"), record);
    }

    pub(super) fn save_transaction(
        &self,
        journal: &mut Journal,
        scope: &str,
        stream: &str,
        id: TransactionId,
    ) {
        let found = self.stream(scope, stream).and_then(|stream| stream.transactions.get(&id));
        save(journal, format!("transaction/{scope}/{stream}/{id}"), found);
    }

    pub(super) fn save_table(&self, journal: &mut Journal, scope: &str, table: &str) {
        save(journal, format!("table/{scope}/{table}"), self.table(scope, table));
    }

    pub(super) fn save_group(&self, journal: &mut Journal, scope: &str, group: &str) {
        save(journal, format!("group/{scope}/{group}"), self.group(scope, group));
    }

    /// Applies an entry of the journal.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if the entry is unknown, cannot be decoded, or belongs to a missing one.
    pub fn restore(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), RestoreError> {
        let mut parts = key.split('/');
        let (kind, scope) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (name, id) = (parts.next().unwrap_or_default(), parts.next());
        if kind == "scope" {
            match read(key, value)? {
                None => drop(self.scopes.remove(scope)),
                Some(record) => self.scopes.entry(scope.to_owned()).or_default().record = record,
            }
            return Ok(());
        }
        let Some(scope) = self.scopes.get_mut(scope) else {
            return missing_parent(key, "scope", value);
        };
        match (kind, id) {
            ("stream", None) => {
                let mut stream: Option<Stream> = read(key, value)?;
                if let (Some(stream), Some(old)) = (&mut stream, scope.streams.get_mut(name)) {
                    // Transactions are entries of their own.
                    stream.transactions = std::mem::take(&mut old.transactions);
                }
                set(&mut scope.streams, name, stream);
            }
            ("table", None) => set(&mut scope.tables, name, read(key, value)?),
            ("group", None) => set(&mut scope.groups, name, read(key, value)?),
            ("transaction", Some(id)) => {
                return restore_transaction(scope, key, name, id, value);
            }
            _ => return Err(RestoreError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    /// The whole catalog as records that restore it.
    pub fn snapshot(&self, mut put: impl FnMut(Record)) {
        for (scope_name, scope) in &self.scopes {
            let mut entry =
                |key: String, value: Bytes| put(Record::CatalogEntry { key, value: Some(value) });
            entry(format!("scope/{scope_name}"), encode(&scope.record));
            for (name, stream) in &scope.streams {
                entry(format!("stream/{scope_name}/{name}"), encode(stream));
                for (id, transaction) in &stream.transactions {
                    entry(format!("transaction/{scope_name}/{name}/{id}"), encode(transaction));
                }
            }
            for (name, table) in &scope.tables {
                entry(format!("table/{scope_name}/{name}"), encode(table));
            }
            for (name, group) in &scope.groups {
                entry(format!("group/{scope_name}/{name}"), encode(group));
            }
        }
    }
}

fn restore_transaction(
    scope: &mut Scope,
    key: &str,
    stream: &str,
    id: &str,
    value: Option<&[u8]>,
) -> Result<(), RestoreError> {
    let id: TransactionId = id.parse().map_err(|_| RestoreError::UnknownKey(key.to_owned()))?;
    let transaction: Option<Transaction> = read(key, value)?;
    let Some(stream) = scope.streams.get_mut(stream) else {
        return missing_parent(key, "stream", value);
    };
    match transaction {
        Some(transaction) => drop(stream.transactions.insert(id, transaction)),
        None => drop(stream.transactions.remove(&id)),
    }
    Ok(())
}

/// An entry may be removed after the one that it belongs to, but not set.
fn missing_parent(
    key: &str,
    parent: &'static str,
    value: Option<&[u8]>,
) -> Result<(), RestoreError> {
    if value.is_none() {
        return Ok(());
    }
    Err(RestoreError::MissingParent { key: key.to_owned(), parent })
}

fn set<T>(map: &mut BTreeMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn save<T: Serialize>(journal: &mut Journal, key: String, value: Option<&T>) {
    journal.push(Record::CatalogEntry { key, value: value.map(encode) });
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // Writing plain values to memory does not fail. If it did, the empty value would be refused
    // when it is read back.
    postcard::to_allocvec(value).unwrap_or_default().into()
}

fn read<T: DeserializeOwned>(key: &str, value: Option<&[u8]>) -> Result<Option<T>, RestoreError> {
    let read = |bytes| {
        postcard::from_bytes(bytes)
            .map_err(|source| RestoreError::Unreadable { key: key.to_owned(), source })
    };
    value.map(read).transpose()
}
