//! Output to stdout, in the chosen format, and to stderr.

use std::io::{ErrorKind, Write as _};

use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// Format of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tab-separated, one record per line
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
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format of the data.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Writes a line to stderr that is not data.
    pub(crate) fn status(&self, text: impl std::fmt::Display) {
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }

    /// Writes a list. As text, fields are separated by tabs, so that other programs can split them.
    pub(crate) fn list(&mut self, records: Vec<Record>) -> Result<()> {
        match self.format {
            Format::Json => self.json_lines(&records),
            Format::Text => {
                let line =
                    |record: &Record| record.0.values().map(plain).collect::<Vec<_>>().join("\t");
                self.lines(records.iter().map(line))
            }
            Format::Table => {
                let Some(first) = records.first() else { return Ok(()) };
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
                table.set_header(first.0.keys());
                for record in &records {
                    table.add_row(record.0.values().map(plain));
                }
                self.lines([table.to_string()])
            }
        }
    }

    /// Writes one record with all its fields, one per line as text.
    pub(crate) fn one(&mut self, record: Record) -> Result<()> {
        match self.format {
            Format::Json => self.json_lines(&[record]),
            Format::Text => {
                let width = record.0.keys().map(String::len).max().unwrap_or(0);
                self.lines(
                    record.0.iter().map(|(name, value)| format!("{name:width$}  {}", plain(value))),
                )
            }
            Format::Table => {
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
                for (name, value) in &record.0 {
                    table.add_row([name.clone(), plain(value)]);
                }
                self.lines([table.to_string()])
            }
        }
    }

    /// Writes bytes unchanged.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        written(std::io::stdout().lock().write_all(bytes))
    }

    fn json_lines(&self, records: &[Record]) -> Result<()> {
        self.lines(records.iter().map(|record| Value::Object(record.0.clone()).to_string()))
    }

    fn lines(&self, lines: impl IntoIterator<Item = String>) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        for line in lines {
            written(writeln!(stdout, "{line}"))?;
        }
        written(stdout.flush())
    }
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
