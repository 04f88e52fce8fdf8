//! Two readers of a group share the events of a stream; one of them leaves, and the other goes on.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{
    ClientFactory,
    codec::Utf8,
    group::GroupReaderError,
    types::{ReaderGroupConfiguration, ReaderId, ScopedReaderGroup},
};

const LIMIT: Duration = Duration::from_secs(10);

/// Reads events until the group has no more, or `max` are read. Returns their number.
async fn read(
    client: ClientFactory,
    group: ScopedReaderGroup,
    id: ReaderId,
    max: usize,
) -> Result<usize, GroupReaderError> {
    let mut reader = client.group_reader(&group, &id, Utf8).await?;
    let mut count = 0;
    while count < max {
        let Some(item) = reader.next().await else { break };
        if let Some(event) = item?.into_event() {
            println!("{id} reads {} from {}", event.event(), event.segment().id());
            count += 1;
        }
    }
    // The other readers go on after the last event. Without it they would after the lease.
    reader.close(LIMIT).await?;
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 4).await?;
    let client = pravega.client();
    let writer = client.event_writer(&orders, Utf8).await?;
    for number in 0..100 {
        drop(writer.enqueue(&format!("customer-{}", number % 9), format!("order {number}")).await?);
    }
    writer.flush().await?;
    // The end of the data, so that the readers end.
    client.controller().seal_stream(&orders).await?;

    let group: ScopedReaderGroup = "shop/billing".parse()?;
    // Segments change hands at checkpoints.
    let configuration = ReaderGroupConfiguration::new([orders])?
        .with_refresh_interval(Duration::from_millis(100))
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(200)));
    client.create_reader_group(&group, &configuration).await?;
    let (ann, bob) = tokio::join!(
        tokio::spawn(read(client.clone(), group.clone(), "ann".parse()?, 10)),
        tokio::spawn(read(client.clone(), group.clone(), "bob".parse()?, usize::MAX)),
    );
    let (ann, bob) = (ann??, bob??);
    println!("ann has read {ann} events, and bob {bob}");
    assert_eq!(ann + bob, 100, "each event has one reader");
    Ok(())
}
