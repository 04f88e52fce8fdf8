//! Output to stdout, in the chosen format, and to stderr.

use std::{
    borrow::Cow,
    io::{ErrorKind, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
};

use comfy_table::{ContentArrangement, presets};
use indicatif::{ProgressBar, WeakProgressBar};
use serde_json::{Map, Value};

use crate::{
    escape::escape,
    failure::{Failure, Result},
    terminal,
};

/// Format of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One record per line, with tabs between its fields; in columns with a header on a terminal
    Text,
    /// One JSON object per line
    Json,
    /// A table with borders
    Table,
}

/// One record of output: names and values in order.
#[derive(Debug, Default)]
pub(crate) struct Record(Map<String, Value>);

impl Record {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn into_json(self) -> Value {
        Value::Object(self.0)
    }

    pub(crate) fn from_json(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

/// Writes records. If the reader of stdout goes away, the program ends without an error.
///
/// What is written to a terminal is [escaped](escape), as it comes from streams and servers; files
/// and pipes get the bytes as they are.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    is_terminal: bool,
    /// Of the lists on a terminal: a long one comes in parts.
    header: Header,
}

/// The line above the columns of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Due,
    Shown,
}

/// Writes a line to stderr that is not data.
pub(crate) fn status(text: impl std::fmt::Display) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// The progress bar that is drawn.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// From now on, lines of [`tell`] are written above this bar.
pub(crate) fn draw_above(bar: &ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
}

/// As [`status`], for tasks beside a command that may draw a progress bar.
pub(crate) fn tell(text: &str) {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    match bar.as_ref().and_then(WeakProgressBar::upgrade) {
        Some(bar) => bar.suspend(|| status(text)),
        None => status(text),
    }
}

/// Number of items with their noun, and commas between thousands: `1 event`, `2,000 events`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let shown = indicatif::HumanCount(count);
    if count == 1 { format!("1 {what}") } else { format!("{shown} {what}s") }
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { format, is_terminal, header: Header::Due }
    }

    /// The format of the data.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Sets the format, for a command with an option for it.
    pub(crate) fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Writes a line to stderr that is not data.
    pub(crate) fn status(&self, text: impl std::fmt::Display) {
        status(text);
    }

    /// Writes a list, or the next part of one. As text, fields are separated by tabs, so that other
    /// programs can split them; on a terminal they are in columns below a header.
    pub(crate) fn list(&mut self, records: Vec<Record>) -> Result<()> {
        let lines = match self.format {
            Format::Text if self.is_terminal && !records.is_empty() => {
                columns(&records, std::mem::replace(&mut self.header, Header::Shown))
            }
            format => format.list(&records),
        };
        self.lines(lines)
    }

    /// Writes one record with all its fields, one per line as text.
    pub(crate) fn one(&mut self, record: Record) -> Result<()> {
        self.lines(self.format.one(&record))
    }

    /// Writes bytes, unchanged unless stdout is a terminal.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        written(std::io::stdout().lock().write_all(&self.shown(bytes)))
    }

    fn lines(&self, lines: Vec<String>) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        for line in lines {
            let line = self.shown(line.as_bytes());
            written(stdout.write_all(&line).and_then(|()| stdout.write_all(b"\n")))?;
        }
        written(stdout.flush())
    }

    fn shown<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_terminal { escape(bytes).into_bytes().into() } else { bytes.into() }
    }
}

impl Format {
    fn list(self, records: &[Record]) -> Vec<String> {
        match self {
            Self::Json => records.iter().map(json).collect(),
            Self::Text => records
                .iter()
                .map(|record| record.0.values().map(plain).collect::<Vec<_>>().join("\t"))
                .collect(),
            Self::Table => {
                let Some(mut table) = filled(records) else { return Vec::new() };
                table.load_style(presets::UTF8_FULL_CONDENSED);
                vec![table.to_string()]
            }
        }
    }

    fn one(self, record: &Record) -> Vec<String> {
        match self {
            Self::Json => vec![json(record)],
            Self::Text => {
                let width = record.0.keys().map(String::len).max().unwrap_or(0);
                let line =
                    |(name, value): (&String, &Value)| format!("{name:width$}  {}", plain(value));
                record.0.iter().map(line).collect()
            }
            Self::Table => {
                let mut table = table();
                table.load_style(presets::UTF8_FULL_CONDENSED);
                for (name, value) in &record.0 {
                    table.add_row([name.clone(), plain(value)]);
                }
                vec![table.to_string()]
            }
        }
    }
}

