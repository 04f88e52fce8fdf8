//! `pravega read`

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pravega_sdk::{ClientFactory, event_stream::Scanned, types::ScopedStream};

use crate::{
    failure::Result,
    output::{Format, Output, Record},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// SCOPE/STREAM
    stream: ScopedStream,

    /// Ends after this many events
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,

    /// Writes each event behind its length, four bytes with the high one first, instead of a line
    #[arg(long)]
    length_prefixed: bool,
}

pub(crate) async fn run(arguments: Arguments, factory: &ClientFactory, output: &mut Output) -> Result<()> {
    let mut scan = factory.scan(&arguments.stream).await?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut text = Vec::new();
    while left > 0
        && let Some(found) = scan.next().await?
    {
        left -= 1;
        match output.format() {
            Format::Text if arguments.length_prefixed => {
                // What a segment holds has a length that fits.
                text.extend_from_slice(&u32::try_from(found.event.len()).unwrap_or(u32::MAX).to_be_bytes());
                text.extend_from_slice(&found.event);
            }
            Format::Text => {
                text.extend_from_slice(&found.event);
                text.push(b'\n');
            }
            Format::Json | Format::Table => {
                serde_json::to_writer(&mut text, &record(&found).into_json()).ok();
                text.push(b'\n');
            }
        }
        if text.len() >= 64 * 1024 {
            output.raw(&text)?;
            text.clear();
        }
    }
    output.raw(&text)?;
    std::io::stdout().flush().ok();
    Ok(())
}

/// An event with its place; as text if it is text.
fn record(found: &Scanned) -> Record {
    let record = Record::new().with("segment", found.segment.to_string()).with("offset", found.offset.0);
    match std::str::from_utf8(&found.event) {
        Ok(text) => record.with("event", text),
        Err(_) => record.with("event_base64", BASE64_STANDARD.encode(&found.event)),
    }
}
