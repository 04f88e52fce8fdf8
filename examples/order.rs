//! Scales a stream during writing, and checks that events of a routing key stay in order.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use pravega_sdk::{
    ReadUntil, ReaderConfig,
    codec::Utf8,
    types::{KeyRange, SegmentId},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 1).await?;
    let client = pravega.client();
    let writer = client.event_writer(&orders, Utf8).await?;
    for number in 0..1000 {
        if number == 500 {
            // One segment is replaced by three; the writer continues on the successors.
            client.controller().scale(&orders, &[SegmentId::from(0)], &KeyRange::equal(3)).await?;
        }
        let customer = format!("customer-{}", number % 10);
        // The flush below reports whether all events were stored.
        drop(writer.enqueue(&customer, format!("{customer} {number}")).await?);
    }
    writer.flush().await?;

    let config = ReaderConfig::default().with_end(ReadUntil::Tail);
    let mut reader = client.event_reader_with(&orders, Utf8, config).await?;
    let mut latest: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(event) = reader.next().await {
        let event = event?;
        let (customer, number) = event.event().split_once(' ').ok_or("no number")?;
        let number = number.parse()?;
        let before = latest.insert(customer.to_owned(), number);
        assert!(before < Some(number), "{customer} is out of order");
    }
    println!("in order for {} customers", latest.len());
    assert_eq!(latest.len(), 10);
    Ok(())
}
