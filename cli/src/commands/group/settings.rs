//! The options of `pravega group create` and `reset` that configure a group.

use std::{num::NonZeroU32, time::Duration};

use clap::{Args, ValueEnum};
use pravega_sdk::{
    ClientFactory, ReadUntil, StreamPosition,
    types::{
        Checkpoint, GroupRetention, GroupStream, ReaderGroupConfiguration, ScopedStream, StreamCut,
    },
};

use crate::{
    commands::position::Position,
    failure::{Failure, Result, with_causes},
    parse::{self, duration},
};

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Time between two looks of a reader at the state of the group [default: 3s]
    #[arg(long, value_name = "DURATION", value_parser = parse::some_time)]
    refresh_interval: Option<Duration>,
    /// Time between two automatic checkpoints, or never: without checkpoints a group stops at a
    /// scale [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    checkpoint_interval: Option<Interval>,
    /// Number of checkpoints that may wait for readers at once [default: 3]
    #[arg(long, value_name = "COUNT", value_parser = parse::count)]
    max_checkpoints: Option<NonZeroU32>,
    /// What the retention policies of the streams keep for the group [default: none]
    #[arg(long, value_name = "KIND", value_enum)]
    retention: Option<Retention>,
}

/// Where the group begins and ends.
#[derive(Debug, Args)]
pub(crate) struct Places {
    /// Start position in the streams: head, tail, or the text of a stream cut of one of them;
    /// repeat it for cuts of several
    #[arg(long = "from", value_name = "POSITION")]
    from: Vec<Position>,
    /// End position in the streams: tail (where they end now), or the text of a stream cut
    /// of one of them; repeat it for cuts of several
    #[arg(long = "until", value_name = "POSITION")]
    until: Vec<Position>,
}

/// When automatic checkpoints are created.
#[derive(Debug, Clone, Copy)]
enum Interval {
    Never,
    Every(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Retention {
    /// Nothing
    None,
    /// The data after the cuts that a program releases
    Manual,
    /// The data after the last checkpoint
    Automatic,
}

fn interval(text: &str) -> std::result::Result<Interval, String> {
    if text == "never" {
        return Ok(Interval::Never);
    }
    let every = duration(text).map_err(|error| format!("{error}; or it is `never`"))?;
    if every.as_millis() == 0 {
        return Err("it is at least 1ms, or `never`".to_owned());
    }
    Ok(Interval::Every(every))
}

/// A checkpoint, as `pravega group checkpoint` prints it.
pub(super) fn checkpoint(text: &str) -> std::result::Result<Checkpoint, String> {
    text.parse().map_err(|error| {
        format!("it is not a checkpoint as `pravega group checkpoint` prints it: {error}")
    })
}

impl Settings {
    pub(super) fn apply(
        &self,
        configuration: ReaderGroupConfiguration,
    ) -> ReaderGroupConfiguration {
        let mut configuration = configuration;
        if let Some(interval) = self.refresh_interval {
            configuration = configuration.with_refresh_interval(interval);
        }
        if let Some(interval) = self.checkpoint_interval {
            let interval = match interval {
                Interval::Never => None,
                Interval::Every(interval) => Some(interval),
            };
            configuration = configuration.with_automatic_checkpoint_interval(interval);
        }
        if let Some(count) = self.max_checkpoints {
            configuration = configuration.with_max_outstanding_checkpoints(count);
        }
        match self.retention {
            None => configuration,
            Some(kind) => configuration.with_retention(match kind {
                Retention::None => GroupRetention::None,
                Retention::Manual => GroupRetention::ManualReleaseAtUserStreamCut,
                Retention::Automatic => GroupRetention::AutomaticReleaseAtLastCheckpoint,
            }),
        }
    }
}

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.from.is_empty() && self.until.is_empty()
    }

