//! Writes events atomically: readers see all events of a transaction or none of them.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{ReadUntil, ReaderConfig, codec::Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let transfers = pravega.create_stream("bank/transfers", 2).await?;
    let client = pravega.client();
    let writer = client.transactional_writer(&transfers, Utf8).await?;

    let mut kept = writer.begin().await?;
    kept.write("ann", "ann -5").await?;
    kept.write("bob", "bob +5").await?;
    kept.commit().await?.wait_until_visible(Duration::from_secs(10)).await?;

    let mut dropped = writer.begin().await?;
    dropped.write("ann", "ann -5000").await?;
    dropped.abort().await?;

    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&transfers, Utf8, config).await?;
    let mut found = Vec::new();
    while let Some(event) = reader.next().await {
        found.push(event?.into_event());
    }
    found.sort();
    println!("{found:?}");
    assert_eq!(found, ["ann -5", "bob +5"]);
    Ok(())
}
