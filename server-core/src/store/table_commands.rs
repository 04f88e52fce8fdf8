//! Requests about table segments.

use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{TableKey, commands::*};

use super::{
    commands::{Outcome, Request},
    refusal::Refusal,
    requests::Step,
};
use crate::record::KeyVersion;

/// The offset of a request that accepts any length of the table.
const ANY_OFFSET: i64 = -1;

fn condition(offset: i64) -> Option<Offset> {
    (offset != ANY_OFFSET).then_some(Offset(offset))
}

impl Request for CreateTableSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, key_length, rollover_size_bytes, .. } = self;
        let created = step.create_table(&segment, key_length, rollover_size_bytes);
        let reply = SegmentCreated { request_id, segment: segment.clone() };
        Outcome::of(segment, created.map(|()| reply))
    }
}

impl Request for DeleteTableSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, must_be_empty, .. } = self;
        let deleted = step.delete_table(&segment, must_be_empty);
        let reply = SegmentDeleted { request_id, segment: segment.clone() };
        Outcome::of(segment, deleted.map(|()| reply))
    }
}

impl Request for GetTableSegmentInfo {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment_name, .. } = self;
        let info = step.store.table(&segment_name).map(|(table, len)| TableSegmentInfo {
            request_id,
            segment_name: segment_name.clone(),
            start_offset: 0,
            length: len as i64,
            entry_count: table.entry_count() as i64,
            key_length: table.key_len() as i32,
        });
        Outcome::of(segment_name, info)
    }
}

impl Request for UpdateTableEntries {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, table_entries, table_segment_offset: offset, .. } = self;
        let updated = step.put(&segment, table_entries, condition(offset));
        let reply = |versions: Vec<KeyVersion>| TableEntriesUpdated {
            request_id,
            updated_versions: versions.into_iter().map(|KeyVersion(version)| version).collect(),
        };
        Outcome::of(segment, updated.map(reply)).at(Offset(offset))
    }
}

impl Request for RemoveTableKeys {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, keys, table_segment_offset: offset, .. } = self;
        let removed = step.remove(&segment, &keys, condition(offset));
        let reply = TableKeysRemoved { request_id, segment: segment.clone() };
        Outcome::of(segment, removed.map(|()| reply)).at(Offset(offset))
    }
}

impl Request for ReadTable {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, keys, .. } = self;
        let read = step.store.table(&segment).map(|(table, _)| {
            let entries = table.read(&keys);
            TableRead { request_id, segment: segment.clone(), entries }
        });
        Outcome::of(segment, read)
    }
}

impl Request for ReadTableKeys {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, args, suggested_key_count, .. } = self;
        let page = step.store.table(&segment).and_then(|(table, _)| {
            let token = &args.continuation_token;
            table
                .page(suggested_key_count, token, &args.from_key, &args.to_key)
                .map_err(Refusal::Table)
        });
        let read = page.map(|page| {
            let keys: Vec<TableKey> = page.entries.into_iter().map(|entry| entry.key).collect();
            let continuation_token = page.continuation_token;
            TableKeysRead { request_id, segment: segment.clone(), keys, continuation_token }
        });
        Outcome::of(segment, read)
    }
}

impl Request for ReadTableEntries {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, args, suggested_entry_count, .. } = self;
        let page = step.store.table(&segment).and_then(|(table, _)| {
            let token = &args.continuation_token;
            table
                .page(suggested_entry_count, token, &args.from_key, &args.to_key)
                .map_err(Refusal::Table)
        });
        let read = page.map(|page| {
            let (entries, continuation_token) = (page.entries, page.continuation_token);
            TableEntriesRead { request_id, segment: segment.clone(), entries, continuation_token }
        });
        Outcome::of(segment, read)
    }
}

impl Request for ReadTableEntriesDelta {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, from_position, suggested_entry_count, .. } = self;
        let delta = step.store.table(&segment).and_then(|(table, len)| {
            let from = Offset(from_position);
            table.delta(from, suggested_entry_count, len).map_err(Refusal::Table)
        });
        let read = delta.map(|delta| TableEntriesDeltaRead {
            request_id,
            segment: segment.clone(),
            entries: delta.entries,
            should_clear: false,
            reached_end: delta.reached_end,
            last_position: delta.last_position.into(),
        });
        Outcome::of(segment, read)
    }
}
