//! Values that clients store: frames of events, cuts, pointers, positions, watermarks.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pravega_sdk_types::{
    BoundedCut, EventPointer, KeyRange, Offset, Position, ScopedSegment, ScopedStream, SegmentId,
    SegmentOffset, StreamCut, Watermark,
};
use pravega_sdk_wire_protocol::{event, value::to_hex};
use serde_json::Value as Json;

use crate::vectors::line::{hex, list, number, same, text};

pub(super) fn event_frames(line: &Json, payloads: &[Vec<u8>]) -> Result<()> {
    let mut block = bytes::BytesMut::new();
    for payload in payloads {
        event::put(&mut block, payload)?;
    }
    same("the stored bytes", to_hex(&block), text(line, "hex")?.to_owned())?;
    for payload in payloads {
        let found =
            event::take(&mut block, event::MAX_EVENT_LEN)?.context("an event is missing")?;
        same("the payload", to_hex(&found), to_hex(payload))?;
    }
    Ok(())
}

pub(super) fn cut_of(line: &Json) -> Result<BoundedCut> {
    bounded(text(line, "stream")?, list(line, "positions")?)
}

pub(super) fn bounded(stream: &str, positions: &[Json]) -> Result<BoundedCut> {
    let position = |pair: &Json| {
        let part = |at: usize| pair[at].as_i64().context("a position is not a pair of numbers");
        Ok((SegmentId::from(part(0)?), SegmentOffset::from_wire(part(1)?)))
    };
    let positions = positions.iter().map(position).collect::<Result<Vec<_>>>()?;
    Ok(BoundedCut::new(ScopedStream::internal(stream)?, positions)?)
}

pub(super) fn stream_cut(line: &Json) -> Result<()> {
    let cut = StreamCut::from(cut_of(line)?);
    same("the bytes", to_hex(&cut.to_bytes()?), text(line, "hex")?.to_owned())?;
    same("the cut of the bytes", StreamCut::from_bytes(&hex(line, "hex")?)?, cut.clone())?;
    same("the cut of Java's text", text(line, "text")?.parse::<StreamCut>()?, cut.clone())?;
    same("the cut of our text", cut.to_text().parse::<StreamCut>()?, cut.clone())?;
    // Compressed texts differ between implementations; their contents must not.
    same("what our text holds", gunzip(&cut.to_text())?, text(line, "inner")?.to_owned())?;
    match line["toString"].as_str() {
        Some(shown) => same("the display form", cut.to_string(), shown.to_owned()),
        None => Ok(()),
    }
}

fn gunzip(text: &str) -> Result<String> {
    let compressed = BASE64.decode(text)?;
    Ok(std::io::read_to_string(flate2::read::GzDecoder::new(&compressed[..]))?)
}

pub(super) fn event_pointer(line: &Json) -> Result<()> {
    let segment = text(line, "segment")?.parse()?;
    let length = i32::try_from(number(line, "length")?)?;
    let pointer = EventPointer::new(segment, Offset(number(line, "offset")?), length)?;
    same("the bytes", to_hex(&pointer.to_bytes()?), text(line, "hex")?.to_owned())?;
    same(
        "the pointer of the bytes",
        EventPointer::from_bytes(&hex(line, "hex")?)?,
        pointer.clone(),
    )?;
    same("the text", pointer.to_string(), text(line, "text")?.to_owned())?;
    same("the pointer of the text", text(line, "text")?.parse()?, pointer)
}

pub(super) fn position(line: &Json) -> Result<()> {
    let name = |pair: &Json| {
        pair[0]
            .as_str()
            .context("a segment is not a text")?
            .parse::<ScopedSegment>()
            .context("name")
    };
    let owned = list(line, "owned")?.iter();
    let owned = owned.map(|pair| {
        Ok((name(pair)?, SegmentOffset::from_wire(pair[1].as_i64().context("offset")?)))
    });
    let range = |pair: &Json| match &pair[1] {
        Json::Null => Ok::<_, anyhow::Error>(None),
        bounds => Ok(Some(KeyRange::new(
            bounds[0].as_f64().context("low")?,
            bounds[1].as_f64().context("high")?,
        )?)),
    };
    let ranges = list(line, "ranges")?.iter().map(|pair| Ok((name(pair)?, range(pair)?)));
    let position =
        Position::new(owned.collect::<Result<Vec<_>>>()?, ranges.collect::<Result<Vec<_>>>()?);
    same("the bytes", to_hex(&position.to_bytes()?), text(line, "hex")?.to_owned())?;
    same("the position of the bytes", Position::from_bytes(&hex(line, "hex")?)?, position.clone())?;
    let completed: Vec<String> = position.completed().map(ScopedSegment::to_string).collect();
    let expected =
        list(line, "completed")?.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    same("the completed segments", completed, expected)
}

pub(super) fn watermark(line: &Json) -> Result<()> {
    let mark = Watermark::from_bytes(&hex(line, "hex")?)?;
    same("the lower time", mark.lower_time().as_millis(), number(line, "lowerTimeBound")?)?;
    same("the upper time", mark.upper_time().as_millis(), number(line, "upperTimeBound")?)?;
    let expected: Result<Vec<_>> = list(line, "cut")?
        .iter()
        .map(|place| {
            let offset = SegmentOffset::from_wire(number(place, "offset")?);
            Ok((SegmentId::from(number(place, "segmentId")?), offset))
        })
        .collect();
    same("the place", mark.positions().collect::<Vec<_>>(), expected?)
}
