//! A reader stores its position together with the effects of each event. When it dies, another one
//! goes on with the first event whose effects are not stored, so each event takes effect once.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{
    ClientFactory,
    codec::Utf8,
    group::{GroupReaderConfig, GroupReaderError},
    types::{Position, ReaderGroupConfiguration, ScopedReaderGroup},
};

/// The store of the program: what it does in one step is stored as a whole, or not at all.
#[derive(Debug, Default)]
struct Store {
    total: u64,
    position: Option<Position>,
}

/// Adds up events until there are no more, or until it dies after `max` of them.
async fn add_up(
    client: &ClientFactory,
    group: &ScopedReaderGroup,
    id: &str,
    store: &mut Store,
    max: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    // Without a lease only the program takes a dead reader out, at the position that it knows. With
    // one, other readers could go on from the last checkpoint before, and repeat the rest.
    let config = GroupReaderConfig::default().with_lease(None);
    let mut reader = client.group_reader_with(group, &id.parse()?, Utf8, config).await?;
    let mut count = 0;
    while let Some(item) = reader.next().await {
        let item: Result<_, GroupReaderError> = item;
        let Some(event) = item?.into_event() else { continue };
        if count == max {
            println!("{id} dies in the middle of {}", event.event());
            return Ok(());
        }
        store.total += event.event().parse::<u64>()?;
        store.position = Some(event.position());
        count += 1;
    }
    println!("{id} has come to the end, after {count} events");
    reader.close(Duration::from_secs(10)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let payments = pravega.create_stream("shop/payments", 2).await?;
    let client = pravega.client();
    let writer = client.event_writer(&payments, Utf8).await?;
    for amount in 1..=100_u64 {
        drop(writer.enqueue(&format!("customer-{}", amount % 7), amount.to_string()).await?);
    }
    writer.flush().await?;
    client.controller().seal_stream(&payments).await?;

    let name: ScopedReaderGroup = "shop/books".parse()?;
    let configuration = ReaderGroupConfiguration::new([payments])?;
    let (group, _) = client.create_reader_group(&name, &configuration).await?;
    let mut store = Store::default();
    add_up(client, &name, "ann", &mut store, 40).await?;

    // The program that supervises the readers takes the dead one offline where its effects end.
    group.reader_offline("ann", store.position.as_ref()).await?;
    add_up(client, &name, "bob", &mut store, usize::MAX).await?;
    println!("the total is {}", store.total);
    assert_eq!(store.total, 5050, "each payment once");
    Ok(())
}
