//! A group takes a checkpoint, reads on, and begins again where it was at the checkpoint.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{
    codec::Utf8,
    group::{GroupItem, GroupReader, GroupReaderError},
    types::{Checkpoint, ReaderGroupConfiguration, ReaderId, ScopedReaderGroup},
};

const LIMIT: Duration = Duration::from_secs(10);

/// Reads up to the checkpoint of a name, or to the end of the data. Returns the events.
async fn read(
    reader: &mut GroupReader<Utf8>,
    until: Option<&str>,
) -> Result<Vec<String>, GroupReaderError> {
    let mut events = Vec::new();
    while let Some(item) = reader.next().await {
        match item? {
            GroupItem::Event(event) => events.push(event.into_event()),
            // It is complete when the reader is asked for the next item.
            GroupItem::Checkpoint(name) if until == Some(&*name) => break,
            GroupItem::Checkpoint(_) => {}
        }
    }
    Ok(events)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let orders = pravega.create_stream("shop/orders", 2).await?;
    let client = pravega.client();
    let writer = client.event_writer(&orders, Utf8).await?;
    let name: ScopedReaderGroup = "shop/billing".parse()?;
    let configuration = ReaderGroupConfiguration::new([orders.clone()])?
        .with_refresh_interval(Duration::from_millis(100))
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(200)));
    let (group, _) = client.create_reader_group(&name, &configuration).await?;
    let id: ReaderId = "ann".parse()?;
    let mut reader = client.group_reader(&name, &id, Utf8).await?;

    writer.write("bob", "one").await?;
    let mut before = Vec::new();
    while before.is_empty() {
        let item = reader.next().await.ok_or("the group ended")??;
        before.extend(item.into_event().map(|event| event.into_event()));
    }
    group.initiate_checkpoint("noon").await?;
    before.extend(read(&mut reader, Some("noon")).await?);
    writer.write("bob", "two").await?;
    writer.write("eve", "three").await?;
    client.controller().seal_stream(&orders).await?;
    // The reader passes the checkpoint when it reads on.
    let (noon, after) = tokio::join!(group.checkpoint("noon", LIMIT), read(&mut reader, None));
    let (noon, mut after): (Checkpoint, _) = (noon?, after?);
    println!("{before:?}, then the checkpoint {}, then {after:?}", noon.name());
    assert_eq!(before.len() + after.len(), 3);
    reader.close(LIMIT).await?;

    // The text of a checkpoint can be stored; it outlives the group.
    let stored = noon.to_text()?;
    group.reset_to(&stored.parse()?).await?;
    let mut reader = client.group_reader(&name, &id, Utf8).await?;
    let mut again = read(&mut reader, None).await?;
    println!("and again {again:?}");
    after.sort();
    again.sort();
    assert_eq!(again, after);
    reader.close(LIMIT).await?;
    Ok(())
}
