//! Writes and reads values of a Rust type as JSON events.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::codec::Json;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    pieces: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 1).await?;
    let client = pravega.client();
    let order = Order { customer: "ann".to_owned(), pieces: 3 };

    let writer = client.event_writer(&orders, Json::<Order>::default()).await?;
    writer.write("ann", &order).await?;

    let mut reader = client.event_reader(&orders, Json::<Order>::default()).await?;
    let found = reader.next().await.ok_or("the stream ended")??.into_event();
    println!("{found:?}");
    assert_eq!(found, order);
    Ok(())
}
