//! Writes an event and reads it back.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::codec::Utf8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a cluster: ClientFactory::connect("tcp://localhost:9090").await?
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 1).await?;
    let client = pravega.client();

    let writer = client.event_writer(&orders, Utf8).await?;
    // The event is durable when the call returns.
    writer.write("ann", "three apples").await?;

    let mut reader = client.event_reader(&orders, Utf8).await?;
    let event = reader.next().await.ok_or("the stream ended")??;
    println!("{}", event.event());
    assert_eq!(event.event(), "three apples");
    Ok(())
}
