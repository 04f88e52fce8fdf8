//! `pravega table import`

mod batch;
mod done;

use std::path::PathBuf;

use pravega_sdk::types::ScopedKeyValueTable;

use self::{
    batch::{Failed, Importer, Line, OnConflict},
    done::Done,
};
use super::{
    format::{Formats, KeyCoder},
    line::read_line,
};
use crate::{
    commands::input::{End, Input, InputArguments, InputEvent, Next, Place, Places},
    context::Context,
    failure::{Failure, Result},
    output::{Format, Output, Record},
    signal::Signal,
};

pub(crate) const AFTER_HELP: &str = "\
Each line is a JSON object as `export` and `scan -o json` write it: primary, secondary in a table \
with secondary keys, and value. A field whose name ends with _base64 is in Base64. A version is \
passed over.

Lines with the same primary key are written in their order, others at the same time.

Examples:
  pravega table export shop/prices > prices.jsonl
  pravega table import shop/copy --file prices.jsonl";

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// SCOPE/TABLE
    table: ScopedKeyValueTable,
    /// File to read entries from [default: stdin]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What is done about a key that exists
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = OnConflict::Fail)]
    on_conflict: OnConflict,
    #[command(flatten)]
    formats: Formats,
}

/// The longest line. A byte of a value or of a key may take six in JSON.
const MAX_LINE: usize = 8 << 20;
/// Lines that are written before others are begun.
const WINDOW: usize = 256;

/// Why an import ended before the end of its input.
enum Stopped {
    /// A signal arrived, and all lines that were read before are written.
    Signal(Signal),
    /// A line is no entry.
    Bad { at: Place, failure: Failure },
    /// Reading failed.
    Unreadable(Failure),
    /// Some entries of a window are not written.
    Failed(Failed),
}

pub(super) async fn run(arguments: Import, context: &mut Context) -> Result<()> {
    let Import { table, file, on_conflict, formats } = arguments;
    let opened = InputArguments::plain_lines_up_to(MAX_LINE, file).open()?;
    let table = context.client().await?.key_value_table(&table).await?;
    let keys = KeyCoder::new(formats.keys, &table);
    let (mut input, stop) = opened.start()?;
    tokio::spawn(async move {
        std::process::exit(stop.again().await.exit_code().into());
    });
    let importer = Importer::new(table, keys, on_conflict);
    let mut done = Done::default();
    let imported = import(&mut input, &importer, &formats, &mut done).await;
    input.progress().finish_and_clear();
    match imported {
        Ok(()) => show(&done, &mut context.output),
        Err(stopped) => Err(failure(stopped, &done, input.places())),
    }
}

/// The failure of an import, with the lines that are imported.
fn failure(stopped: Stopped, done: &Done, places: &Places) -> Failure {
    let rest = if done.is_gapless() {
        format!("the rest: {}", places.rest(done.last()))
    } else {
        "--on-conflict keep passes over keys that exist".to_owned()
    };
    let text = done.text();
    match stopped {
        Stopped::Signal(signal) => Failure::stopped(signal, text).with_hint(rest),
        Stopped::Bad { at, failure } => {
            failure.with_hint(format!("{text}; correct {}, then {rest}", places.name(at)))
        }
        Stopped::Unreadable(failure) => failure.with_hint(format!("{text}; {rest}")),
        Stopped::Failed(failed) => {
            let unknown = done::unknown(&failed.unknown);
            failed.failure.with_hint(format!("{text}{unknown}; {rest}"))
        }
    }
}

/// Writes the entries of the input up to its end or the first failure.
async fn import(
    input: &mut Input,
    importer: &Importer,
    formats: &Formats,
    done: &mut Done,
) -> std::result::Result<(), Stopped> {
    loop {
        let events = match input.next().await {
            Next::Events(events) => events,
            Next::End(End::Whole) => return Ok(()),
            Next::End(End::Stopped(signal)) => return Err(Stopped::Signal(signal)),
            Next::End(End::Bad(bad)) => {
                return Err(Stopped::Bad { at: bad.at, failure: bad.into_failure() });
            }
            Next::End(End::Unreadable(failure)) => return Err(Stopped::Unreadable(failure)),
        };
        let mut events = events.into_iter();
        while !events.as_slice().is_empty() {
            let read = read(events.by_ref().take(WINDOW), importer, formats, input);
            let window = importer.write(read.lines).await;
            done.count(window.imported.len(), window.kept.len());
            done.some(read.empty.into_iter().chain(window.imported).chain(window.kept).collect());
            if let Some(failed) = window.failed {
                return Err(Stopped::Failed(failed));
            }
            if let Some((at, failure)) = read.bad {
                return Err(Stopped::Bad { at, failure });
            }
        }
    }
}

/// Some lines, up to the first that is no entry.
#[derive(Default)]
struct Read {
    lines: Vec<Line>,
    empty: Vec<Place>,
    bad: Option<(Place, Failure)>,
}

fn read(
    events: impl Iterator<Item = InputEvent>,
    importer: &Importer,
    formats: &Formats,
    input: &Input,
) -> Read {
    let mut read = Read::default();
    for InputEvent { at, payload, .. } in events {
        input.progress().inc(payload.len() as u64);
        match read_line(&payload, importer.keys(), formats.value_format) {
            Ok(Some((key, value))) => read.lines.push(Line { at, key, value }),
            Ok(None) => read.empty.push(at),
            Err(text) => {
                let text = format!("line {}: {text}", at.number);
                read.bad = Some((at, Failure::invalid_input(text)));
                break;
            }
        }
    }
    read
}

fn show(done: &Done, output: &mut Output) -> Result<()> {
    let (imported, kept) = (done.imported(), done.kept());
    if output.format() == Format::Text {
        let entries = if imported == 1 { "entry" } else { "entries" };
        let mut text = format!("imported {imported} {entries}");
        if kept > 0 {
            text.push_str(&format!("; {kept} more exist and were kept"));
        }
        output.status(text);
        return Ok(());
    }
    output.one(Record::new().with("imported", imported).with("kept", kept))
}
