//! How places in the input are called, and how another run goes on from one.

use std::path::PathBuf;

use super::framer::{Framing, Place};

/// What the input consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Line,
    Event,
}

/// The words for places in the input.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    unit: Unit,
    file: Option<PathBuf>,
}

impl Unit {
    pub(super) fn of(framing: Framing) -> Self {
        match framing {
            Framing::Lines(_) => Self::Line,
            Framing::LengthPrefixed => Self::Event,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Event => "event",
        }
    }
}

impl Places {
    pub(super) fn new(unit: Unit, file: Option<PathBuf>) -> Self {
        Self { unit, file }
    }

    /// Places in input that is not divided.
    pub(crate) fn of_bytes(file: Option<PathBuf>) -> Self {
        Self::new(Unit::Event, file)
    }

    /// Returns a sentence about the records up to `done`: `lines 1 to 7 are written`.
    pub(crate) fn up_to(&self, done: Place, state: &str) -> String {
        let unit = self.unit.name();
        match done.number {
            0 => format!("no {unit} is {state}"),
            1 => format!("{unit} 1 is {state}"),
            last => format!("{unit}s 1 to {last} are {state}"),
        }
    }

    /// Returns the command that prints what follows `done`.
    pub(crate) fn rest(&self, done: Place) -> String {
        let from = match self.unit {
            Unit::Line => format!("tail -n +{}", done.number + 1),
            Unit::Event => format!("tail -c +{}", done.end + 1),
        };
        match &self.file {
            None => from,
            Some(file) => format!("{from} {}", quoted(&file.display().to_string())),
        }
    }

    /// The name of the record at `place`.
    pub(crate) fn name(&self, place: Place) -> String {
        format!("{} {}", self.unit.name(), place.number)
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_input_begins_after_the_last_record() {
        let place = |number, end| Place { number, end };
        let lines = Places::new(Unit::Line, Some("my lines".into()));
        assert_eq!(lines.rest(place(7, 99)), "tail -n +8 'my lines'");
        assert_eq!(lines.up_to(place(0, 0), "written"), "no line is written");
        assert_eq!(lines.up_to(place(1, 5), "written"), "line 1 is written");
        let events = Places::new(Unit::Event, None);
        assert_eq!(events.rest(place(7, 99)), "tail -c +100");
        assert_eq!(events.up_to(place(7, 99), "written"), "events 1 to 7 are written");
        assert_eq!(events.name(place(8, 120)), "event 8");
    }

    #[test]
    fn a_file_name_is_quoted_where_a_shell_would_divide_it() {
        assert_eq!(quoted("a/b.txt"), "a/b.txt");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
