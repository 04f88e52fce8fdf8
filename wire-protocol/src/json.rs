//! Conversion of commands from and to JSON, with the names of the protocol.
//!
//! Numbers of 64 bits are strings, so that no parser rounds them (numbers are accepted too);
//! bytes are hexadecimal text; a UUID is its canonical text.

use serde_json::{Map, Value as Json};

use crate::{
    WireCommand,
    value::{Value, ValueError, to_hex},
};

/// Returns the fields of a command as a JSON object, in wire order if the map keeps an order.
#[must_use]
pub fn fields_to_json(fields: Vec<(String, Value)>) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name, to_json(value))).collect())
}

/// Builds the command called `name` from a JSON object of its fields.
///
/// # Errors
///
/// [`ValueError`] names the field and what is wrong with it.
pub fn command_from_json(
    name: &str,
    fields: &Map<String, Json>,
) -> Result<WireCommand, ValueError> {
    let fields = fields.iter().map(|(field, json)| Ok((field.clone(), from_json(json)?)));
    WireCommand::from_fields(name, fields.collect::<Result<_, _>>()?)
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Int(number) => number.into(),
        Value::Long(number) => number.to_string().into(),
        Value::Bool(truth) => truth.into(),
        Value::Text(text) => text.into(),
        Value::Uuid(id) => id.to_string().into(),
        Value::Bytes(bytes) => to_hex(&bytes).into(),
        Value::List(list) => list.into_iter().map(to_json).collect(),
        Value::Record(fields) => fields_to_json(fields),
    }
}

/// JSON does not tell the types of texts and numbers apart; the field decides.
fn from_json(json: &Json) -> Result<Value, ValueError> {
    let refuse =
        || ValueError::Type { expected: "a value of the protocol", found: json.to_string() };
    Ok(match json {
        Json::Null => return Err(refuse()),
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Long(number.as_i64().ok_or_else(refuse)?),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(list) => Value::List(list.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, json)| Ok((name.clone(), from_json(json)?)));
            Value::Record(fields.collect::<Result<_, ValueError>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, fields: &str) -> Result<WireCommand, ValueError> {
        let json: Json = serde_json::from_str(fields).unwrap();
        command_from_json(name, json.as_object().unwrap())
    }

    #[test]
    fn fields_with_a_default_may_be_left_out_and_others_not() {
        let sealed = command("SegmentIsSealed", r#"{"requestId": 1, "segment": "a"}"#).unwrap();
        assert_eq!(fields_to_json(sealed.fields())["offset"], "-1");
        assert_eq!(
            command("SegmentIsSealed", r#"{"requestId": "1"}"#),
            Err(ValueError::Missing("segment".to_owned()))
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named() {
        assert_eq!(command("Nothing", "{}"), Err(ValueError::UnknownCommand("Nothing".to_owned())));
        assert_eq!(
            command("KeepAlive", r#"{"speed": 1}"#),
            Err(ValueError::UnknownField("speed".to_owned()))
        );
        let error = command("Hello", r#"{"highVersion": "x", "lowVersion": 5}"#).unwrap_err();
        assert_eq!(error.to_string(), "field highVersion: Text(\"x\") is not i32");
        assert!(command("Hello", r#"{"highVersion": 3000000000, "lowVersion": 5}"#).is_err());
    }
}
