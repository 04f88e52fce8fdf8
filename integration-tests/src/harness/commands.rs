//! Every command of clients with a token, by the table of the protocol: a new one is among them.

use bytes::Bytes;
use pravega_sdk_wire_protocol::{WireCommand, value::Value};
use uuid::Uuid;

/// The field with the token.
const TOKEN: &str = "delegationToken";

/// Commands about containers, which the port of administration has.
pub const OF_ADMINISTRATION: [&str; 2] = ["FlushToStorage", "ListStorageChunks"];

/// The writer of the commands, and the attribute that they are about.
pub const WRITER: Uuid = Uuid::from_u128(7);

/// The names of the commands with a token.
pub fn with_token() -> impl Iterator<Item = &'static str> {
    let has_token = |name: &&str| {
        let fields = WireCommand::field_names(name).unwrap();
        fields.iter().any(|(field, _)| field == TOKEN)
    };
    WireCommand::NAMES.iter().copied().filter(has_token)
}

/// Builds the command called `name`, for a segment, with a token. A merge is of the segment into
/// another, or of the other into the segment. Fields that may be left out are.
///
/// # Panics
///
/// If a field has a name that is not known here.
pub fn command_of(name: &str, segment: &str, other: &str, token: &str) -> WireCommand {
    let value = |field: &str| match field {
        "segment" | "segmentName" | "source" | "parentSegment" | "targetSegmentId" => {
            Value::Text(segment.to_owned())
        }
        "target" => Value::Text(other.to_owned()),
        "sourceSegmentIds" => Value::List(vec![Value::Text(other.to_owned())]),
        TOKEN => Value::Text(token.to_owned()),
        "writerId" | "attributeId" => Value::Uuid(WRITER),
        "requestId" => Value::Long(8),
        // A refusal has it in place of the id.
        "offset" => Value::Long(9),
        "truncationOffset" | "fromPosition" | "newValue" | "expectedValue" => Value::Long(0),
        "scaleType" | "targetRate" | "containerId" => Value::Int(0),
        "suggestedLength" | "suggestedKeyCount" | "suggestedEntryCount" => Value::Int(10),
        "mustBeEmpty" => Value::Bool(false),
        "keys" | "tableEntries" => Value::List(Vec::new()),
        "args" => Value::Record(Vec::new()),
        "data" => Value::Bytes(Bytes::from_static(b"12345678")),
        "event" => Value::Record(vec![("data".to_owned(), Value::Bytes(Bytes::new()))]),
        "lastEventNumber" | "eventNumber" | "expectedOffset" => Value::Long(1),
        "sizeOfWholeEvents" | "length" => Value::Int(0),
        "numEvents" => Value::Int(1),
        other => panic!("{name} has a field {other}, which has no value here"),
    };
    let fields = WireCommand::field_names(name).unwrap().into_iter();
    let needed = fields.filter(|(field, has_default)| !has_default || field == "requestId");
    let fields = needed.map(|(field, _)| (field.clone(), value(&field))).collect();
    WireCommand::from_fields(name, fields).unwrap()
}
