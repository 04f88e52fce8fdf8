//! A client that fills the server to its limit, keeps it full, and makes room again.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{
    attack::delete,
    attacker::{Attacker, Tally, Target},
    wire::Wire,
};

const SEGMENTS: usize = 16;
/// From a megabyte down to one event.
const SIZES: [usize; 5] = [1 << 20, 64 << 10, 4 << 10, 512, 100];

/// What fills the server.
pub(super) struct Filling {
    attacker: Attacker,
    segments: Vec<String>,
}

impl Filling {
    /// Fills the server until it takes no event any more.
    pub(super) async fn fill(target: Target) -> Result<Self> {
        let attacker = Attacker::new(target, "full", 0, &Arc::new(Tally::default()));
        let segments: Vec<String> = (0..SEGMENTS).map(|number| attacker.segment(number)).collect();
        let mut wire = Wire::connect(&attacker).await?;
        for segment in &segments {
            wire.create_new(segment).await?;
        }
        let filling = Self { attacker, segments };
        filling.top_up().await?;
        Ok(filling)
    }

    /// Appends until even one event is refused.
    async fn top_up(&self) -> Result<()> {
        let mut wire = Wire::connect(&self.attacker).await?;
        for size in SIZES {
            for segment in self.segments.iter().cycle() {
                match wire.append(segment, Bytes::from(vec![9; size])).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // The refusal ended the connection.
                    Err(_) => {
                        wire = Wire::connect(&self.attacker).await?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps the server full for a time.
    pub(super) async fn hold(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.top_up().await?;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Deletes everything.
    pub(super) async fn relieve(self) -> Result<()> {
        let mut wire = Wire::connect(&self.attacker).await?;
        for segment in &self.segments {
            delete(&mut wire, segment).await?;
        }
        Ok(())
    }
}
