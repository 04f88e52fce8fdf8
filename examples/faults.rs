//! Breaks connections during writing, as a test can, and checks that each event is stored once.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{ReadUntil, ReaderConfig, codec::Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 2).await?;
    let client = pravega.client();
    let writer = client.event_writer(&orders, Utf8).await?;
    let faults = pravega.server().faults();
    for number in 0..100_u32 {
        match number % 20 {
            5 => faults.drop_connections(),
            // The event is stored, but its acknowledgement is lost.
            15 => faults.drop_connection_after_answers(0),
            _ => {}
        }
        writer.write("key", number.to_string()).await?;
    }
    writer.close(Duration::from_secs(10)).await.into_result()?;

    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&orders, Utf8, config).await?;
    let mut found = Vec::new();
    while let Some(event) = reader.next().await {
        found.push(event?.event().parse::<u32>()?);
    }
    println!("{} events, each once", found.len());
    assert_eq!(found, (0..100).collect::<Vec<_>>());
    Ok(())
}
