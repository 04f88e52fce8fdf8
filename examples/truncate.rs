//! Truncates a stream, and looks up its new head.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::{ReadUntil, ReaderConfig, codec::Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let log = pravega.create_stream("site/log", 1).await?;
    let client = pravega.client();
    let writer = client.event_writer(&log, Utf8).await?;
    writer.write("web", "old").await?;
    let here = client.batch_client(&log).await?.tail_cut().await?;
    writer.write("web", "new").await?;

    client.controller().truncate_stream(&here).await?;

    assert_eq!(client.batch_client(&log).await?.head_cut().await?, here);
    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&log, Utf8, config).await?;
    let mut left = Vec::new();
    while let Some(event) = reader.next().await {
        left.push(event?.into_event());
    }
    println!("{left:?}");
    assert_eq!(left, ["new"]);
    Ok(())
}
