//! `pravega table watch`

use std::{io::Write as _, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk::{
    table_synchronizer::{KeyChange, KeyChanges, KeyValueTable, TableError, WatchPosition},
    types::ScopedKeyValueTable,
};
use serde_json::{Map, Value};

use super::{
    format::{Formats, KeyCoder},
    page::{Columns, Layout, Row},
};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Format, closed},
    parse::some_time,
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Servers do not report the changes of tables, so the tool asks for them again and again: of \
several puts of a key meanwhile it prints the last. A removal is printed if this run has seen \
the key, so removals between two runs are not; it remembers as many keys as 64 MiB hold.

At its end the command prints the position after the last change on stderr; in JSON each change \
has the position after it. With --from POSITION another run goes on with the next change: no put \
is printed twice. A position amid changes contains the key of the last one.";

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    /// Start position: now, start (every entry of the table first), or one that was printed
    #[arg(long, value_name = "POSITION", default_value = "now", value_parser = start)]
    from: Start,
    /// Stop after this many changes
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// Pause between two questions
    #[arg(long, value_name = "DURATION", value_parser = some_time, default_value = "200ms")]
    interval: Duration,
    #[command(flatten)]
    formats: Formats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    Now,
    At(WatchPosition),
}

fn start(text: &str) -> std::result::Result<Start, String> {
    if text == "now" {
        return Ok(Start::Now);
    }
    let position = text.parse().map(Start::At);
    position.map_err(|error| format!("{error}; or it is `now`"))
}

/// Number of partitions that are asked at the same time for their ends.
const ASKED_AT_ONCE: usize = 16;

pub(super) async fn run(arguments: Watch, context: &mut Context) -> Result<()> {
    let Watch { table, from, limit, interval, formats } = arguments;
    let table = context.client().await?.key_value_table(&table).await?;
    let from = match from {
        Start::Now => now(&table).await?,
        Start::At(position) => position,
    };
    context.output.status(format_args!("watching {} from {from}", table.table()));
    let columns = Columns::KeyVersionAndValue;
    let keys = KeyCoder::new(formats.keys, &table);
    let layout = Layout { keys, values: formats.value_format, columns };
    let mut changes = table.watch(&from, interval);
    let mut printer = Printer { layout, left: limit, position: from };
    let output = &mut context.output;
    let stop = Stop::listen_once()?;
    let closed = closed();
    tokio::pin!(closed);
    let outcome = loop {
        if printer.left == Some(0) {
            break Ok(());
        }
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                break Err(Failure::stopped(signal, "the position is after the last change"));
            }
            next = changes.next() => next,
            () = &mut closed => break Ok(()),
        };
        match next {
            None => break Ok(()),
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(changes)) => output.raw(&printer.text(&changes, output.format()))?,
        }
        std::io::stdout().flush().ok();
    };
    output.status(format_args!("position {}", printer.position));
    outcome
}

/// The position after everything that was ever put.
async fn now(table: &KeyValueTable) -> std::result::Result<WatchPosition, TableError> {
    let partitions: Vec<_> = table.partitions().cloned().collect();
    let ends = partitions.into_iter().map(|partition| async move {
        let info = partition.info().await?;
        Ok::<_, TableError>((partition.segment().id(), info.end))
    });
    // Boxed, as the futures of all partitions would be large.
    let ends: Vec<_> = ends.map(Box::pin).collect();
    let ends: Vec<_> = stream::iter(ends).buffer_unordered(ASKED_AT_ONCE).try_collect().await?;
    Ok(WatchPosition::new(ends))
}

struct Printer {
    layout: Layout,
    left: Option<u64>,
    /// The position after the last change that was printed.
    position: WatchPosition,
}

impl Printer {
    /// Returns the lines of some changes.
    fn text(&mut self, changes: &KeyChanges, format: Format) -> Vec<u8> {
        let mut text = Vec::new();
        let most = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        let count = changes.changes.len().min(most);
        for (number, change) in changes.changes.iter().take(count).enumerate() {
            match format {
                Format::Text => self.put_line(change, &mut text),
                Format::Json | Format::Table => {
                    self.put_object(change, &changes.position_after(number + 1), &mut text);
                }
            }
        }
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        self.position = changes.position_after(count);
        text
    }

    fn put_line(&self, change: &KeyChange, text: &mut Vec<u8>) {
        match change {
            KeyChange::Put(entry) => {
                text.extend_from_slice(b"put\t");
                self.layout.put_line(&Row::from(entry.clone()), text);
            }
            KeyChange::Removed(key) => {
                text.extend_from_slice(b"removed\t");
                text.extend_from_slice(&self.layout.keys.shown(key));
                text.push(b'\n');
            }
            // A later version of the library may report other changes.
            other => text.extend_from_slice(format!("{other:?}\n").as_bytes()),
        }
    }

    fn put_object(&self, change: &KeyChange, position: &WatchPosition, text: &mut Vec<u8>) {
        let mut fields = Map::new();
        match change {
            KeyChange::Put(entry) => {
                fields.insert("change".to_owned(), "put".into());
                fields.extend(self.layout.fields(&Row::from(entry.clone())));
            }
            KeyChange::Removed(key) => {
                fields.insert("change".to_owned(), "removed".into());
                self.layout.keys.put_fields(key, &mut fields);
            }
            other => {
                fields.insert("change".to_owned(), format!("{other:?}").into());
            }
        }
        fields.insert("position".to_owned(), position.to_string().into());
        text.extend_from_slice(Value::Object(fields).to_string().as_bytes());
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_now_or_the_start_or_a_position() {
        assert_eq!(start("now"), Ok(Start::Now));
        assert_eq!(start("start"), Ok(Start::At(WatchPosition::start())));
        assert_eq!(start("0:120"), Ok(Start::At("0:120".parse().unwrap())));
        assert!(start("later").unwrap_err().contains("or it is `now`"));
    }
}
