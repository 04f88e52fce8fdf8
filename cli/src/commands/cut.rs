//! `pravega cut`

use clap::Subcommand;
use pravega_sdk::{
    BatchClient,
    types::{BoundedCut, ScopedStream, SegmentId, SegmentOffset, SegmentRange, StreamCut},
};

use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Format, Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the positions in a stream cut, or the cuts at the head and tail of a stream
    Show {
        /// The text of a stream cut; or SCOPE/STREAM
        what: String,
        /// Only the cut at this end of the stream
        #[arg(long, value_enum)]
        at: Option<At>,
    },
    /// Print the cut about BYTES further on (the same cut when already at the tail)
    Next {
        /// The text of a stream cut
        cut: StreamCut,
        /// Number of bytes, with K, M, G or T for powers of 1024
        #[arg(value_parser = parse::bytes)]
        bytes: u64,
    },
    /// Print the number of bytes between two cuts, including event headers
    Distance {
        /// The text of a stream cut; UNBOUNDED is the head
        from: StreamCut,
        /// The text of a stream cut; UNBOUNDED is the tail
        to: StreamCut,
    },
    /// List the segment ranges between two cuts, for reading in parallel
    Ranges {
        /// The text of a stream cut; UNBOUNDED is the head
        from: StreamCut,
        /// The text of a stream cut; UNBOUNDED is the tail
        to: StreamCut,
    },
}

/// An end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum At {
    /// The first event that is not truncated
    Head,
    /// After the last event
    Tail,
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    match command {
        Command::Show { what, at: Some(at) } => {
            let stream: ScopedStream = what.parse().map_err(Failure::usage)?;
            let batch = client.batch_client(&stream).await?;
            let cut = match at {
                At::Head => batch.head_cut().await?,
                At::Tail => batch.tail_cut().await?,
            };
            print(&cut, output)
        }
        Command::Show { what, at: None } => match what.parse() {
            Ok(StreamCut::At(cut)) => {
                let record = |(id, offset): (SegmentId, SegmentOffset)| {
                    Record::new()
                        .with("stream", cut.stream().to_string())
                        .with("segment", id.to_string())
                        .with("offset", offset.to_wire())
                };
                output.list(cut.positions().map(record).collect())
            }
            Ok(StreamCut::Unbounded) => output.raw(b"UNBOUNDED\n"),
            Err(error) => match what.parse::<ScopedStream>() {
                Ok(stream) => ends(&client.batch_client(&stream).await?, output).await,
                Err(_) => {
                    let hint = "for the cuts of a stream: pravega cut show SCOPE/STREAM";
                    Err(Failure::usage(with_causes(&error)).with_hint(hint))
                }
            },
        },
        Command::Next { cut, bytes } => {
            let StreamCut::At(cut) = cut else {
                return Err(Failure::usage(
                    "UNBOUNDED is not a position; see `pravega cut show SCOPE/STREAM --at head`",
                ));
            };
            let next = client.batch_client(cut.stream()).await?.next_cut(&cut, bytes).await?;
            print(&next, output)
        }
        Command::Distance { from, to } => {
            let distance =
                client.batch_client(stream_of(&from, &to)?).await?.distance(&from, &to).await?;
            match output.format() {
                Format::Text => output.raw(format!("{distance}\n").as_bytes()),
                Format::Json | Format::Table => output.one(Record::new().with("bytes", distance)),
            }
        }
        Command::Ranges { from, to } => {
            let ranges =
                client.batch_client(stream_of(&from, &to)?).await?.ranges(&from, &to).await?;
            let record = |range: &SegmentRange| {
                Record::new().with("range", range.to_string()).with("bytes", range.len())
            };
            output.list(ranges.iter().map(record).collect())
        }
    }
}

/// Prints the cuts at both ends of a stream.
async fn ends(batch: &BatchClient, output: &mut Output) -> Result<()> {
    let record = |at: &str, cut: BoundedCut| {
        let record = Record::new().with("at", at).with("shows", cut.to_string());
        record.with("cut", StreamCut::from(cut).to_text())
    };
    let (head, tail) = (batch.head_cut().await?, batch.tail_cut().await?);
    output.list(vec![record("head", head), record("tail", tail)])
}

fn print(cut: &BoundedCut, output: &mut Output) -> Result<()> {
    let text = StreamCut::from(cut.clone()).to_text();
    match output.format() {
        Format::Text => output.raw(format!("{text}\n").as_bytes()),
        Format::Json | Format::Table => {
            output.one(Record::new().with("cut", text).with("shows", cut.to_string()))
        }
    }
}

/// The stream of two cuts, which at least one of them must name.
fn stream_of<'a>(from: &'a StreamCut, to: &'a StreamCut) -> Result<&'a ScopedStream> {
    let cut = from.bounded().or_else(|| to.bounded());
    let detail =
        "both cuts are UNBOUNDED and name no stream; see `pravega cut show SCOPE/STREAM --at head`";
    cut.map(BoundedCut::stream).ok_or_else(|| Failure::usage(detail))
}
