//! As many writers on one connection as are taken, and more, each with an event.

use anyhow::Result;
use bytes::Bytes;
use uuid::Uuid;

use crate::soak::{
    attack::delete,
    attacker::Attacker,
    wire::{Wire, append, set_up},
};

const WRITERS: usize = 9_000;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    let mut wire = Wire::connect(&attacker).await?;
    wire.create_new(&segment).await?;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let writer = Uuid::from_u128(attacker.random.u128(..));
        wire.ask(set_up(&segment, writer)).await?;
        writers.push(writer);
    }
    for writer in writers.iter().take(2_000) {
        wire.ask(append(*writer, 1, Bytes::from_static(b"x"))).await?;
    }
    delete(&mut wire, &segment).await
}
