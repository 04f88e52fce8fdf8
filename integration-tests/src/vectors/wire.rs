//! Frames: both directions, fields that older peers omit, invalid frames, and all forms of appends.

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, Decoder, SendBuffer, WireCommand,
    commands::{AppendBlock, AppendBlockEnd, SetupAppend},
    event::{self, Event},
    json::{command_from_json, fields_to_json},
    value::to_hex,
};
use serde_json::{Map, Value as Json, json};

use super::line::{hex, list, number, same, text};

/// `hex` decodes to `fields`, and `fields` encode to `hex`.
pub(crate) fn command(line: &Json) -> Result<()> {
    let frame = hex(line, "hex")?;
    let fields = fields(line)?;
    // An event is not a command: it is in segments and has a reader of its own.
    if text(line, "name")? == "Event" {
        same("the type", i64::from(event::EVENT_CODE), number(line, "type_code")?)?;
        return segment_event(&frame, fields);
    }
    let decoded = decode(&frame)?;
    check_fields(line, &decoded)?;
    let built = command_from_json(text(line, "name")?, fields)?;
    same("the encoded frame", to_hex(&encode(&built)?), to_hex(&frame))?;
    same("the frame encoded again", to_hex(&encode(&decoded)?), to_hex(&frame))
}

/// `hex` decodes to `fields`. The present encoding may be longer or shorter.
pub(crate) fn compatible(line: &Json) -> Result<()> {
    check_fields(line, &decode(&hex(line, "hex")?)?)
}

/// `hex` does not decode.
pub(crate) fn rejected(line: &Json) -> Result<()> {
    match decode(&hex(line, "hex")?) {
        Ok(command) => bail!("was taken as {command:?}"),
        Err(_) => Ok(()),
    }
}

/// A server decodes `hex` to `decoded`, and the bytes that this SDK sends for the same steps too.
pub(crate) fn append_sequence(line: &Json) -> Result<()> {
    let bytes = hex(line, "hex")?;
    let frames = frames(&bytes)?;
    let expected = list(line, "frames")?;
    same("the number of frames", frames.len(), expected.len())?;
    for (frame, expected) in frames.iter().zip(expected) {
        same("the frame's name", frame.name(), text(expected, "name")?)?;
        same(
            "the frame encoded again",
            to_hex(&encode(frame)?),
            text(expected, "hex")?.to_owned(),
        )?;
    }
    let expected = list(line, "decoded")?.iter().map(append).collect::<Result<Vec<_>>>()?;
    same("the appends", assemble(frames)?, expected.clone())?;

    // Each append as one whole block and, in the shortest form, as an end alone: the data of each
    // writer is the same.
    for shape in [Shape::WholeBlock, Shape::EndAlone] {
        let mut sent = SendBuffer::new();
        for step in list(line, "steps")? {
            shape.send(step, &mut sent)?;
        }
        let ours = assemble(self::frames(&sent.to_vec())?)?;
        same("the data by writer", by_writer(&ours), by_writer(&expected))?;
    }
    Ok(())
}

enum Shape {
    WholeBlock,
    EndAlone,
}

impl Shape {
    fn send(&self, step: &Json, out: &mut SendBuffer) -> Result<()> {
        match text(step, "op")? {
            "setup" => out.push(&SetupAppend {
                request_id: number(step, "requestId")?,
                writer_id: text(step, "writerId")?.parse()?,
                segment: text(step, "segment")?.into(),
                delegation_token: text(step, "delegationToken")?.into(),
            })?,
            "append" => {
                let writer_id = text(step, "writerId")?.parse()?;
                let data = Bytes::from(hex(step, "data")?);
                let size_of_whole_events = i32::try_from(data.len())?;
                let data = match self {
                    Self::EndAlone => data,
                    Self::WholeBlock => {
                        out.push(&AppendBlock { writer_id, data })?;
                        Bytes::new()
                    }
                };
                out.push(&AppendBlockEnd {
                    writer_id,
                    size_of_whole_events,
                    data,
                    num_events: i32::try_from(number(step, "eventCount")?)?,
                    last_event_number: number(step, "eventNumber")?,
                    request_id: 0,
                })?;
            }
            "command" => command_from_json(text(step, "name")?, fields(step)?)?.encode(out)?,
            "flush" => {}
            other => bail!("step {other} is not known"),
        }
        Ok(())
    }
}

/// The appends of each writer, in order: segment, data, last number and number of events.
fn by_writer(appends: &[Append]) -> Vec<(String, String, Vec<u8>, i64, i32)> {
    let mut writers: Vec<(String, String, Vec<u8>, i64, i32)> = Vec::new();
    for append in appends {
        let (writer, segment) = (append.writer_id.to_string(), append.segment.to_string());
        let known = writers.iter_mut().find(|known| known.0 == writer && known.1 == segment);
        match known {
            Some(known) => {
                known.2.extend_from_slice(&append.data);
                known.3 = append.event_number;
                known.4 += append.event_count;
            }
            None => writers.push((
                writer,
                segment,
                append.data.to_vec(),
                append.event_number,
                append.event_count,
            )),
        }
    }
    writers.sort();
    writers
}

fn assemble(frames: Vec<WireCommand>) -> Result<Vec<Append>> {
    let mut assembler = AppendAssembler::new();
    let mut appends = Vec::new();
    for frame in frames {
        appends.extend(assembler.handle(frame)?);
    }
    Ok(appends)
}

fn append(json: &Json) -> Result<Append> {
    Ok(Append {
        segment: text(json, "segment")?.into(),
        writer_id: text(json, "writerId")?.parse()?,
        event_number: number(json, "eventNumber")?,
        event_count: i32::try_from(number(json, "eventCount")?)?,
        data: hex(json, "data")?.into(),
        expected_offset: match json.get("expectedOffset") {
            None | Some(Json::Null) => None,
            Some(_) => Some(number(json, "expectedOffset")?),
        },
        request_id: number(json, "requestId")?,
    })
}

fn frames(bytes: &[u8]) -> Result<Vec<WireCommand>> {
    let mut received = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = Decoder::default().decode(&mut received)? {
        frames.push(frame);
    }
    same("the bytes left over", received.len(), 0)?;
    Ok(frames)
}

fn segment_event(frame: &[u8], fields: &Map<String, Json>) -> Result<()> {
    let data = Json::Object(fields.clone());
    let payload = hex(&data, "data")?;
    let mut segment = BytesMut::from(frame);
    let found =
        event::take(&mut segment, event::MAX_EVENT_LEN * 2)?.context("the event is not whole")?;
    same("the payload", to_hex(&found), to_hex(&payload))?;
    let event = Event { data: payload.into() };
    let mut block = BytesMut::new();
    event::put(&mut block, &event.data)?;
    same("the event", to_hex(&block), to_hex(frame))
}

fn fields(line: &Json) -> Result<&Map<String, Json>> {
    line.get("fields").and_then(Json::as_object).context("fields are missing")
}

fn decode(frame: &[u8]) -> Result<WireCommand> {
    Ok(Decoder::default().decode_frame(Bytes::copy_from_slice(frame))?)
}

fn encode(command: &WireCommand) -> Result<Vec<u8>> {
    let mut out = SendBuffer::new();
    command.encode(&mut out)?;
    Ok(out.to_vec())
}

fn check_fields(line: &Json, decoded: &WireCommand) -> Result<()> {
    same("the name", decoded.name(), text(line, "name")?)?;
    same("the type", json!(decoded.code()), line["type_code"].clone())?;
    same("the fields", fields_to_json(decoded.fields()), line["fields"].clone())
}
