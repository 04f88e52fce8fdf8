//! Writes events whose routing key is a field of the event.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{ReadUntil, ReaderConfig, codec::Json};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    pieces: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 4).await?;
    let client = pravega.client();

    // The key function is given once; orders of one customer stay in order.
    let writer = client.event_writer(&orders, Json::<Order>::default()).await?;
    let writer = writer.with_key(|order: &Order| order.customer.as_str());
    for pieces in 1..=3 {
        for customer in ["ann", "bob"] {
            writer.write(&Order { customer: customer.to_owned(), pieces }).await?;
        }
    }
    writer.close(Duration::from_secs(10)).await.into_result()?;

    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&orders, Json::<Order>::default(), config).await?;
    let mut pieces_of_ann = Vec::new();
    while let Some(event) = reader.next().await {
        let order = event?.into_event();
        println!("{order:?}");
        if order.customer == "ann" {
            pieces_of_ann.push(order.pieces);
        }
    }
    assert_eq!(pieces_of_ann, [1, 2, 3]);
    Ok(())
}
