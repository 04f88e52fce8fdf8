//! Sells tickets in two programs at the same time, and never more than there are.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use pravega_sdk::{
    ClientFactory,
    codec::Json,
    table_synchronizer::{Revision, SharedState, StateCodecs, StateSynchronizer},
    types::ScopedStream,
};

/// The number of tickets that are left. An update takes some.
struct Tickets(u32);

impl SharedState for Tickets {
    type Initial = u32;
    type Update = u32;

    fn create(left: u32, _: &Revision) -> Self {
        Self(left)
    }

    fn apply(&mut self, sold: u32, _: &Revision) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0 = self.0.checked_sub(sold).ok_or("more are sold than are left")?;
        Ok(())
    }
}

type Shop = StateSynchronizer<Tickets, StateCodecs<Json<u32>, Json<u32>>>;

async fn open(client: &ClientFactory, stream: &ScopedStream) -> Result<Shop, Box<dyn Error>> {
    let serializer = StateCodecs::new(Json::new(), Json::new());
    let mut shop = client.state_synchronizer(stream, serializer).await?;
    // Only the first one counts.
    shop.initialize(100).await?;
    Ok(shop)
}

/// Sells one ticket after the other until none is left.
async fn sell_all(mut shop: Shop) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let mut sold = 0;
    loop {
        let is_sold = shop
            .update(|tickets, updates| {
                // Called again with the newest state if the other program was faster.
                let is_left = tickets.0 > 0;
                if is_left {
                    updates.push(1);
                }
                is_left
            })
            .await?;
        if !is_sold {
            return Ok(sold);
        }
        sold += 1;
        // Until the next customer comes.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pravega = pravega_sdk::embedded().await?;
    // A state is in a stream of its own, with one segment.
    let stream = pravega.create_stream("shop/tickets", 1).await?;
    let client = pravega.client();
    let (one, other) = (open(client, &stream).await?, open(client, &stream).await?);
    let (one, other) = tokio::join!(sell_all(one), sell_all(other));
    let (one, other) = (
        one.map_err(|error| error as Box<dyn Error>)?,
        other.map_err(|error| error as Box<dyn Error>)?,
    );
    println!("one sold {one}, the other {other}");
    assert_eq!(one + other, 100);
    Ok(())
}
