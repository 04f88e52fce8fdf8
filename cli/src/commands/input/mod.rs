//! Events from a file or stdin: one per line, or length-prefixed.
//!
//! A thread reads, because reading a terminal or a pipe may block forever. It hands over every
//! whole event before it waits for more input, and says so, so that a command that is stopped knows
//! when it has all events that were read.

mod event;
mod framer;
mod key;
mod place;
mod reader;
mod sniff;
#[cfg(test)]
mod tests;

use std::{fs::File, io::Cursor, path::PathBuf};

use indicatif::ProgressBar;
use pravega_sdk::{LargeEvents, wire_protocol::event::MAX_EVENT_LEN};
use tokio::sync::mpsc;

use self::{
    event::BadRecord,
    framer::{Framing, LineEnds},
    key::KeySource,
    place::Unit,
    reader::{Limit, Message, Rules, Source, read},
};
pub(crate) use self::{event::InputEvent, framer::Place, place::Places};
use super::progress;
use crate::{
    failure::{Failure, Result},
    output::status,
    parse,
    signal::Signal,
    stop::Stop,
    terminal,
};

/// The source of the events, and the part of each that is its routing key.
#[derive(Debug, clap::Args)]
pub(crate) struct InputArguments {
    /// File to read events from, one per line; - is stdin [default: stdin]
    #[arg(long, short, value_name = "FILE", help_heading = INPUT)]
    file: Option<PathBuf>,

    /// Split each line at the first such character: the routing key is before it, the event after
    /// it. The key is not part of the event, and cannot be read back, unless --keep-key is given
    #[arg(
        long,
        value_name = "CHARACTER",
        help_heading = INPUT,
        value_parser = parse::character,
        conflicts_with_all = ["json", "key_field", "length_prefixed"]
    )]
    key_separator: Option<char>,

    /// With --key-separator: the event is the whole line, its routing key included
    // A requirement that another option rules out is not checked, so those are named, too.
    #[arg(
        long,
        help_heading = INPUT,
        requires = "key_separator",
        conflicts_with_all = ["json", "key_field", "length_prefixed"]
    )]
    keep_key: bool,

    /// Field of each JSON line that is its routing key; implies --json
    #[arg(long, help_heading = INPUT, value_name = "FIELD", conflicts_with = "length_prefixed")]
    key_field: Option<String>,

    /// Require every line to be JSON
    #[arg(long, help_heading = INPUT, conflicts_with = "length_prefixed")]
    json: bool,

    /// Read length-prefixed events (u32, big-endian) instead of lines
    #[arg(long, help_heading = INPUT)]
    length_prefixed: bool,

    /// Keep a carriage return at the end of a line and a byte-order mark before the first one;
    /// without this option a line ends with \n or \r\n
    #[arg(long, help_heading = INPUT, conflicts_with = "length_prefixed")]
    raw_lines: bool,

    /// Maximum length of an event, with K, M or G for powers of 1024; events over 8M are sent
    /// through a temporary segment
    #[arg(
        long,
        help_heading = INPUT,
        value_name = "BYTES",
        value_parser = parse::length,
        default_value = "8M"
    )]
    max_event_bytes: usize,

    /// Check the whole file first: if a line is invalid, nothing is written
    #[arg(long, help_heading = INPUT, requires = "file", conflicts_with = "skip_bad")]
    check: bool,

    /// Skip invalid lines, and report each on stderr
    #[arg(long, help_heading = INPUT, conflicts_with = "length_prefixed")]
    skip_bad: bool,

    #[arg(skip)]
    limit: Limit,
    #[arg(skip)]
    given: Vec<String>,
}

/// The heading of the options of the input.
const INPUT: &str = "Input";

/// Input that can be read, and is not yet.
pub(crate) struct Opened {
    source: Source,
    rules: Rules,
    places: Places,
    len: Option<u64>,
}

/// The events of the input.
#[derive(Debug)]
pub(crate) struct Input {
    messages: mpsc::Receiver<Message>,
    /// The signals that end the input before its end.
    stop: Stop,
    progress: ProgressBar,
    /// True if all whole events that were read are handed out.
    is_idle: bool,
    stopped: Option<Signal>,
    skipped: u64,
    /// The place of the last event or skipped line.
    last: Place,
    places: Places,
}

