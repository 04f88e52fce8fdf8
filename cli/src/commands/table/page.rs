//! Entries on stdout.

use bytes::Bytes;
use pravega_sdk::table_synchronizer::{Key, KeyValueEntry, KeyVersion};
use serde_json::{Map, Value};

use super::format::{KeyCoder, Nesting, ValueFormat};
use crate::{
    escape::escape,
    failure::Result,
    output::{Format, Output, Record},
};

/// An entry, or a key without its value.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) version: KeyVersion,
    pub(super) value: Option<Bytes>,
}

impl From<KeyValueEntry> for Row {
    fn from(entry: KeyValueEntry) -> Self {
        Self { key: entry.key, version: entry.version, value: Some(entry.value) }
    }
}

impl From<(Key, KeyVersion)> for Row {
    fn from((key, version): (Key, KeyVersion)) -> Self {
        Self { key, version, value: None }
    }
}

/// What the lines of text have besides values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    Value,
    VersionAndValue,
    KeyAndValue,
    KeyVersionAndValue,
}

/// How entries are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) keys: KeyCoder,
    pub(super) values: ValueFormat,
    pub(super) columns: Columns,
}

impl Columns {
    pub(super) fn with_key(shows_version: bool) -> Self {
        if shows_version { Self::KeyVersionAndValue } else { Self::KeyAndValue }
    }

    pub(super) fn without_key(shows_version: bool) -> Self {
        if shows_version { Self::VersionAndValue } else { Self::Value }
    }

    fn has_key(self) -> bool {
        matches!(self, Self::KeyAndValue | Self::KeyVersionAndValue)
    }

    fn has_version(self) -> bool {
        matches!(self, Self::VersionAndValue | Self::KeyVersionAndValue)
    }
}

impl Layout {
    /// Prints entries that arrived together.
    pub(super) fn print(&self, rows: &[Row], output: &mut Output) -> Result<()> {
        match output.format() {
            Format::Text => {
                let mut text = Vec::new();
                for row in rows {
                    self.put_line(row, &mut text);
                }
                output.raw(&text)
            }
            Format::Json => {
                let records = rows.iter().map(|row| Record::from_json(self.fields(row)));
                output.list(records.collect())
            }
            Format::Table => output.list(rows.iter().map(|row| self.cells(row)).collect()),
        }
    }

    /// Adds a line of text, with tabs between its columns.
    pub(super) fn put_line(&self, row: &Row, text: &mut Vec<u8>) {
        if self.columns.has_key() {
            text.extend_from_slice(&self.keys.shown(&row.key));
        }
        if self.columns.has_version() {
            if self.columns.has_key() {
                text.push(b'\t');
            }
            text.extend_from_slice(row.version.to_string().as_bytes());
        }
        if let Some(value) = &row.value {
            if self.columns != Columns::Value {
                text.push(b'\t');
            }
            text.extend_from_slice(&self.values.shown(value));
        }
        text.push(b'\n');
    }

    /// The fields of a JSON object.
    pub(super) fn fields(&self, row: &Row) -> Map<String, Value> {
        let mut fields = Map::new();
        self.keys.put_fields(&row.key, &mut fields);
        fields.insert("version".to_owned(), row.version.to_string().into());
        if let Some(value) = &row.value {
            self.values.put_field(value, Nesting::Same, &mut fields);
        }
        fields
    }

    fn cells(&self, row: &Row) -> Record {
        let cells = Record::new()
            .with("key", escape(&self.keys.shown(&row.key)))
            .with("version", row.version.to_string());
        match &row.value {
            None => cells,
            Some(value) => cells.with("value", escape(&self.values.shown(value))),
        }
    }
}
