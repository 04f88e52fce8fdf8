//! Every command for a segment that has a token, built from the table of the protocol: a new one is
//! among them.

use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    WireCommand,
    value::{Value, ValueError},
};
use uuid::Uuid;

/// The field with the token.
const TOKEN: &str = "delegationToken";

/// Commands of the port for administration, which the embedded server does not have.
const OF_ADMINISTRATION: [&str; 2] = ["FlushToStorage", "ListStorageChunks"];

/// The writer of the commands, and the attribute that they are about.
pub const WRITER: Uuid = Uuid::from_u128(7);

/// The names of the commands with a token, but for those of the port for administration.
pub fn with_token() -> Vec<&'static str> {
    let names = WireCommand::NAMES.iter().copied();
    let has_token = |name: &&str| {
        let fields = WireCommand::field_names(name).unwrap();
        fields.iter().any(|(field, _)| field == TOKEN)
    };
    names.filter(has_token).filter(|name| !OF_ADMINISTRATION.contains(name)).collect()
}

/// Builds the command called `name`, for a segment, with a token. A merge is of the segment into
/// another, or of the other into the segment. Numbers are 1, lists of entries are empty.
///
/// # Panics
///
/// If a field has a type that is not known here.
pub fn for_segment(name: &str, segment: &str, other: &str, token: &str) -> WireCommand {
    let candidates = [
        Value::Int(1),
        Value::Bool(false),
        Value::Uuid(WRITER),
        Value::Text(segment.to_owned()),
        Value::Bytes(Bytes::from_static(b"key")),
        Value::List(vec![Value::Text(other.to_owned())]),
        Value::List(Vec::new()),
        Value::Record(Vec::new()),
    ];
    let names = WireCommand::field_names(name).unwrap();
    let mut choices: Vec<(String, usize)> =
        names.into_iter().map(|(field, _)| (field, 0)).collect();
    loop {
        let fields = choices.iter().map(|(field, at)| {
            let value = match &**field {
                TOKEN => Value::Text(token.to_owned()),
                "target" => Value::Text(other.to_owned()),
                _ => candidates[*at].clone(),
            };
            (field.clone(), value)
        });
        match WireCommand::from_fields(name, fields.collect()) {
            Ok(command) => return command,
            Err(ValueError::Field { field, .. }) => {
                choices.iter_mut().find(|(name, _)| *name == field).unwrap().1 += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}
