//! `pravega table get`, `put`, `put-if`, `insert` and `remove`

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use pravega_sdk::{
    table_synchronizer::{
        Key, KeyCondition, KeyPut, KeyRemoval, KeyValueTable, KeyVersion, MAX_VALUE_LEN, TableError,
    },
    types::{ErrorKind, ScopedKeyValueTable},
};

use super::{
    format::{Formats, KeyCoder, KeyFormats},
    page::{Columns, Layout, Row},
};
use crate::{
    context::Context,
    escape::escape,
    failure::{Failure, Result},
    output::{Format, Record},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    /// The keys: PRIMARY, or PRIMARY:SECONDARY in a table with secondary keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Print the version before each value
    #[arg(long)]
    show_version: bool,
    #[command(flatten)]
    formats: Formats,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    /// PRIMARY, or PRIMARY:SECONDARY in a table with secondary keys
    key: String,
    #[command(flatten)]
    value: ValueArguments,
    #[command(flatten)]
    formats: Formats,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PutIf {
    #[command(flatten)]
    put: Put,
    #[command(flatten)]
    condition: ConditionArguments,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ConditionArguments {
    /// The key has this version, as `get --show-version` and `put` print it
    #[arg(long)]
    version: Option<KeyVersion>,
    /// The key does not exist
    #[arg(long)]
    absent: bool,
}

#[derive(Debug, clap::Args)]
struct ValueArguments {
    /// The value
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    value: Option<String>,
    /// File with the value; - is stdin
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    /// PRIMARY, or PRIMARY:SECONDARY in a table with secondary keys
    key: String,
    /// Remove it only if it has this version
    #[arg(long)]
    version: Option<KeyVersion>,
    #[command(flatten)]
    formats: KeyFormats,
}

/// The most missing keys that a failure names.
const NAMED: usize = 10;

pub(super) async fn get(arguments: Get, context: &mut Context) -> Result<()> {
    let Get { table, keys: texts, show_version, formats } = arguments;
    let table = context.client().await?.key_value_table(&table).await?;
    let coder = KeyCoder::new(formats.keys, &table);
    let keys =
        texts.iter().map(|text| coder.key(text)).collect::<std::result::Result<Vec<_>, _>>()?;
    let is_one = keys.len() == 1;
    let columns =
        if is_one { Columns::without_key(show_version) } else { Columns::with_key(show_version) };
    let layout = Layout { keys: coder, values: formats.value_format, columns };
    let found = table.get_all(keys).await?;
    let missing: Vec<&str> = texts
        .iter()
        .zip(&found)
        .filter(|(_, entry)| entry.is_none())
        .map(|(text, _)| text.as_str())
        .collect();
    let rows: Vec<Row> = found.iter().flatten().cloned().map(Row::from).collect();
    layout.print(&rows, &mut context.output)?;
    let named = missing.get(..NAMED.min(missing.len())).unwrap_or_default().join(", ");
    let and_more = if missing.len() > NAMED { ", …" } else { "" };
    let text = match missing.len() {
        0 => return Ok(()),
        1 => format!("key {named} of {} does not exist", table.table()),
        count => format!("{count} keys of {} do not exist: {named}{and_more}", table.table()),
    };
    Err(Failure::of_kind(ErrorKind::NotFound, text))
}

pub(super) async fn put(put: Put, condition: KeyCondition, context: &mut Context) -> Result<()> {
    let Put { table, key: text, value, formats } = put;
    let value = formats.value_format.value(value.read()?)?;
    let table = context.client().await?.key_value_table(&table).await?;
    let key = KeyCoder::new(formats.keys, &table).key(&text)?;
    let entry = KeyPut::new(key.clone(), value).when(condition);
    let versions = match table.put_all([entry]).await {
        Ok(versions) => versions,
        Err(error) => return Err(refused(error, &table, key, &text, condition).await),
    };
    let Some(version) = versions.first() else { return Ok(()) };
    let output = &mut context.output;
    match output.format() {
        Format::Text => output.raw(format!("{version}\n").as_bytes()),
        Format::Json | Format::Table => {
            output.one(Record::new().with("version", version.to_string()))
        }
    }
}

pub(super) async fn put_if(arguments: PutIf, context: &mut Context) -> Result<()> {
    let condition = arguments.condition.version.map_or(KeyCondition::Absent, KeyCondition::At);
    put(arguments.put, condition, context).await
}

pub(super) async fn remove(arguments: Remove, context: &mut Context) -> Result<()> {
    let Remove { table, key: text, version, formats } = arguments;
    let table = context.client().await?.key_value_table(&table).await?;
    let key = KeyCoder::new(formats, &table).key(&text)?;
    let condition = version.map_or(KeyCondition::Any, KeyCondition::At);
    // The server does not tell whether a removal without a condition found the key.
    if version.is_none() && !table.exists(key.clone()).await? {
        let text = format!("key {text} of {} does not exist", table.table());
        return Err(Failure::of_kind(ErrorKind::NotFound, text));
    }
    let removal = KeyRemoval::new(key.clone()).when(condition);
    if let Err(error) = table.remove_all([removal]).await {
        return Err(refused(error, &table, key, &text, condition).await);
    }
    context.output.status(format_args!(
        "removed key {} of {}",
        escape(text.as_bytes()),
        table.table()
    ));
    Ok(())
}

/// The failure of a change; if its condition does not hold, with the version that the key has.
async fn refused(
    error: TableError,
    table: &KeyValueTable,
    key: Key,
    text: &str,
    condition: KeyCondition,
) -> Failure {
    if error.kind() != ErrorKind::ConditionFailed {
        return error.into();
    }
    let present = table.get(key).await.map(|entry| entry.map(|entry| entry.version));
    match (present, condition) {
        (Ok(present), _) => match conflict(text, table.table(), present, condition) {
            Some(text) => Failure::of_kind(ErrorKind::ConditionFailed, text),
            None => error.into(),
        },
        // The refusal is the cause, not that the version cannot be read.
        (Err(_), _) => error.into(),
    }
}

/// Returns why a condition does not hold; `None` if it does hold by now.
fn conflict(
    key: &str,
    table: &ScopedKeyValueTable,
    present: Option<KeyVersion>,
    condition: KeyCondition,
) -> Option<String> {
    match (condition, present) {
        (KeyCondition::Any, _) | (KeyCondition::Absent, None) => None,
        (KeyCondition::Absent, Some(present)) => {
            Some(format!("key {key} of {table} exists; its version is {present}"))
        }
        (KeyCondition::At(wanted), Some(present)) if wanted == present => None,
        (KeyCondition::At(wanted), Some(present)) => {
            Some(format!("key {key} of {table} does not have version {wanted}; it has {present}"))
        }
        (KeyCondition::At(wanted), None) => {
            Some(format!("key {key} of {table} does not have version {wanted}; it does not exist"))
        }
    }
}

impl ValueArguments {
    fn read(self) -> Result<Vec<u8>> {
        match (self.value, self.file) {
            (Some(value), _) => Ok(value.into_bytes()),
            (None, Some(path)) if path == Path::new("-") => content(std::io::stdin(), &path),
            (None, Some(path)) => content(File::open(&path).map_err(unreadable(&path))?, &path),
            (None, None) => Err(Failure::usage("a value is missing")),
        }
    }
}

/// Reads a file that is no longer than any value can be.
fn content(file: impl Read, path: &Path) -> Result<Vec<u8>> {
    // Two digits of hexadecimal are one byte, and white space at the ends is none.
    let limit = 2 * MAX_VALUE_LEN + 1024;
    let mut content = Vec::new();
    let longest = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(longest).read_to_end(&mut content).map_err(unreadable(path))?;
    if content.len() > limit {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} is too long for a value: {MAX_VALUE_LEN} bytes are allowed"
        )));
    }
    Ok(content)
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |error| Failure::usage(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_does_not_hold_is_told_with_the_version_that_the_key_has() {
        let table = "s/t".parse().unwrap();
        let version = |text: &str| text.parse::<KeyVersion>().unwrap();
        let told = |present: Option<&str>, condition| {
            conflict("k", &table, present.map(version), condition)
        };
        let at = KeyCondition::At(version("0:9"));
        let text = told(Some("0:12"), at).unwrap();
        assert_eq!(text, "key k of s/t does not have version 0:9; it has 0:12");
        let text = told(None, at).unwrap();
        assert_eq!(text, "key k of s/t does not have version 0:9; it does not exist");
        let text = told(Some("0:12"), KeyCondition::Absent).unwrap();
        assert_eq!(text, "key k of s/t exists; its version is 0:12");
        // By the time of the read it holds.
        assert_eq!(told(Some("0:9"), at), None);
        assert_eq!(told(None, KeyCondition::Absent), None);
    }

    #[test]
    fn a_file_that_is_longer_than_every_value_is_read_no_further() {
        let path = Path::new("endless");
        let error = content(std::io::repeat(b'x'), path).unwrap_err();
        assert!(error.to_string().contains("endless is too long for a value"), "{error}");
    }
}
