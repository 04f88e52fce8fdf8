//! Every request of the wire protocol with extreme values in its fields.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use pravega_sdk_wire_protocol::{WireCommand, value::Value};
use tokio::time::timeout;
use uuid::Uuid;

use crate::soak::{
    attack::delete,
    attacker::Attacker,
    wire::{Wire, frame},
};

const REQUESTS: [&str; 30] = [
    "Hello",
    "KeepAlive",
    "SetupAppend",
    "AppendBlock",
    "AppendBlockEnd",
    "ConditionalAppend",
    "ConditionalBlockEnd",
    "ReadSegment",
    "CreateSegment",
    "CreateTransientSegment",
    "GetStreamSegmentInfo",
    "SealSegment",
    "TruncateSegment",
    "DeleteSegment",
    "UpdateSegmentPolicy",
    "MergeSegments",
    "MergeSegmentsBatch",
    "GetSegmentAttribute",
    "UpdateSegmentAttribute",
    "CreateTableSegment",
    "DeleteTableSegment",
    "GetTableSegmentInfo",
    "UpdateTableEntries",
    "RemoveTableKeys",
    "ReadTable",
    "ReadTableKeys",
    "ReadTableEntries",
    "ReadTableEntriesDelta",
    "FlushToStorage",
    "ListStorageChunks",
];
/// How long a client waits for more replies.
const PATIENCE: Duration = Duration::from_millis(500);
const NUMBERS: [i64; 14] = [
    0,
    1,
    -1,
    2,
    7,
    100,
    i32::MAX as i64,
    i32::MIN as i64,
    i32::MAX as i64 + 1,
    u32::MAX as i64,
    i64::MAX,
    i64::MAX - 7,
    i64::MIN,
    i64::MIN + 1,
];

pub(super) async fn round(mut attacker: Attacker) -> Result<()> {
    let segments = [attacker.segment(0), attacker.segment(1), attacker.segment(2)];
    for _ in 0..20 {
        let mut wire = Wire::connect(&attacker).await?;
        for segment in &segments {
            wire.ask(crate::soak::wire::create(segment)).await?;
        }
        // Replies are not matched with requests: the connection ends with the first bad one.
        for _ in 0..200 {
            let name = attacker.random.choice(REQUESTS).unwrap_or_default();
            let command = extreme(name, &segments, &mut attacker.random);
            // Some values have no encoding.
            let Ok(bytes) = command.and_then(frame) else { continue };
            if wire.send_bytes(&bytes).await.is_err() {
                break;
            }
        }
        let mut transients = Vec::new();
        while let Ok(Ok(reply)) = timeout(PATIENCE, wire.next()).await {
            if let WireCommand::SegmentCreated(created) = reply {
                transients.push(created.segment);
            }
        }
        let mut wire = Wire::connect(&attacker).await?;
        for segment in transients {
            delete(&mut wire, &segment).await?;
        }
    }
    Ok(())
}

fn extreme(name: &str, segments: &[String], random: &mut fastrand::Rng) -> Result<WireCommand> {
    let names = WireCommand::field_names(name).context("no such command")?;
    // The type of a field is not known by its name, so values of each type are tried.
    let mut fields: Vec<(String, Value)> = names
        .into_iter()
        .map(|(field, _)| (field.clone(), guess(&field, segments, random)))
        .collect();
    for _ in 0..fields.len() * 4 {
        match WireCommand::from_fields(name, fields.clone()) {
            Ok(command) => return Ok(command),
            Err(error) => {
                let text = error.to_string();
                let wrong = fields
                    .iter_mut()
                    .find(|(field, _)| text.starts_with(&format!("field {field}:")));
                let Some((_, value)) = wrong else { return Err(error.into()) };
                *value = other_type(value, random);
            }
        }
    }
    anyhow::bail!("no values for {name}")
}

/// Returns a value of the type that a field most likely has.
fn guess(field: &str, segments: &[String], random: &mut fastrand::Rng) -> Value {
    let segment = || segments.first().cloned().unwrap_or_default();
    match field {
        "segment" | "target" | "source" | "segmentName" | "parentSegment" | "targetSegmentId" => {
            Value::Text(random.choice(segments).cloned().unwrap_or_default())
        }
        "delegationToken" => Value::Text(String::new()),
        "writerId" | "attributeId" => Value::Uuid(Uuid::from_u128(random.u128(0..4))),
        "data" | "event" => Value::Bytes(Bytes::from(vec![0; random.usize(0..50)])),
        "sourceSegmentIds" => {
            Value::List((0..random.usize(0..4)).map(|_| Value::Text(segment())).collect())
        }
        "attributeUpdates" => {
            Value::List((0..random.usize(0..3)).map(|_| update(random)).collect())
        }
        "tableEntries" => Value::List((0..random.usize(0..4)).map(|_| entry(random)).collect()),
        "keys" => Value::List((0..random.usize(0..4)).map(|_| key(random)).collect()),
        "args" => Value::Record(Vec::new()),
        _ => number(random),
    }
}

fn number(random: &mut fastrand::Rng) -> Value {
    Value::Long(random.choice(NUMBERS).unwrap_or_default())
}

fn named(fields: Vec<(&str, Value)>) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn update(random: &mut fastrand::Rng) -> Value {
    named(vec![
        ("attributeId", Value::Uuid(Uuid::from_u128(random.u128(0..4)))),
        ("attributeUpdateType", Value::Int(random.i32(-1..6))),
        ("newValue", number(random)),
        ("oldValue", number(random)),
    ])
}

fn key(random: &mut fastrand::Rng) -> Value {
    let data = Value::Bytes(Bytes::from(vec![random.u8(0..3); random.usize(0..9_000) / 100]));
    named(vec![("data", data), ("keyVersion", number(random))])
}

fn entry(random: &mut fastrand::Rng) -> Value {
    let value = Value::Bytes(Bytes::from(vec![1; random.usize(0..100)]));
    named(vec![("key", key(random)), ("value", named(vec![("data", value)]))])
}

fn other_type(value: &Value, random: &mut fastrand::Rng) -> Value {
    match value {
        Value::Long(_) => {
            Value::Int(random.choice([0, 1, -1, 127, i32::MAX, i32::MIN]).unwrap_or(0))
        }
        Value::Int(_) => Value::Bool(random.bool()),
        _ => Value::Int(random.i32(-2..3)),
    }
}
