//! Reads the events between two stream cuts, one segment range per task, in parallel.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use pravega_sdk::{codec::Utf8, types::StreamCut};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let sales = pravega.create_stream("shop/sales", 4).await?;
    let client = pravega.client();
    let writer = client.event_writer(&sales, Utf8).await?;
    for number in 0..1000_u32 {
        drop(writer.enqueue(&number.to_string(), number.to_string()).await?);
    }
    writer.flush().await?;

    let batch = client.batch_client(&sales).await?;
    let ranges = batch.ranges(&StreamCut::Unbounded, &StreamCut::Unbounded).await?;
    let mut tasks = Vec::new();
    for range in ranges {
        let batch = batch.clone();
        tasks.push(tokio::spawn(async move {
            let mut sum = 0_u64;
            let mut reader = batch.read(&range, Utf8)?;
            while let Some(event) = reader.next().await {
                sum += event?.event().parse::<u64>().unwrap_or_default();
            }
            Ok::<_, pravega_sdk::ReadError>(sum)
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    println!("{total}");
    assert_eq!(total, 499_500);
    Ok(())
}
