//! Writes many events without waiting for each, and closes with a report.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::codec::Utf8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let readings = pravega.create_stream("plant/readings", 4).await?;
    let client = pravega.client();
    let writer = client.event_writer(&readings, Utf8).await?;

    let mut last = None;
    for number in 0..10_000 {
        // Waits only while the writer's buffer is full.
        let ack = writer.enqueue(&format!("sensor-{}", number % 16), number.to_string()).await?;
        last = Some(ack);
    }
    // An ack resolves to the position of the event, or to the error.
    let appended = last.ok_or("no event was written")?.await?;
    println!("the last event is at {:?}", appended.pointer());

    let report = writer.close(Duration::from_secs(10)).await;
    println!("{report:?}");
    Ok(())
}
