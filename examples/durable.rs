//! Runs an embedded server whose data survives a restart.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::{
    codec::Utf8,
    embedded::{Embedded, EmbeddedServer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("pravega-example-{}", std::process::id()));
    let pravega = Embedded::with(EmbeddedServer::builder().with_directory(&folder)).await?;
    let orders = pravega.create_stream("shop/orders", 1).await?;
    pravega.client().event_writer(&orders, Utf8).await?.write("ann", "three apples").await?;
    pravega.shutdown().await;

    let pravega = Embedded::with(EmbeddedServer::builder().with_directory(&folder)).await?;
    let mut reader = pravega.client().event_reader(&orders, Utf8).await?;
    let event = reader.next().await.ok_or("the stream ended")??;
    println!("{}", event.event());
    assert_eq!(event.event(), "three apples");
    pravega.shutdown().await;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
