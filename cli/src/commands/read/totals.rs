//! How much was read: while stdout is a file, a person at the terminal sees it nowhere else.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use bytes::Bytes;
use indicatif::ProgressBar;
use pravega_sdk::ReadEvent;

use crate::{
    commands::progress,
    output::{counted, is_file, status},
    verbosity::Verbosity,
};

/// What was read so far.
#[derive(Debug)]
pub(super) struct Totals {
    events: u64,
    bytes: u64,
    begun: Instant,
    is_shown: bool,
    progress: ProgressBar,
}

impl Totals {
    pub(super) fn new(verbosity: Verbosity) -> Self {
        // A pipe may lead to a program that writes to the same terminal.
        let is_unseen = io::stderr().is_terminal() && is_file();
        Self {
            events: 0,
            bytes: 0,
            begun: Instant::now(),
            is_shown: is_unseen || verbosity.is_verbose(),
            progress: if is_unseen { progress::bar(None) } else { ProgressBar::hidden() },
        }
    }

    pub(super) fn add(&mut self, events: &[ReadEvent<Bytes>]) {
        let bytes: u64 = events.iter().map(|event| event.event().len() as u64).sum();
        self.events += events.len() as u64;
        self.bytes += bytes;
        self.progress.inc(bytes);
        self.progress.set_message(counted(self.events, "event"));
    }

    /// The number of events, with their noun.
    pub(super) fn events(&self) -> String {
        counted(self.events, "event")
    }

    pub(super) fn show(&self) {
        self.progress.finish_and_clear();
        if self.is_shown {
            status(text(self.events, self.bytes, self.begun.elapsed()));
        }
    }
}

fn text(events: u64, bytes: u64, took: Duration) -> String {
    let (events, size) = (counted(events, "event"), indicatif::HumanBytes(bytes));
    format!("read {events}, {size}, in {:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_in_events_bytes_and_seconds() {
        let took = Duration::from_millis(760);
        let line = text(3_685_464, 123_145_000, took);
        assert_eq!(line, "read 3,685,464 events, 117.44 MiB, in 0.8 s");
        assert_eq!(text(1, 3, took), "read 1 event, 3 B, in 0.8 s");
    }
}