/// The next part of the input.
#[derive(Debug)]
pub(crate) enum Next {
    Events(Vec<InputEvent>),
    End(End),
}

/// Why the input ended.
#[derive(Debug)]
pub(crate) enum End {
    /// There is no more.
    Whole,
    /// A signal arrived. All whole events that were read before were handed out.
    Stopped(Signal),
    /// The next event is invalid.
    Bad(BadRecord),
    /// Reading failed.
    Unreadable(Failure),
}

/// How many skipped lines are reported one by one.
const REPORTED: u64 = 20;

impl InputArguments {
    /// Lines without keys, of any length.
    pub(crate) fn plain_lines(file: Option<PathBuf>) -> Self {
        Self {
            file,
            key_separator: None,
            keep_key: false,
            key_field: None,
            json: false,
            length_prefixed: false,
            raw_lines: false,
            max_event_bytes: usize::MAX,
            check: false,
            skip_bad: false,
            limit: Limit::Fixed,
            given: Vec::new(),
        }
    }

    /// Lines without keys, each of a length that the command has set.
    pub(crate) fn plain_lines_up_to(max_bytes: usize, file: Option<PathBuf>) -> Self {
        Self { max_event_bytes: max_bytes, ..Self::plain_lines(file) }
    }

    /// The events of the command line, each of which is treated as a line, in place of a file.
    pub(crate) fn with_given(self, given: Vec<String>) -> Result<Self> {
        let option = [
            (self.file.is_some(), "--file"),
            (self.length_prefixed, "--length-prefixed"),
            (self.check, "--check"),
        ];
        let named = option.into_iter().find(|(is_given, _)| *is_given && !given.is_empty());
        if let Some((_, option)) = named {
            let text = format_args!("{option} cannot be used with events on the command line");
            return Err(Failure::usage(text));
        }
        if given.iter().any(|event| event.contains('\n')) {
            let hint = "write it to stdin, with --length-prefixed";
            return Err(
                Failure::usage("an event on the command line has a line break").with_hint(hint)
            );
        }
        // What is given is written as it is.
        let raw_lines = self.raw_lines || !given.is_empty();
        Ok(Self { given, raw_lines, ..self })
    }

    /// What a writer of these events does with large ones.
    pub(crate) fn large_events(&self) -> LargeEvents {
        match self.max_event_bytes {
            ..=MAX_EVENT_LEN => LargeEvents::Refuse,
            more => LargeEvents::UpTo(more),
        }
    }

    /// Opens the input, and checks it if the arguments ask for that.
    pub(crate) fn open(self) -> Result<Opened> {
        let rules = self.rules();
        let file = self.file.filter(|path| path.as_os_str() != "-");
        let places = Places::new(Unit::of(rules.framing), file.clone());
        if self.check {
            match open(file.as_ref())? {
                (source, Some(_)) => check(source, &rules)?,
                (_, None) => return Err(Failure::usage("--check needs a file that is no pipe")),
            }
        }
        if !self.given.is_empty() {
            let lines = self.given.join("\n") + "\n";
            let len = Some(lines.len() as u64);
            return Ok(Opened { source: Box::new(Cursor::new(lines)), rules, places, len });
        }
        let (source, len) = open(file.as_ref())?;
        if file.is_none() && terminal::is_present() {
            status("reading from the terminal; Ctrl-D ends");
        }
        Ok(Opened { source, rules, places, len })
    }

    fn rules(&self) -> Rules {
        let framing = match (self.length_prefixed, self.raw_lines) {
            (true, _) => Framing::LengthPrefixed,
            (false, true) => Framing::Lines(LineEnds::Raw),
            (false, false) => Framing::Lines(LineEnds::Text),
        };
        let key = match (self.key_separator, &self.key_field) {
            (Some(separator), _) => KeySource::Before { separator, keep: self.keep_key },
            (None, Some(field)) => KeySource::Field(field.clone()),
            (None, None) if self.json => KeySource::Json,
            (None, None) => KeySource::None,
        };
        let Self { max_event_bytes, skip_bad, limit, .. } = *self;
        Rules { framing, key, max_event_bytes, skip_bad, limit }
    }
}

