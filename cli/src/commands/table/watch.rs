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
    parse::duration,
    stop::Stop,
};

pub(crate) const AFTER_HELP: &str = "\
Servers do not report the changes of tables, so the tool asks for them again and again: of \
several puts of a key meanwhile it prints the last. A removal is printed if this run has seen \
the key, so removals between two runs are not. A put in the moment of the position may be printed \
again.

At its end the command prints the position after the last change on stderr; in JSON each change \
has the position after it. With --from POSITION another run goes on there.";

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
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "200ms")]
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
    let mut printer = Printer { layout, left: limit, place: Place::new(from) };
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
    output.status(format_args!("position {}", printer.place.position));
    if printer.place.repeated > 0 {
        let repeated = printer.place.repeated;
        output.status(format_args!("from there the last {repeated} puts are printed again"));
    }
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

/// How far a watch was printed.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The last position at which all changes before it were printed.
    position: WatchPosition,
    /// Number of puts that were printed since.
    repeated: u64,
}

impl Place {
    fn new(position: WatchPosition) -> Self {
        Self { position, repeated: 0 }
    }

    /// The change was printed.
    fn handle_printed(&mut self, change: &KeyChange) {
        if matches!(change, KeyChange::Put(_)) {
            self.repeated += 1;
        }
    }

    /// All changes up to a position were printed. Where more of the same scan follow, it is the one
    /// before.
    fn handle_position(&mut self, position: &WatchPosition) {
        if self.position != *position {
            *self = Self::new(position.clone());
        }
    }
}

struct Printer {
    layout: Layout,
    left: Option<u64>,
    place: Place,
}

impl Printer {
    /// Returns the lines of some changes.
    fn text(&mut self, changes: &KeyChanges, format: Format) -> Vec<u8> {
        let mut text = Vec::new();
        let count = changes.changes.len();
        for (number, change) in changes.changes.iter().enumerate() {
            if self.left == Some(0) {
                break;
            }
            self.left = self.left.map(|left| left - 1);
            self.place.handle_printed(change);
            if number + 1 == count {
                self.place.handle_position(&changes.position);
            }
            match format {
                Format::Text => self.put_line(change, &mut text),
                Format::Json | Format::Table => self.put_object(change, &mut text),
            }
        }
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

    fn put_object(&self, change: &KeyChange, text: &mut Vec<u8>) {
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
        fields.insert("position".to_owned(), self.place.position.to_string().into());
        text.extend_from_slice(Value::Object(fields).to_string().as_bytes());
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk::table_synchronizer::Key;

    use super::*;

    #[test]
    fn a_start_is_now_or_the_start_or_a_position() {
        assert_eq!(start("now"), Ok(Start::Now));
        assert_eq!(start("start"), Ok(Start::At(WatchPosition::start())));
        assert_eq!(start("0:120"), Ok(Start::At("0:120".parse().unwrap())));
        assert!(start("later").unwrap_err().contains("or it is `now`"));
    }

    #[test]
    fn a_position_before_changes_that_were_printed_is_told_with_their_number() {
        let (before, after): (WatchPosition, WatchPosition) =
            ("0:8".parse().unwrap(), "0:99".parse().unwrap());
        let mut place = Place::new(before.clone());
        let removed = KeyChange::Removed(Key::new("k"));
        place.handle_printed(&removed);
        place.handle_position(&before);
        assert_eq!(place.repeated, 0, "a removal is not printed again");
        place.handle_position(&after);
        assert_eq!(place, Place::new(after));
    }
}