    /// Finds the places in the streams.
    pub(super) async fn configuration(
        &self,
        streams: Vec<ScopedStream>,
        client: &ClientFactory,
    ) -> Result<ReaderGroupConfiguration> {
        let (mut from, mut until) = (Given::new(&self.from)?, Given::new(&self.until)?);
        let mut parts = Vec::new();
        for stream in streams {
            let start = from.take(&stream).unwrap_or(StreamPosition::Head);
            let end = match until.take(&stream) {
                None => ReadUntil::Sealed,
                Some(StreamPosition::Tail) => ReadUntil::Tail,
                Some(StreamPosition::Cut(cut)) => ReadUntil::Cut(cut),
                Some(_) => {
                    return Err(Failure::usage("--until takes tail or the text of a stream cut"));
                }
            };
            let part = if matches!((&start, &end), (StreamPosition::Head, ReadUntil::Sealed)) {
                // The controller checks the stream.
                GroupStream { stream, from: StreamCut::Unbounded, to: StreamCut::Unbounded }
            } else {
                client.reader_group_part(&stream, start, end).await?
            };
            parts.push(part);
        }
        from.check("--from")?;
        until.check("--until")?;
        ReaderGroupConfiguration::bounded(parts)
            .map_err(|error| Failure::usage(with_causes(&error)))
    }
}

/// Positions that are given for streams: one for all, and cuts for some.
struct Given {
    all: Option<StreamPosition>,
    cuts: Vec<pravega_sdk::types::BoundedCut>,
}

impl Given {
    fn new(positions: &[Position]) -> Result<Self> {
        let (mut all, mut cuts) = (None, Vec::new());
        for position in positions {
            match position {
                Position::At(StreamPosition::Cut(cut)) => cuts.push(cut.clone()),
                Position::At(position) if all.is_none() => all = Some(position.clone()),
                Position::At(_) => {
                    return Err(Failure::usage("only stream cuts are given several times"));
                }
                Position::Unbounded | Position::Event { .. } => {
                    return Err(Failure::usage(
                        "a group begins and ends at head, tail, a time or a stream cut",
                    ));
                }
            }
        }
        Ok(Self { all, cuts })
    }

    fn take(&mut self, stream: &ScopedStream) -> Option<StreamPosition> {
        match self.cuts.iter().position(|cut| cut.stream() == stream) {
            Some(index) => Some(self.cuts.swap_remove(index).into()),
            None => self.all.clone(),
        }
    }

    /// Refuses cuts of streams that the group does not read.
    fn check(&self, option: &str) -> Result<()> {
        match self.cuts.first() {
            None => Ok(()),
            Some(cut) => {
                let stream = cut.stream();
                Err(Failure::usage(format_args!(
                    "{option} has a cut of {stream}, which is not read"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_duration_or_never() {
        assert!(matches!(interval("never"), Ok(Interval::Never)));
        assert!(matches!(interval("5s"), Ok(Interval::Every(it)) if it.as_secs() == 5));
        for wrong in ["5", "0s", "1us", "x"] {
            assert!(interval(wrong).unwrap_err().contains("`never`"), "{wrong}");
        }
    }

    #[test]
    fn a_cut_is_for_its_stream_and_another_position_for_all_others() {
        let stream = |name: &str| name.parse::<ScopedStream>().unwrap();
        let cut = pravega_sdk::types::BoundedCut::new(
            stream("s/t"),
            [(0.into(), pravega_sdk::types::Offset(0))],
        );
        let cut = StreamPosition::Cut(cut.unwrap());
        let positions = [Position::At(cut.clone()), Position::At(StreamPosition::Tail)];
        let mut given = Given::new(&positions).unwrap();
        assert!(given.check("--from").is_err());
        assert_eq!(given.take(&stream("s/t")), Some(cut));
        assert_eq!(given.take(&stream("s/u")), Some(StreamPosition::Tail));
        assert!(given.check("--from").is_ok());
        let twice = [Position::At(StreamPosition::Tail), Position::At(StreamPosition::Head)];
        assert!(Given::new(&twice).is_err());
    }
}
