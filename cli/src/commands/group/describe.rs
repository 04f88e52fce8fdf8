//! `pravega group describe`

use pravega_sdk::{
    group::{
        GroupCheckpoint, GroupDescription, GroupMember, GroupStorage, ReaderGroup, SegmentPlace,
        UnreadBytes,
    },
    types::{
        BoundedCut, GroupRetention, GroupStream, ReaderGroupConfiguration, ScopedReaderGroup,
        SegmentOffset,
    },
};
use serde_json::Value;

use crate::{
    failure::{Result, with_causes},
    output::{Format, Output, Record},
};

pub(super) async fn run(group: &ReaderGroup, output: &mut Output) -> Result<()> {
    let description = group.describe().await?;
    let unread = match group.unread_bytes().await {
        Ok(unread) => Some(unread),
        // A group is described also if one of its streams is gone.
        Err(error) => {
            let cause = with_causes(&error);
            output.status(format_args!("warning: the unread bytes are not known: {cause}"));
            None
        }
    };
    let record = record(group.group(), &description, unread.as_ref());
    let segments = segments(&description, unread.as_ref());
    match output.format() {
        Format::Json => {
            let list = |records: Vec<Record>| -> Vec<Value> {
                records.into_iter().map(Record::into_json).collect()
            };
            let checkpoints = description.checkpoints.iter().map(checkpoint_record).collect();
            let leases = description.readers.iter().filter_map(lease_record).collect();
            let record = record
                .with("leases", list(leases))
                .with("checkpoints", list(checkpoints))
                .with("segments", list(segments));
            output.one(record)
        }
        Format::Text | Format::Table => {
            let waiting = description.checkpoints.iter().filter(|it| !it.waiting_for.is_empty());
            let waiting = waiting.map(|it| format!("{} ({})", it.name, it.waiting_for.join(", ")));
            let record = record
                .with("leases", description.readers.iter().filter_map(lease).collect::<Vec<_>>())
                .with("waiting_checkpoints", waiting.collect::<Vec<_>>());
            output.one(record)?;
            output.list(segments)
        }
    }
}

fn record(
    group: &ScopedReaderGroup,
    description: &GroupDescription,
    unread: Option<&UnreadBytes>,
) -> Record {
    let configuration = &description.configuration;
    let readers: Vec<&str> = description.readers.iter().map(|reader| &*reader.id).collect();
    let storage = match description.storage {
        GroupStorage::Stream => "stream",
        GroupStorage::Table => "table",
        _ => "other",
    };
    settings(Record::new().with("group", group.to_string()), configuration)
        .with("store", storage)
        .with("is_changing", description.is_updating_configuration)
        .with("is_at_end", description.is_at_end)
        .with("readers", readers)
        .with("unread_bytes", unread.map(UnreadBytes::total))
}

fn settings(record: Record, configuration: &ReaderGroupConfiguration) -> Record {
    let streams: Vec<String> = configuration.streams().iter().map(part).collect();
    let checkpoints = configuration.automatic_checkpoint_interval();
    let retention = match configuration.retention() {
        GroupRetention::None => "none",
        GroupRetention::ManualReleaseAtUserStreamCut => "manual",
        GroupRetention::AutomaticReleaseAtLastCheckpoint => "automatic",
    };
    record
        .with("id", configuration.id().to_string())
        .with("generation", configuration.generation())
        .with("streams", streams)
        .with(
            "refresh_interval",
            humantime::format_duration(configuration.refresh_interval()).to_string(),
        )
        .with(
            "checkpoint_interval",
            checkpoints.map(|interval| humantime::format_duration(interval).to_string()),
        )
        .with("max_outstanding_checkpoints", configuration.max_outstanding_checkpoints().get())
        .with("retention", retention)
}

/// A stream with its start and end.
fn part(entry: &GroupStream) -> String {
    match (entry.from.bounded(), entry.to.bounded()) {
        (None, None) => entry.stream.to_string(),
        (from, to) => {
            let shown = |cut: Option<&BoundedCut>| cut.map_or("..".to_owned(), ToString::to_string);
            format!("{} from {} to {}", entry.stream, shown(from), shown(to))
        }
    }
}

/// The segments: those of each reader, those without one, and those that begin later.
fn segments(description: &GroupDescription, unread: Option<&UnreadBytes>) -> Vec<Record> {
    let record =
        |holder: &str, segment: &str| Record::new().with("reader", holder).with("segment", segment);
    let place = |holder: &str, place: &SegmentPlace| {
        record(holder, &place.segment.to_string())
            .with("offset", place.offset.to_wire())
            .with("position", place.reported.map(SegmentOffset::to_wire))
            .with("end", place.end.map(SegmentOffset::to_wire))
            .with("unread_bytes", unread.map(|unread| unread.of_segment(&place.segment)))
    };
    let mut records = Vec::new();
    for reader in &description.readers {
        records.extend(reader.segments.iter().map(|segment| place(&reader.id, segment)));
    }
    records.extend(description.unassigned.iter().map(|segment| place(UNASSIGNED, segment)));
    for later in &description.future {
        let nothing = None::<i64>;
        records.push(
            record(LATER, &later.segment.to_string())
                .with("offset", nothing)
                .with("position", nothing)
                .with("end", nothing)
                .with("unread_bytes", unread.map(|unread| unread.of_segment(&later.segment))),
        );
    }
    records
}

/// In place of a reader; no reader has such a name.
const UNASSIGNED: &str = "(unassigned)";
const LATER: &str = "(later)";

/// The lease of a reader: its length, or that it has ended.
fn lease(reader: &GroupMember) -> Option<String> {
    let (id, lease) = (&reader.id, reader.lease?);
    let length = humantime::format_duration(lease.length());
    let ended = if lease.is_ended() { ", ended" } else { "" };
    Some(format!("{id} ({length}{ended})"))
}

fn lease_record(reader: &GroupMember) -> Option<Record> {
    let lease = reader.lease?;
    let record = Record::new()
        .with("reader", &*reader.id)
        .with("length", humantime::format_duration(lease.length()).to_string())
        .with("is_ended", lease.is_ended());
    Some(record)
}

fn checkpoint_record(checkpoint: &GroupCheckpoint) -> Record {
    Record::new()
        .with("name", checkpoint.name.as_str())
        .with("is_silent", checkpoint.is_silent)
        .with("is_complete", checkpoint.is_complete)
        .with("waiting_for", checkpoint.waiting_for.clone())
}
