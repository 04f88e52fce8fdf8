//! Follows the tail of a stream while events are written.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::{ReaderConfig, StreamPosition, codec::Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let log = pravega.create_stream("site/log", 1).await?;
    let client = pravega.client();
    let writer = client.event_writer(&log, Utf8).await?;
    writer.write("web", "from before").await?;

    let config = ReaderConfig::default().with_start(StreamPosition::Tail);
    let mut reader = client.event_reader_with(&log, Utf8, config).await?;
    let following = tokio::spawn(async move {
        let mut lines = Vec::new();
        // The loop ends when the stream is sealed.
        while let Some(event) = reader.next().await {
            lines.push(event?.into_event());
        }
        Ok::<_, pravega_sdk::ReadError>(lines)
    });
    for number in 0..3 {
        writer.write("web", format!("line {number}")).await?;
    }
    client.controller().seal_stream(&log).await?;

    let lines = following.await??;
    println!("{lines:?}");
    assert_eq!(lines, ["line 0", "line 1", "line 2"]);
    Ok(())
}