/// A table that is no wider than the terminal.
fn table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    if let Some(width) = terminal::width() {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// A table with a header; `None` if there are no records.
fn filled(records: &[Record]) -> Option<comfy_table::Table> {
    let mut table = table();
    table.set_header(records.first()?.0.keys());
    for record in records {
        table.add_row(record.0.values().map(plain));
    }
    Some(table)
}

/// Records in columns, without borders.
fn columns(records: &[Record], header: Header) -> Vec<String> {
    let Some(mut table) = filled(records) else { return Vec::new() };
    table.load_style(presets::NOTHING);
    // A line that is wider than the terminal is wrapped by it, so that it can be copied as a whole.
    table.set_content_arrangement(ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let above = match header {
        Header::Due => 0,
        Header::Shown => 1,
    };
    table.lines().skip(above).map(|line| line.trim_end().to_owned()).collect()
}

fn json(record: &Record) -> String {
    Value::Object(record.0.clone()).to_string()
}

/// Returns true if stdout is a regular file.
pub(crate) fn is_file() -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;

        let stdout = std::io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
        stdout.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file())
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// Waits until the reader of stdout has closed its pipe. Never ready if stdout is a file, or where
/// the system does not tell.
pub(crate) async fn closed() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::os::fd::AsFd as _;

        use tokio::{io::Interest, net::unix::pipe::Sender};

        // Nothing is written through this handle, so the pipe stays a blocking one.
        let stdout = std::io::stdout().as_fd().try_clone_to_owned();
        if let Ok(stdout) = stdout.and_then(Sender::from_owned_fd_unchecked)
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn written(result: std::io::Result<()>) -> Result<()> {
    match result {
        // The reader of our output has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Failure::other(format!("cannot write to stdout: {error}"))),
    }
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Record {
        Record::new()
            .with("name", "a \"b\"")
            .with("tags", json!(["x", "y"]))
            .with("count", 3)
            .with("fix", Value::Null)
    }

    #[test]
    fn a_text_list_has_one_line_per_record_with_fields_between_tabs() {
        let lines = Format::Text.list(&[record(), Record::new().with("name", "c")]);
        assert_eq!(lines, ["a \"b\"\tx, y\t3\t-", "c"]);
        assert!(Format::Text.list(&[]).is_empty());
    }

    #[test]
    fn on_a_terminal_a_text_list_has_a_header_and_aligned_columns() {
        let records = [record(), Record::new().with("name", "c").with("tags", "long").with("n", 1)];
        let lines = columns(&records, Header::Due);
        assert_eq!(lines[0], "name   tags  count  fix");
        assert_eq!(lines[1], "a \"b\"  x, y  3      -");
        assert_eq!(lines[2], "c      long  1");
        assert_eq!(columns(&records, Header::Shown), lines[1..], "the next part of a long list");
        assert!(columns(&[], Header::Due).is_empty());
    }

    #[test]
    fn a_count_has_its_noun_in_the_right_number() {
        for (count, text) in
            [(0, "0 events"), (1, "1 event"), (2, "2 events"), (3_685_464, "3,685,464 events")]
        {
            assert_eq!(counted(count, "event"), text);
        }
    }

    #[test]
    fn one_text_record_has_one_aligned_line_per_field() {
        let lines = Format::Text.one(&record());
        assert_eq!(lines, ["name   a \"b\"", "tags   x, y", "count  3", "fix    -"]);
    }

    #[test]
    fn json_is_one_object_per_line_with_fields_in_order() {
        let object = r#"{"name":"a \"b\"","tags":["x","y"],"count":3,"fix":null}"#;
        assert_eq!(Format::Json.one(&record()), [object]);
        assert_eq!(Format::Json.list(&[record(), record()]), [object, object]);
        assert!(Format::Json.list(&[]).is_empty());
    }

    #[test]
    fn a_table_of_a_list_has_a_header_and_a_table_of_one_record_has_a_row_per_field() {
        let [list] = &Format::Table.list(&[record()])[..] else { panic!("one table") };
        assert!(list.contains("name") && list.contains("x, y"), "{list}");
        assert_eq!(list.lines().count(), 5, "{list}");
        let [one] = &Format::Table.one(&record())[..] else { panic!("one table") };
        assert_eq!(one.lines().count(), 6, "{one}");
        assert!(Format::Table.list(&[]).is_empty());
    }
}
