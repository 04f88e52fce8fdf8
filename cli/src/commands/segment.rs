//! `pravega segment`

use clap::Subcommand;
use pravega_sdk::{
    ClientFactory,
    controller_client::AccessOperation,
    types::{ScopedSegment, ScopedStream},
    wire_protocol::commands::{GetStreamSegmentInfo, StreamSegmentInfo},
};

use crate::{context::Context, failure::Result, output::Record, parse};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the active segments of a stream
    #[command(visible_alias = "ls")]
    List {
        /// SCOPE/STREAM
        #[arg(value_parser = parse::any_stream)]
        stream: ScopedStream,
    },
    /// Show head, tail and state of a segment, as its segment store reports them
    #[command(visible_alias = "info")]
    Describe {
        /// SCOPE/STREAM/NUMBER.#epoch.EPOCH
        segment: ScopedSegment,
    },
    /// Show which segment store serves a segment
    Locate {
        /// SCOPE/STREAM/NUMBER.#epoch.EPOCH
        segment: ScopedSegment,
    },
    /// List the successors of a sealed segment
    Successors {
        /// SCOPE/STREAM/NUMBER.#epoch.EPOCH
        segment: ScopedSegment,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    let controller = client.controller();
    match command {
        Command::List { stream } => {
            let segments = controller.current_segments(&stream).await?;
            let record = |segment: &pravega_sdk::controller_client::SegmentWithRange| {
                Record::new()
                    .with("segment", ScopedSegment::new(&stream, segment.id).to_string())
                    .with("id", i64::from(segment.id))
                    .with("low", segment.range.low())
                    .with("high", segment.range.high())
            };
            output.list(segments.iter().map(record).collect())
        }
        Command::Describe { segment } => {
            let endpoint = client.endpoints().endpoint(&segment).await?;
            let info = info(&segment, &client).await?;
            output.one(
                Record::new()
                    .with("segment", segment.to_string())
                    .with("endpoint", endpoint.to_string())
                    .with("is_open", controller.is_segment_open(&segment).await?)
                    .with("is_sealed", info.is_sealed)
                    .with("head_offset", info.start_offset)
                    .with("tail_offset", info.write_offset)
                    .with("last_modified_ms", info.last_modified),
            )
        }
        Command::Locate { segment } => {
            let endpoint = controller.segment_endpoint(&segment).await?;
            output.one(
                Record::new()
                    .with("segment", segment.to_string())
                    .with("endpoint", endpoint.to_string()),
            )
        }
        Command::Successors { segment } => {
            let successors = controller.successors(&segment).await?;
            let record = |successor: &pravega_sdk::types::Successor| {
                let predecessors: Vec<String> =
                    successor.predecessors.iter().map(ToString::to_string).collect();
                Record::new()
                    .with("segment", successor.id.to_string())
                    .with("low", successor.range.low())
                    .with("high", successor.range.high())
                    .with("predecessors", predecessors)
            };
            output.list(successors.iter().map(record).collect())
        }
    }
}

/// Asks the segment store of a segment for its state.
pub(super) async fn info(
    segment: &ScopedSegment,
    client: &ClientFactory,
) -> Result<StreamSegmentInfo> {
    let endpoint = client.endpoints().endpoint(segment).await?;
    let token = client.tokens().token(&segment.scoped_stream(), AccessOperation::Read).await?;
    let request = GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.to_string().into(),
        delegation_token: token.expose().into(),
    };
    Ok(client.raw_client().request(&endpoint, request).await?)
}