fn open(file: Option<&PathBuf>) -> Result<(Source, Option<u64>)> {
    let Some(path) = file else { return Ok((Box::new(std::io::stdin()), None)) };
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    let len = Some(metadata.len()).filter(|_| metadata.is_file());
    Ok((Box::new(file), len))
}

/// Reads the input to its end, and fails at the first event that is invalid.
fn check(source: Source, rules: &Rules) -> Result<()> {
    let mut failure = None;
    read(source, rules, |message| {
        match message {
            Message::Bad(bad) => failure = Some(bad.into_failure()),
            Message::Unreadable(error) => failure = Some(error),
            Message::Events(_) | Message::Waiting | Message::Skipped(_) | Message::Note(_) => {}
        }
        true
    });
    let hint = "nothing was written; correct it, or skip such lines with --skip-bad";
    failure.map_or(Ok(()), |failure| Err(failure.with_hint(hint)))
}

impl Opened {
    /// Takes over the signals, and starts a thread that reads the events, up to the first invalid
    /// one or until a signal arrives.
    pub(crate) fn start(self) -> Result<(Input, Stop)> {
        // A bar would be drawn over what is typed.
        let is_typed = self.len.is_none() && terminal::is_present();
        let progress = if is_typed { ProgressBar::hidden() } else { progress::bar(self.len) };
        let bar = progress.clone();
        let stop = Stop::listen(move || bar.suspend(|| status(STOPPING)))?;
        Ok((self.read(stop.clone(), progress), stop))
    }

    /// Starts a thread that reads the events. A signal ends the process.
    pub(crate) fn start_without_stop(self) -> Input {
        self.read(Stop::never(), ProgressBar::hidden())
    }

    fn read(self, stop: Stop, progress: ProgressBar) -> Input {
        let Self { source, rules, places, .. } = self;
        let (sender, messages) = mpsc::channel(8);
        // The thread may block on a terminal or a pipe forever, so it is never joined.
        std::thread::spawn(move || {
            read(source, &rules, |message| sender.blocking_send(message).is_ok());
        });
        let (is_idle, stopped, skipped, last) = (false, None, 0, Place::default());
        Input { messages, stop, progress, is_idle, stopped, skipped, last, places }
    }
}

const STOPPING: &str = "stopping: events in flight end first; press Ctrl-C again to quit now";

impl Input {
    /// Waits for the next events, or for the end of the input.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if let Some(signal) = self.stopped.filter(|_| self.is_idle) {
                return Next::End(End::Stopped(signal));
            }
            let message = tokio::select! {
                biased;
                signal = self.stop.requested(), if self.stopped.is_none() => {
                    self.stopped = Some(signal);
                    continue;
                }
                message = self.messages.recv() => message,
            };
            self.is_idle = matches!(message, Some(Message::Waiting));
            match message {
                None => return Next::End(End::Whole),
                Some(Message::Waiting) => {}
                Some(Message::Events(events)) => {
                    self.last = events.last().map_or(self.last, |event| event.at);
                    return Next::Events(events);
                }
                Some(Message::Bad(bad)) => return Next::End(End::Bad(bad)),
                Some(Message::Unreadable(failure)) => return Next::End(End::Unreadable(failure)),
                Some(Message::Note(text)) => self.note(text),
                Some(Message::Skipped(bad)) => self.skip(&bad),
            }
        }
    }

    /// The progress bar, under which notes are printed.
    pub(crate) fn progress(&self) -> &ProgressBar {
        &self.progress
    }

    /// The number of invalid lines that were skipped.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The place of the last event that was handed out, or of a skipped line after it.
    pub(crate) fn last(&self) -> Place {
        self.last
    }

    /// Returns a sentence about the part of the input up to `done`, which is written.
    pub(crate) fn written_up_to(&self, done: Place) -> String {
        let state = if self.skipped > 0 { "written or skipped" } else { "written" };
        self.places.up_to(done, state)
    }

    /// How places in the input are called.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    fn skip(&mut self, bad: &BadRecord) {
        self.skipped += 1;
        self.last = bad.at;
        match self.skipped {
            ..=REPORTED => self.note(format_args!("skipped {}", bad.text)),
            skipped if skipped == REPORTED + 1 => self.note("further skipped lines are counted"),
            _ => {}
        }
    }

    fn note(&self, text: impl std::fmt::Display) {
        self.progress.suspend(|| status(text));
    }
}
