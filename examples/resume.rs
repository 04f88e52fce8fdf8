//! Stops reading, saves the position as text, and resumes from it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::{ReadUntil, ReaderConfig, StreamPosition, codec::Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 2).await?;
    let client = pravega.client();
    let writer = client.event_writer(&orders, Utf8).await?;
    for number in 0..10 {
        writer.write(&number.to_string(), number.to_string()).await?;
    }

    let mut reader = client.event_reader(&orders, Utf8).await?;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(reader.next().await.ok_or("the stream ended")??.into_event());
    }
    let position = reader.position().to_string();
    drop(reader);

    let start: StreamPosition = position.parse()?;
    let config = ReaderConfig::default().with_start(start).with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&orders, Utf8, config).await?;
    while let Some(event) = reader.next().await {
        seen.push(event?.into_event());
    }
    seen.sort();
    println!("{seen:?}");
    assert_eq!(seen, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    Ok(())
}
