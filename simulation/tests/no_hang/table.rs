//! How each call must end under each fault, and by when.

use pravega_sdk_types::{
    ErrorKind::{self, *},
    Outcome::{self, *},
};

use crate::seen::Seen;

/// A right end of a call: how, and after how many seconds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End(pub(crate) Seen, pub(crate) u64);

/// Calls that end in the same ways.
pub(crate) struct Row {
    pub(crate) calls: &'static [&'static str],
    /// In the order of [`FAULTS`](crate::faults::FAULTS).
    pub(crate) ends: [End; 8],
}

const fn works(seconds: u64) -> End {
    End(Seen::Works, seconds)
}

const fn fails(kind: ErrorKind, outcome: Outcome, seconds: u64) -> End {
    End(Seen::Fails(kind, outcome), seconds)
}

/// The default deadlines, in seconds.
const CONNECT: u64 = 5;
const REQUEST: u64 = 30;
const DELIVERY: u64 = 120;
/// The longest attempt to read: a connection that falls silent ends after so long.
const ATTEMPT: u64 = 36;
/// The attempt that fails first, the timeout of a stall from then on, and the longest pause and
/// attempt before the failure that reports it.
const STALL: u64 = ATTEMPT + STALL_TIMEOUT + 10 + ATTEMPT;
const STALL_TIMEOUT: u64 = 120;
/// A read at the tail waits for an event for that long, before it counts as a failure.
const TAIL_READ: u64 = 180;
const DECISION: u64 = 120;
/// A request about a segment is sent again until twice its deadline.
const ASK: u64 = 2 * REQUEST;
/// The deadline that the calls with one are given.
const LIMIT: u64 = 10;

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    // The controller alone is asked.
    Row {
        calls: &[
            "event_writer: EventWriter::open",
            "event_reader: EventReader::open",
            "batch: BatchClient::open",
            "batch: client.head_cut",
            "transactions: TransactionalWriter::open",
            "transactions: writer.status",
            "transactions: transaction.status",
            "key_value_tables: KeyValueTable::open",
            "revisioned_streams: RevisionedStream::open",
            "states: StateSynchronizer::open",
        ],
        ends: [
            works(0), works(0), works(0), works(0),
            fails(Unavailable, NotApplied, 0), works(0), works(0), works(0),
        ],
    },
    Row {
        calls: &["controller: endpoints.endpoint", "controller: tokens.token"],
        ends: [
            works(0), works(0), works(0), works(0),
            fails(Unavailable, Unknown, 0), works(0), works(0), works(0),
        ],
    },
    // The simulated controller has no list of them.
    Row {
        calls: &["transactions: writer.completed"],
        ends: [fails(Unsupported, NotApplied, 0); 8],
    },
    Row {
        calls: &["transactions: writer.begin", "event_writer: writer.note_time"],
        ends: [
            works(0), works(0), works(0), works(0),
            fails(Unavailable, Unknown, 0), works(0), fails(Closed, NotApplied, 0), works(0),
        ],
    },
    Row {
        calls: &["transactions: writer.resume"],
        ends: [
            works(0), works(0), works(0), works(0),
            fails(Unavailable, NotApplied, 0), works(0), fails(Closed, NotApplied, 0), works(0),
        ],
    },
    Row {
        calls: &["transactions: transaction.abort"],
        ends: [
            works(0), works(0), works(0), works(0),
            fails(Timeout, Unknown, DECISION), works(0), works(0), works(0),
        ],
    },
    // In the simulation a commit becomes visible by a task of the same runtime.
    Row {
        calls: &["transactions: commit.wait_until_visible"],
        ends: [
            works(1), works(1), works(1), works(1), fails(Timeout, Applied, LIMIT), works(1),
            fails(Timeout, Applied, LIMIT), works(1),
        ],
    },
    // Events are stored without the controller, which is asked for the segment's store before.
    Row {
        calls: &[
            "event_writer: writer.write",
            "event_writer: writer.write_at",
            "event_writer: ack",
            "event_writer: writer.flush",
            "keyed_event_writer: writer.write",
            "keyed_event_writer: writer.flush",
            "bytes: writer.flush",
            "bytes: writer.shutdown",
            "index: writer.flush",
            "revisioned_streams: stream.write_at",
            "revisioned_streams: stream.write",
            "states: state.update",
            "states: state.update_unconditionally",
        ],
        ends: [
            fails(Timeout, NotApplied, DELIVERY), fails(Timeout, NotApplied, DELIVERY),
            fails(Timeout, Unknown, DELIVERY), fails(Timeout, Unknown, DELIVERY),
            works(0), fails(Timeout, NotApplied, DELIVERY), fails(Closed, NotApplied, 0), works(1),
        ],
    },
    Row {
        calls: &["event_writer: writer.close", "keyed_event_writer: writer.close"],
        ends: [
            fails(Timeout, NotApplied, LIMIT), fails(Timeout, NotApplied, LIMIT),
            fails(Timeout, Unknown, LIMIT), fails(Timeout, Unknown, LIMIT),
            works(0), fails(Timeout, NotApplied, LIMIT), works(0), works(1),
        ],
    },
    // There is capacity: the event is taken.
    Row {
        calls: &[
            "event_writer: writer.enqueue",
            "event_writer: writer.enqueue_batch",
            "event_writer: permit",
            "keyed_event_writer: writer.enqueue",
            "transactions: transaction.write",
            "bytes: writer.write_bytes",
            "bytes: writer.write_all",
            "index: writer.append",
            "index: writer.append_if",
        ],
        ends: [
            works(0), works(0), works(0), works(0), works(0), works(0),
            fails(Closed, NotApplied, 0), works(0),
        ],
    },
    // There is none until the events before have failed.
    Row {
        calls: &["event_writer: writer.reserve"],
        ends: [
            works(DELIVERY), works(DELIVERY), works(DELIVERY), works(DELIVERY),
            works(0), works(DELIVERY), fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // The transaction's segments were not used before, so their store has to be found.
    Row {
        calls: &[
            "transactions: transaction.flush",
            "transactions: transaction.commit",
            "transactions: transaction.commit_at",
            "transactions: transaction.leave_open",
        ],
        ends: [
            fails(Timeout, NotApplied, DELIVERY), fails(Timeout, NotApplied, DELIVERY),
            fails(Timeout, NotApplied, DELIVERY), fails(Timeout, NotApplied, DELIVERY),
            fails(Timeout, NotApplied, DELIVERY), fails(Timeout, NotApplied, DELIVERY),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // Watermarks are read up to the stall timeout.
    Row {
        calls: &["event_reader: reader.time_window"],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, NotApplied, ASK), fails(Timeout, NotApplied, STALL_TIMEOUT),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    Row {
        calls: &["group_readers: GroupReader::open"],
        ends: [
            fails(Unreachable, NotApplied, REQUEST), fails(Timeout, NotApplied, REQUEST),
            fails(Timeout, NotApplied, REQUEST), fails(Timeout, NotApplied, REQUEST),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, REQUEST), works(0),
            works(2),
        ],
    },
    Row {
        calls: &["group_readers: reader.time_window"],
        ends: [
            fails(Unreachable, NotApplied, REQUEST), fails(Timeout, NotApplied, REQUEST),
            fails(Timeout, NotApplied, REQUEST), fails(Timeout, NotApplied, REQUEST),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, REQUEST),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // A reader says that it cannot reach the state of its group, and goes on.
    Row {
        calls: &["group_readers: reader.next", "group_readers: reader.next_batch"],
        ends: [
            fails(Unavailable, NotApplied, STALL), fails(Unavailable, NotApplied, STALL),
            fails(Unavailable, NotApplied, STALL), fails(Unavailable, NotApplied, STALL),
            works(0), fails(Unavailable, NotApplied, STALL), fails(Closed, NotApplied, 0),
            works(1),
        ],
    },
    Row {
        calls: &["group_readers: reader.close", "group_readers: reader.close_at"],
        ends: [
            fails(Timeout, Unknown, LIMIT), fails(Timeout, Unknown, LIMIT),
            fails(Timeout, Unknown, LIMIT), fails(Timeout, Unknown, LIMIT), works(0),
            fails(Timeout, Unknown, LIMIT), fails(Closed, NotApplied, 0), works(2),
        ],
    },
    // A reader says that it cannot read, and goes on.
    Row {
        calls: &[
            "event_reader: reader.next",
            "event_reader: reader.next_batch",
            "revisioned_streams: entries.next",
        ],
        ends: [
            fails(Unavailable, NotApplied, STALL), fails(Unavailable, NotApplied, STALL),
            fails(Unavailable, NotApplied, STALL),
            fails(Unavailable, NotApplied, TAIL_READ + STALL),
            fails(Unavailable, NotApplied, STALL), fails(Unavailable, NotApplied, STALL),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    Row {
        calls: &[
            "bytes: reader.next_bytes",
            "bytes: reader.read",
            "index: records.next",
        ],
        ends: [
            fails(Unavailable, NotApplied, STALL), fails(Unavailable, NotApplied, STALL),
            fails(Unavailable, NotApplied, STALL),
            fails(Unavailable, NotApplied, TAIL_READ + STALL),
            works(0), fails(Unavailable, NotApplied, STALL),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // One request about a segment, or several.
    Row {
        calls: &[
            "batch: client.tail_cut",
            "batch: client.next_cut",
            "batch: client.fetch",
            "batch: client.ranges",
            "batch: client.distance",
            "segment_attributes: attributes.value",
            "bytes: ByteWriter::open",
            "bytes: ByteReader::open",
            "bytes: writer.seek_to_tail",
            "index: IndexWriter::open",
            "index: IndexReader::open",
            "index: reader.read",
            "revisioned_streams: stream.latest_revision",
            "revisioned_streams: stream.oldest_revision",
            "revisioned_streams: stream.mark",
        ],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            works(0), works(1),
        ],
    },
    // As above, over a connection that is reset with the first attempt if the controller goes away.
    Row {
        calls: &[
            "bytes: writer.head_offset",
            "bytes: writer.tail_offset",
            "bytes: reader.head_offset",
            "bytes: reader.tail_offset",
            "index: reader.search",
            "index: reader.first",
            "index: reader.last",
            "tables: TableSegment::open",
            "tables: table.info",
            "tables: table.read",
            "tables: table.get",
            "tables: items.next",
            "tables: deltas.next",
            "synchronizers: TableSynchronizer::open_existing",
            "synchronizers: table.fetch",
            "synchronizers: table.clean",
            "key_value_tables: table.get",
            "key_value_tables: table.get_all",
            "key_value_tables: table.exists",
            "typed_tables: table.get",
            "typed_tables: table.get_all",
            "typed_tables: table.exists",
            "typed_tables: entries.next",
            "recipes: map.refresh",
            "recipes: map.remove",
            "recipes: counter.value",
            "recipes: lock.try_acquire",
            "recipes: lock.acquire",
            "groups: members.round",
            "key_value_tables: entries.next",
            "key_value_tables: watch.next",
            "revisioned_streams: stream.entries",
            "revisioned_streams: stream.entries_between",
            "revisioned_streams: stream.follow",
            "states: state.fetch",
            "states: state.bytes_since_compaction",
        ],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(ConnectionLost, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            works(0), works(1),
        ],
    },
    Row {
        calls: &["bytes: reader.seek"],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(ConnectionLost, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // As above, and the segment changes: the first attempt may have arrived.
    Row {
        calls: &[
            "bytes: writer.truncate",
            "index: writer.truncate",
            "tables: TableSegment::create",
            "synchronizers: TableSynchronizer::open",
        ],
        ends: [
            fails(Unreachable, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(Timeout, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(ConnectionLost, Unknown, 0), fails(TokenExpired, Unknown, ASK),
            works(0), works(1),
        ],
    },
    // A change that may have been made is not sent again.
    Row {
        calls: &[
            "tables: table.put",
            "tables: table.remove",
            "key_value_tables: table.insert",
            "key_value_tables: table.put",
            "key_value_tables: table.put_all",
            "key_value_tables: table.remove",
            "key_value_tables: table.remove_all",
            "segment_attributes: attributes.compare_and_set",
            "typed_tables: table.insert",
            "typed_tables: table.put",
            "typed_tables: table.remove",
        ],
        ends: [
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Timeout, Unknown, REQUEST), fails(Timeout, Unknown, REQUEST),
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            works(0), works(1),
        ],
    },
    // A token to write is asked for first.
    Row {
        calls: &["revisioned_streams: stream.truncate", "revisioned_streams: stream.set_mark"],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            works(0), works(1),
        ],
    },
    // An entry is written after requests, or before them, over connections of its own.
    Row {
        calls: &["states: state.initialize"],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(ConnectionLost, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            fails(Closed, NotApplied, 0), works(2),
        ],
    },
    Row {
        calls: &["states: state.compact"],
        ends: [
            fails(Timeout, NotApplied, DELIVERY), fails(Timeout, NotApplied, DELIVERY),
            fails(Timeout, Unknown, DELIVERY), fails(Timeout, Unknown, DELIVERY),
            fails(Unavailable, Applied, 0), fails(Timeout, NotApplied, DELIVERY),
            fails(Closed, NotApplied, 0), works(2),
        ],
    },
    // A change on a version takes effect once at most.
    Row {
        calls: &[
            "key_value_tables: table.put_at",
            "key_value_tables: table.remove_at",
            "synchronizers: table.update",
            "typed_tables: table.put_at",
            "typed_tables: table.remove_at",
            "recipes: map.insert",
            "recipes: counter.add",
            "recipes: guard.renew",
            "recipes: guard.release",
            "groups: election.round",
            "groups: election.resign",
            "groups: members.leave",
            "synchronizers: table.close",
        ],
        ends: [
            fails(Unreachable, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(Timeout, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(Unavailable, Unknown, 0), fails(TokenExpired, Unknown, ASK),
            works(0), works(1),
        ],
    },
    // As above, and then the table is looked for.
    Row {
        calls: &[
            "tables: table.delete",
            "tables: table.delete_if_empty",
            "synchronizers: TableSynchronizer::delete",
        ],
        ends: [
            fails(ConnectionLost, Unknown, ASK), fails(ConnectionLost, Unknown, ASK),
            fails(Timeout, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(ConnectionLost, Unknown, ASK), fails(ConnectionLost, Unknown, ASK),
            works(0), works(1),
        ],
    },
    // The connection that was reset is known to have ended by then.
    Row {
        calls: &["bytes: writer.seal"],
        ends: [
            fails(Unreachable, NotApplied, ASK), fails(Timeout, NotApplied, ASK),
            fails(Timeout, Unknown, ASK), fails(Timeout, Unknown, ASK),
            fails(Unavailable, NotApplied, 0), fails(TokenExpired, NotApplied, ASK),
            fails(Closed, NotApplied, 0), works(1),
        ],
    },
    // Connections.
    Row {
        calls: &[
            "store_connections: dialer.connect",
            "store_connections: dialer.connect_stream",
            "store_connections: client.connection",
            "store_connections: pool.connection",
            "store_connections: pool.stream",
        ],
        ends: [
            fails(Unreachable, NotApplied, 0), fails(Timeout, Unknown, CONNECT),
            fails(Timeout, Unknown, CONNECT), works(0), works(0), works(0), works(0), works(1),
        ],
    },
    Row {
        calls: &["store_connections: client.request"],
        ends: [
            fails(Unreachable, NotApplied, 0), fails(Timeout, NotApplied, CONNECT),
            fails(Timeout, NotApplied, CONNECT), fails(Timeout, Unknown, REQUEST),
            works(0), fails(TokenExpired, NotApplied, 0), works(0), works(1),
        ],
    },
    // Any reply is an answer.
    Row {
        calls: &["store_connections: client.exchange"],
        ends: [
            fails(Unreachable, NotApplied, 0), fails(Timeout, NotApplied, CONNECT),
            fails(Timeout, NotApplied, CONNECT), fails(Timeout, Unknown, REQUEST),
            works(0), works(0), works(0), works(1),
        ],
    },
    Row {
        calls: &["store_connections: client.read"],
        ends: [
            fails(Unreachable, NotApplied, 0), fails(Timeout, NotApplied, CONNECT),
            fails(Timeout, NotApplied, CONNECT), fails(Timeout, Unknown, LIMIT),
            works(0), works(0), works(0), works(1),
        ],
    },
    Row {
        calls: &["store_connections: connection.request", "store_connections: connection.exchange"],
        ends: [
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Timeout, Unknown, REQUEST), fails(Timeout, Unknown, REQUEST),
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Closed, NotApplied, 0), fails(ConnectionLost, NotApplied, 0),
        ],
    },
    Row {
        calls: &[
            "store_connections: connection.request_within",
            "store_connections: connection.read",
        ],
        ends: [
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Timeout, Unknown, LIMIT), fails(Timeout, Unknown, LIMIT),
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Closed, NotApplied, 0), fails(ConnectionLost, NotApplied, 0),
        ],
    },
    Row {
        calls: &["store_connections: StoreConnection::open"],
        ends: [
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(Timeout, Unknown, CONNECT), works(0),
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
            fails(ConnectionLost, Unknown, 0), fails(ConnectionLost, Unknown, 0),
        ],
    },
    Row {
        calls: &[
            "store_connections: client.close",
            "store_connections: pool.snapshot",
            "store_connections: pool.drain",
        ],
        ends: [works(0); 8],
    },
];

/// Calls that are not made here, and why.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("controller: credentials.authorization", "no server is asked; a provider has the deadline"),
    ("embedded:", "the server itself"),
    ("factory:", "each opens a handle as its `open` does; `connect` is tested beside the factory"),
    ("group_readers: notices.next", "no server is asked: it waits for what the reader meets"),
    (
        "reader_groups:",
        "the simulated controller registers no groups; `suite/group_handles/faults.rs` has their \
         deadlines, and `tests/runtimes.rs` the ends of their runtimes",
    ),
    ("pool:", "the pool asks no server; its own tests have connectors that hang"),
];
