//! Approximate memory that each entry of the catalog uses, in bytes.
//!
//! What a later change adds without asking is counted from the start: a segment's weight has its
//! part of the cut at which the stream begins and its length after its deletion, and a stream's
//! weight is above that of the number that remains of it. So what frees memory is never refused
//! for want of it.

use pravega_sdk_proto::StreamConfig;

use super::{
    cut::Cut,
    history::{EpochRecord, History},
    leaving::stream_of,
    names,
    state::{Group, Numbers, Scope, Table},
    stream::{RetentionPoint, Stream, StreamState, Subscriber, WriterMark},
    transaction::Transaction,
};

const SCOPE: u64 = 512;
const NUMBER: u64 = 160;
const TABLE: u64 = 320;
const GROUP: u64 = 160;
const STREAM: u64 = 1024;
const TAG: u64 = 144;
const EPOCH: u64 = 64;
const SEGMENT: u64 = 192;
const WRITER: u64 = 192;
const OFFSET: u64 = 32;
/// The least memory of a map with an entry.
const MAP: u64 = 256;
const SUBSCRIBER: u64 = 192;
const RETENTION_POINT: u64 = 128;
const TRANSACTION: u64 = 256;

fn count(of: usize, weight: u64) -> u64 {
    of as u64 * weight
}

/// The weight of a scope without what is in it. The system scope always exists and has none, and
/// for a stream that leaves its own weight is enough.
pub(super) fn of_scope(name: &str) -> u64 {
    if name == names::SYSTEM_SCOPE || stream_of(name).is_some() {
        return 0;
    }
    SCOPE + name.len() as u64
}

pub(super) fn of_number(stream: &str) -> u64 {
    NUMBER + count(stream.len(), 2)
}

pub(super) fn of_table(name: &str, table: &Table) -> u64 {
    let config = &table.config;
    TABLE + (name.len() + config.scope.len() + config.kvt_name.len()) as u64
}

pub(super) fn of_group(name: &str, group: &Group) -> u64 {
    GROUP + (name.len() + group.len()) as u64
}

/// The weight of a stream without its other parts.
pub(super) fn of_state(name: &str, state: &StreamState) -> u64 {
    STREAM + count(name.len(), 2) + of_tags(name, &state.config)
}

/// The weight of the tags of a stream, which its scope keeps, too, with the stream's name.
fn of_tags(name: &str, config: &StreamConfig) -> u64 {
    let tags = config.tags.as_ref().map_or(&[][..], |tags| &tags.tag);
    tags.iter().map(|tag| TAG + name.len() as u64 + count(tag.len(), 2)).sum()
}

/// The weight that an epoch adds.
pub(super) fn of_epoch(epoch: &EpochRecord) -> u64 {
    EPOCH + count(epoch.created.len(), SEGMENT)
}

fn of_history(history: &History) -> u64 {
    count(history.epoch_count(), EPOCH) + count(history.segment_count(), SEGMENT)
}

pub(super) fn of_writer(name: &str, mark: &WriterMark) -> u64 {
    WRITER + MAP + name.len() as u64 + count(mark.position.len(), OFFSET)
}

fn of_cut(cut: &Cut) -> u64 {
    count(cut.len(), OFFSET)
}

pub(super) fn of_subscriber(name: &str, subscriber: &Subscriber) -> u64 {
    SUBSCRIBER + (name.len() + subscriber.group_id.len()) as u64 + of_cut(&subscriber.cut)
}

pub(super) fn of_point(point: &RetentionPoint) -> u64 {
    RETENTION_POINT + of_cut(&point.cut)
}

pub(super) fn of_transaction(transaction: &Transaction) -> u64 {
    TRANSACTION + count(transaction.numbers.len(), 4)
}

/// The weight of a stream with all its parts.
pub(super) fn of_stream(name: &str, stream: &Stream) -> u64 {
    let writers = stream.writers.iter().map(|(name, mark)| of_writer(name, mark));
    let subscribers = stream.subscribers.iter().map(|(name, one)| of_subscriber(name, one));
    let points = stream.retention_points.values().map(of_point);
    let transactions =
        stream.transactions.iter().map(|(_, transaction)| of_transaction(transaction));
    of_state(name, &stream.state)
        + of_history(&stream.history)
        + writers.chain(subscribers).chain(points).chain(transactions).sum::<u64>()
}

fn of_numbers(numbers: &Numbers) -> u64 {
    numbers.iter().map(|(stream, _)| of_number(stream)).sum()
}

/// The weight of a scope with all that is in it, counted entry by entry.
pub(super) fn of_whole_scope(name: &str, scope: &Scope) -> u64 {
    let streams = scope.streams.iter().map(|(name, stream)| of_stream(name, stream));
    let tables = scope.tables.iter().map(|(name, table)| of_table(name, table));
    let groups = scope.groups.iter().map(|(name, group)| of_group(name, group));
    of_scope(name) + of_numbers(&scope.numbers) + streams.chain(tables).chain(groups).sum::<u64>()
}
