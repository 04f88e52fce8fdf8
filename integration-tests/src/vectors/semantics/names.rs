//! Names of segments, streams, tables and scopes.

use anyhow::Result;
use pravega_sdk_server_core::access::Resource;
use pravega_sdk_types::{
    Epoch, KeyValueTable, ReaderGroup, ReaderId, Scope, ScopedReaderGroup, ScopedSegment,
    ScopedStream, Segment, SegmentId, SegmentNumber, Stream, TransactionId, WriterName,
    segment_name,
};
use serde_json::Value as Json;

use crate::vectors::line::{number, same, text};

pub(super) fn segment(line: &Json) -> Result<()> {
    let id = SegmentId::new(
        Epoch(i32::try_from(number(line, "epoch")?)?),
        SegmentNumber(i32::try_from(number(line, "number")?)?),
    );
    same("the id", i64::from(id), number(line, "segmentId")?)?;
    let stream = ScopedStream::new(
        Scope::internal(text(line, "scope")?)?,
        Stream::internal(text(line, "stream")?)?,
    );
    let segment = ScopedSegment::new(&stream, id);
    same("the name", segment.to_string(), text(line, "text")?.to_owned())?;
    same("the parsed name", text(line, "text")?.parse::<ScopedSegment>()?, segment)?;
    same(
        "the parsed id",
        i64::from(text(line, "text")?.parse::<ScopedSegment>()?.id()),
        number(line, "parsedId")?,
    )?;
    if let Ok(table) = KeyValueTable::new(text(line, "stream")?) {
        let table = pravega_sdk_types::ScopedKeyValueTable::new(stream.scope().clone(), table);
        let segment = ScopedSegment::new(&table.segment_stream(), id);
        same("the table's segment", segment.to_string(), text(line, "tableText")?.to_owned())?;
    }
    let table_segment: ScopedSegment = text(line, "tableText")?.parse()?;
    same(
        "the table's segment again",
        table_segment.to_string(),
        text(line, "tableText")?.to_owned(),
    )?;
    same("the id of the table's segment", table_segment.id(), id)
}

pub(super) fn segment_parse(line: &Json) -> Result<()> {
    let expected = (text(line, "stream")?.to_owned(), number(line, "segmentId")?);
    if line["scope"].is_null() {
        let segment: Segment = text(line, "text")?.parse()?;
        return same("the segment", (segment.stream().to_string(), segment.id().into()), expected);
    }
    let segment: ScopedSegment = text(line, "text")?.parse()?;
    same("the scope", segment.scope().as_str(), text(line, "scope")?)?;
    same("the segment", (segment.stream().to_string(), segment.id().into()), expected)
}

pub(super) fn transaction_segment(line: &Json) -> Result<()> {
    let parent: ScopedSegment = text(line, "parent")?.parse()?;
    let id: TransactionId = text(line, "txnId")?.parse()?;
    same("the halves", id.to_halves(), (number(line, "highBits")?, number(line, "lowBits")?))?;
    same(
        "the id of the halves",
        TransactionId::from_halves(id.to_halves().0, id.to_halves().1),
        id,
    )?;
    same("the epoch", i64::from(id.epoch().0), number(line, "epoch")?)?;
    let name = segment_name::transaction(&parent, id);
    same("the name", name.as_str(), text(line, "text")?)?;
    same("whether it is one", Some(segment_name::is_transaction(&name)), line["isTxn"].as_bool())?;
    same("the parent", segment_name::parent(&name), Some(text(line, "parentOf")?))?;
    same("the primary name", segment_name::primary(&name), text(line, "primaryOf")?)?;
    same(
        "the segment",
        name.parse::<ScopedSegment>()?.to_string(),
        text(line, "asSegment")?.to_owned(),
    )
}

pub(super) fn transient_segment(line: &Json) -> Result<()> {
    let name = text(line, "text")?;
    let writer: uuid::Uuid = text(line, "writerId")?.parse()?;
    let beginning = format!("{}#transient.{}.", text(line, "parent")?, writer.simple());
    same("the beginning", name.get(..beginning.len()), Some(beginning.as_str()))?;
    same(
        "whether it is one",
        Some(segment_name::is_transient(name)),
        line["isTransient"].as_bool(),
    )?;
    same("the parent", segment_name::parent(name), Some(text(line, "parentOf")?))?;
    same("the primary name", segment_name::primary(name), text(line, "primaryOf")?)
}

pub(super) fn internal_names(line: &Json) -> Result<()> {
    let name = text(line, "name")?;
    let group: ScopedReaderGroup = format!("sc/{name}").parse()?;
    let stream: ScopedStream = format!("sc/{name}").parse()?;
    same(
        "the group's stream",
        group.state_stream().stream().as_str(),
        text(line, "readerGroupStream")?,
    )?;
    same(
        "the watermark stream",
        stream.watermark_stream().stream().as_str(),
        text(line, "markStream")?,
    )?;
    same("the scoped name", group.to_string(), text(line, "scopedReaderGroup")?.to_owned())
}

/// The names of what a server can allow.
pub(super) fn resources(line: &Json) -> Result<()> {
    let (scope, name) = (text(line, "scope")?, text(line, "name")?);
    let stream = |prefix: &str| format!("{prefix}{name}");
    let (group, marks) = (stream("_RG"), stream("_MARK"));
    for (field, resource) in [
        ("scopes", Resource::Scopes),
        ("scopeResource", Resource::Scope(scope)),
        ("stream", Resource::of_stream(scope, name)),
        ("readerGroup", Resource::Group(scope, name)),
        ("kvt", Resource::Table(scope, name)),
        ("rgStream", Resource::of_stream(scope, &group)),
        ("markStream", Resource::of_stream(scope, &marks)),
    ] {
        same(field, resource.to_string(), text(line, field)?.to_owned())?;
    }
    Ok(())
}

pub(super) fn name_validity(line: &Json) -> Result<()> {
    let name = text(line, "name")?;
    let checks = [
        ("userStream", Stream::new(name).is_ok()),
        ("internalStream", Stream::internal(name).is_ok()),
        ("userScope", Scope::new(name).is_ok()),
        ("scope", Scope::internal(name).is_ok()),
        ("readerGroup", ReaderGroup::new(name).is_ok()),
        ("readerId", ReaderId::new(name).is_ok()),
        ("writerId", WriterName::new(name).is_ok()),
        ("kvt", KeyValueTable::new(name).is_ok()),
    ];
    for (rule, taken) in checks {
        same(rule, Some(taken), line[rule].as_bool())?;
    }
    Ok(())
}
