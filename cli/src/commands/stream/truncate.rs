//! `pravega stream truncate`

use std::time::{Duration, SystemTime};

use clap::Args;
use pravega_sdk::{
    BatchClient, ClientFactory, StreamPosition, Timestamp,
    codec::Raw,
    types::{
        BoundedCut, ErrorKind, Offset, ScopedSegment, ScopedStream, SegmentId, SegmentOffset,
        SegmentRange, StreamCut,
    },
    wire_protocol::event::EVENT_HEADER_LEN,
};

use super::super::{position::Position, segment};
use crate::{
    failure::{Failure, Result},
    limits::{Limits, Reading},
    output::Output,
    parse,
};

/// The position up to which events are dropped.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// Drop all events before this position: tail (all events), the text of a stream cut, or an
    /// event as SEGMENT:OFFSET-LENGTH
    #[arg(long, value_name = "POSITION")]
    before: Option<Position>,
    /// Keep events of this time, and drop older ones. Without watermarks, only whole segments that
    /// were not written to in that time are dropped
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    keep: Option<Duration>,
    /// Drop all events before a stream cut, given as its text
    #[arg(long)]
    cut: Option<String>,
    /// Drop all events before a stream cut, given as SEGMENT=OFFSET; repeat for each segment of the
    /// cut. Each offset must be that of an event, or the tail
    #[arg(long, value_name = "SEGMENT=OFFSET", value_parser = parse::segment_offset)]
    at: Vec<(SegmentId, SegmentOffset)>,
}

pub(super) async fn run(
    stream: &ScopedStream,
    target: &Target,
    force: bool,
    (client, limits): (&ClientFactory, Limits),
    output: &Output,
) -> Result<()> {
    let cut = target.cut(stream, force, client, limits).await?;
    client.controller().truncate_stream(&cut).await?;
    let positions: Vec<String> =
        cut.positions().map(|(id, offset)| format!("{id}={}", offset.to_wire())).collect();
    output.status(format_args!("truncated stream {stream} at {}", positions.join(", ")));
    Ok(())
}

impl Target {
    async fn cut(
        &self,
        stream: &ScopedStream,
        force: bool,
        client: &ClientFactory,
        limits: Limits,
    ) -> Result<BoundedCut> {
        if let Some(text) = &self.cut {
            return parse_cut(text, stream);
        }
        if let Some(position) = &self.before {
            let position = position.in_stream(stream, StreamPosition::Head)?;
            return before(position, stream, client, limits).await;
        }
        if let Some(keep) = self.keep {
            let then = SystemTime::now().checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH);
            let then = Timestamp::from(then).into();
            return before(then, stream, client, limits).await;
        }
        let cut = BoundedCut::new(stream.clone(), self.at.iter().copied())
            .map_err(|error| refuse(&error))?;
        if !force {
            check_events(&cut, client, limits).await?;
        }
        Ok(cut)
    }
}

fn refuse(detail: &dyn std::fmt::Display) -> Failure {
    Failure::of_kind(ErrorKind::InvalidStreamCut, detail)
}

fn parse_cut(text: &str, stream: &ScopedStream) -> Result<BoundedCut> {
    let cut = match text.parse::<StreamCut>().map_err(|error| refuse(&error))? {
        StreamCut::At(cut) => cut,
        StreamCut::Unbounded => {
            return Err(refuse(&"an unbounded cut has no position to truncate at"));
        }
    };
    if cut.stream() != stream {
        let of = cut.stream();
        return Err(refuse(&format_args!("the cut is of stream {of}, not of {stream}")));
    }
    Ok(cut)
}

/// The cut at a position, as a reader that starts there has it.
async fn before(
    position: StreamPosition,
    stream: &ScopedStream,
    client: &ClientFactory,
    limits: Limits,
) -> Result<BoundedCut> {
    match &position {
        StreamPosition::Head => return Err(Failure::usage("no event is before the head")),
        StreamPosition::Tail => {
            let tail = client.batch_client(stream).await?.tail_cut().await?;
            if tail.positions().len() == 0 {
                let text = format_args!("stream {stream} is sealed, so it has no tail");
                let hint = format!("to drop all of it: pravega stream delete {stream}");
                return Err(Failure::of_kind(ErrorKind::Sealed, text).with_hint(hint));
            }
            return Ok(tail);
        }
        StreamPosition::Cut(cut) => {
            return parse_cut(&StreamCut::from(cut.clone()).to_text(), stream);
        }
        // The event must exist.
        StreamPosition::Event(pointer) => {
            client.batch_client(stream).await?.fetch(pointer, &Raw).await?;
        }
        _ => {}
    }
    let config = limits.reader(Reading::Present).with_start(position);
    Ok(client.event_reader_with(stream, Raw, config).await?.stream_cut())
}

/// Refuses a cut through the middle of an event: no reader could start there.
async fn check_events(cut: &BoundedCut, client: &ClientFactory, limits: Limits) -> Result<()> {
    let batch = client.batch_client_with(cut.stream(), limits.batch()).await?;
    for (id, offset) in cut.positions() {
        let SegmentOffset::At(offset) = offset else { continue };
        let segment = ScopedSegment::new(cut.stream(), id);
        let info = segment::info(&segment, client).await?;
        let tail = info.write_offset;
        if offset.0 > tail {
            let text = format_args!("offset {offset} is after the end of segment {id}, {tail}");
            return Err(refuse(&text));
        }
        // Earlier offsets are truncated already.
        if offset.0 > info.start_offset {
            let range = SegmentRange::new(segment, Offset(info.start_offset), offset);
            check_event(&range.map_err(|error| refuse(&error))?, &batch).await?;
        }
    }
    Ok(())
}

/// Checks that an event ends where `range` does, which begins with an event.
async fn check_event(range: &SegmentRange, batch: &BatchClient) -> Result<()> {
    let mut events = batch.read(range, Raw)?;
    let mut end = range.start();
    while let Some(next) = events.next_batch(BATCH).await {
        match next {
            Ok(events) => {
                if let Some(last) = events.last() {
                    let len = EVENT_HEADER_LEN + last.event().len();
                    end = Offset(last.offset().0 + i64::try_from(len).unwrap_or(i64::MAX));
                }
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let (offset, id) = (range.end(), range.segment().id());
                let text =
                    format!("no event of segment {id} begins at {offset}, one does at {end}");
                let hint = format!(
                    "take --at {id}={end} or --before; with --force, no reader can start at the \
                     head; a byte stream is truncated with: pravega bytes truncate"
                );
                return Err(refuse(&text).with_hint(hint));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

const BATCH: usize = 4096;
