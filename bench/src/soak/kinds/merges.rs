//! Merges by the hundred: of segments into themselves, of missing ones, with lists of attributes.

use anyhow::Result;
use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_wire_protocol::{
    AttributeUpdate,
    commands::{MergeSegments, MergeSegmentsBatch},
};
use uuid::Uuid;

use crate::soak::{attack::delete, attacker::Attacker, wire::Wire};

const SOURCES: usize = 100;

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let mut wire = Wire::connect(&attacker).await?;
    let segments: Vec<String> = (0..=SOURCES).map(|number| attacker.segment(number)).collect();
    for segment in &segments {
        wire.create_new(segment).await?;
        wire.append(segment, Bytes::from_static(b"data")).await?;
    }
    let names: Vec<ByteString> = segments.iter().map(|name| name.as_str().into()).collect();
    let Some((target, sources)) = names.split_first() else { return Ok(()) };
    let batch = |target: &ByteString, sources: &[ByteString]| MergeSegmentsBatch {
        request_id: 1,
        target_segment_id: target.clone(),
        source_segment_ids: sources.to_vec(),
        delegation_token: "".into(),
    };
    // Into itself, with itself among the sources, twice the same, one that is missing, all.
    let missing = ByteString::from_static("attack/merges/missing.#epoch.0");
    let half: Vec<_> = sources.iter().take(SOURCES / 2).cloned().chain([missing]).collect();
    let many = vec![target.clone(); 200_000];
    for sources in [&names[..1], &many[..], &half[..], sources, sources] {
        wire.ask(batch(target, sources)).await?;
    }
    let update = |_| AttributeUpdate {
        attribute_id: Uuid::from_u128(attacker.random.u128(..)),
        attribute_update_type: 1,
        new_value: 1,
        old_value: 0,
    };
    let updates: Vec<_> = (0..20_000).map(update).collect();
    for source in segments.iter().take(3) {
        wire.create_new(source).await?;
        wire.ask(MergeSegments {
            request_id: 2,
            target: target.clone(),
            source: source.as_str().into(),
            delegation_token: "".into(),
            attribute_updates: updates.clone(),
        })
        .await?;
    }
    for segment in &segments {
        delete(&mut wire, segment).await?;
    }
    Ok(())
}
