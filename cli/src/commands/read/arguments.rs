//! The options of `pravega read`.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use pravega_sdk::{
    ReadUntil, StreamPosition, Timestamp,
    types::{BoundedCut, ScopedStream},
};

use super::{membership::Membership, template::Template};
use crate::{
    commands::position::{FORMS, Position},
    failure::{Failure, Result},
    parse::{character, duration},
};

/// Headings of options.
const POSITION: &str = "Position";
const OUTPUT: &str = "Output";

/// How many events are in hand at most.
pub(super) const BATCH: usize = 4096;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    pub(super) stream: ScopedStream,

    /// Start position: head, tail, the text of a stream cut, an event as SEGMENT:OFFSET-LENGTH
    /// ({pointer} in --format, "pointer" in JSON), or time:2020-09-13T12:26:40Z [default: head]
    #[arg(long, value_name = "POSITION", help_heading = POSITION)]
    pub(super) from: Option<Position>,

    /// Start this far back. Exact only with watermarks; without them, reading starts at the oldest
    /// segment that was still written to in that time
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = POSITION,
        value_parser = duration,
        conflicts_with = "from"
    )]
    pub(super) ago: Option<Duration>,

    /// End position: tail (where the stream ends now) or the text of a stream cut
    #[arg(
        long,
        value_name = "POSITION",
        help_heading = POSITION,
        default_value = "tail",
        conflicts_with = "follow"
    )]
    pub(super) until: Until,

    /// Keep reading new events until the stream is sealed
    #[arg(long, short, help_heading = POSITION)]
    pub(super) follow: bool,

    /// Stop after this many events
    #[arg(long, short = 'n', value_name = "COUNT", help_heading = POSITION)]
    pub(super) count: Option<u64>,

    /// Template of the output of each event, with {event}, {base64}, {size}, {key}, {stream},
    /// {segment}, {offset}, {pointer}, and {json.FIELD} or {json.FIELD.FIELD} of an event that is
    /// JSON; \t, \n, {{ and }} are a tab, a newline and braces
    #[arg(long, value_name = "TEXT", conflicts_with = "length_prefixed", help_heading = OUTPUT)]
    pub(super) format: Option<Template>,

    /// {key} is the text of the event before the first such character: a stream does not store
    /// routing keys [default: :]
    // A requirement that another option rules out is not checked, so those are named, too.
    #[arg(
        long,
        value_name = "CHARACTER",
        value_parser = character,
        help_heading = OUTPUT,
        requires = "format",
        conflicts_with_all = ["length_prefixed", "base64", "json"]
    )]
    key_separator: Option<char>,

    /// Write each event with a length prefix (u32, big-endian) instead of as a line
    #[arg(long, help_heading = OUTPUT)]
    pub(super) length_prefixed: bool,

    /// Write each event in Base64
    #[arg(long, help_heading = OUTPUT, conflicts_with_all = ["format", "length_prefixed"])]
    pub(super) base64: bool,

    /// Print JSON, one object per event, as -o json does, but with an event that is JSON as it is
    /// instead of as a string
    #[arg(
        long,
        help_heading = OUTPUT,
        conflicts_with_all = ["format", "length_prefixed", "base64"]
    )]
    pub(super) json: bool,

    /// Print the position after the last event to stderr; pass it to --from to resume
    #[arg(long, help_heading = OUTPUT)]
    pub(super) show_cut: bool,

    #[command(flatten)]
    pub(super) membership: Membership,
}

impl Arguments {
    /// Refuses options without an effect.
    pub(super) fn check(&self) -> Result<()> {
        let has_key = self.format.as_ref().is_some_and(Template::has_key);
        if self.key_separator.is_some() && !has_key {
            return Err(Failure::usage("--key-separator has no effect without {key} in --format"));
        }
        Ok(())
    }

    /// The character after a key in the text of an event.
    pub(super) fn key_separator(&self) -> char {
        self.key_separator.unwrap_or(':')
    }

    /// Where reading starts.
    pub(super) fn start(&self) -> Result<StreamPosition> {
        if let Some(ago) = self.ago {
            let then = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
            return Ok(Timestamp::from(then.max(SystemTime::UNIX_EPOCH)).into());
        }
        match &self.from {
            Some(from) => Ok(from.in_stream(&self.stream, StreamPosition::Head)?),
            None => Ok(StreamPosition::Head),
        }
    }

    /// Where reading ends.
    pub(super) fn end(&self) -> ReadUntil {
        if self.follow {
            return ReadUntil::Sealed;
        }
        match &self.until {
            Until::Tail => ReadUntil::Tail,
            Until::Cut(cut) => ReadUntil::Cut(cut.clone()),
        }
    }
}

/// Where reading ends, as written on a command line.
#[derive(Debug, Clone)]
pub(super) enum Until {
    Tail,
    Cut(BoundedCut),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse() {
            Ok(Position::At(StreamPosition::Tail) | Position::Unbounded) => Ok(Self::Tail),
            Ok(Position::At(StreamPosition::Cut(cut))) => Ok(Self::Cut(cut)),
            Ok(Position::At(_) | Position::Event { .. }) => {
                Err("reading ends at tail, or at a stream cut".to_owned())
            }
            Err(error) if error == FORMS => {
                Err("it is neither tail nor the text of a stream cut".to_owned())
            }
            // What is wrong with a cut.
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        read: Arguments,
    }

    #[test]
    fn an_end_is_the_tail_or_a_cut_and_a_refusal_names_no_other() {
        let error = |text: &str| text.parse::<Until>().unwrap_err();
        assert!(matches!("tail".parse(), Ok(Until::Tail)));
        assert!(matches!("UNBOUNDED".parse(), Ok(Until::Tail)));
        for text in ["foo", "", "earlier"] {
            assert_eq!(error(text), "it is neither tail nor the text of a stream cut");
        }
        for text in ["head", "0.#epoch.0:8-16", "time:2020-09-13T12:26:40Z"] {
            assert_eq!(error(text), "reading ends at tail, or at a stream cut", "{text}");
        }
        assert!(error("H4sIAAAA").contains("not gzip"));
    }

    #[test]
    fn no_option_is_passed_over() {
        for arguments in [
            &["--key-separator", ";"][..],
            &["--key-separator", ";", "--base64"],
            &["--key-separator", ";", "--length-prefixed"],
            &["--format", "{event}", "--base64"],
            &["--format", "{event}", "--length-prefixed"],
            &["--base64", "--length-prefixed"],
            &["--json", "--length-prefixed"],
            &["--json", "--base64"],
            &["--json", "--format", "{event}"],
            &["--from", "tail", "--ago", "1h"],
            &["--until", "tail", "--follow"],
            &["--until", "tail", "--group", "g"],
            &["--show-cut", "--group", "g"],
            &["--reader", "r"],
            &["--lease", "5s"],
            &["--assignment", "sticky"],
            &["--hand-over", "events"],
            &["--show-checkpoints"],
        ] {
            let arguments = [&["tool", "s/t"], arguments].concat();
            assert!(Tool::try_parse_from(&arguments).is_err(), "{arguments:?}");
        }
        let arguments = ["tool", "s/t", "--format", "{key}", "--key-separator", ";"];
        assert!(Tool::try_parse_from(arguments).is_ok_and(|tool| tool.read.key_separator() == ';'));
        let without_key = ["tool", "s/t", "--format", "{event}", "--key-separator", ";"];
        assert!(Tool::try_parse_from(without_key).unwrap().read.check().is_err());
        assert!(Tool::try_parse_from(["tool", "s/t"]).unwrap().read.check().is_ok());
    }
}
