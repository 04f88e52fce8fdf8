//! Appends that break the rules: without a set-up, inside other blocks, with numbers that fall.

use anyhow::Result;
use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{AppendBlock, PartialEvent, SegmentSealed},
};
use uuid::Uuid;

use crate::soak::{
    attacker::Attacker,
    wire::{Wire, append, set_up},
};

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let segment = attacker.segment(0);
    Wire::connect(&attacker).await?.create_new(&segment).await?;
    let mut id = || Uuid::from_u128(attacker.random.u128(..));
    let (known, other) = (id(), id());
    let data = Bytes::from_static(b"data");
    let block = AppendBlock { writer_id: known, data: data.clone() };
    let bad: [Vec<WireCommand>; 6] = [
        vec![append(other, 1, data.clone()).into()],
        vec![PartialEvent { data: data.clone() }.into()],
        vec![set_up(&segment, other).into(), block.clone().into()],
        vec![SegmentSealed { request_id: 1, segment: "a".into() }.into()],
        vec![set_up(&segment, known).into(), append(known, -1, data.clone()).into()],
        vec![block.into()],
    ];
    for commands in bad {
        let mut wire = Wire::connect(&attacker).await?;
        for command in commands {
            wire.send(command).await?;
        }
        while wire.next().await.is_ok() {}
    }
    // Two connections that use the id of one writer in turn.
    let mut pair = [Wire::connect(&attacker).await?, Wire::connect(&attacker).await?];
    for number in 1..20 {
        for wire in &mut pair {
            wire.ask(set_up(&segment, known)).await?;
            wire.ask(append(known, number, data.clone())).await?;
        }
    }
    Ok(())
}
