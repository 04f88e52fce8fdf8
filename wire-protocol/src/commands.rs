//! The protocol's table: every command with its type, its fields in wire order, and their defaults.
//!
//! A row has the type, the name, the sender, for a request the reply that means success, then the
//! fields. A layout in brackets replaces the default encoding of the field's type: `Rest` is the
//! rest of the frame, `Lenient` reads a negative length as empty, `Zeros` is that many zero bytes.
//! The value after `=` is the default of a field before which an older peer's frame ends; only
//! fields at the end can be missing. Numbers and layouts are those of Pravega 0.13.0; golden frames
//! of its Java implementation check them.
//!
//! Types 6, 13–19, 22–27, 41–49, 54, 62–67, 72, 73 and 92–99 are not assigned.
//!
//! # Fields
//!
//! Fields of many rows:
//!
//! | field | meaning |
//! |---|---|
//! | `request_id` | the reply repeats it unchanged |
//! | `segment`, `segment_name`, `target`, `source` | a segment's name, `scope/stream/number.#epoch.epoch` for one of a stream |
//! | `delegation_token` | issued by the controller for the segment; empty without authorization |
//! | `writer_id` | the writer whose event numbers the store remembers |
//! | `offset` and names that end in it | bytes from the start of the segment |
//! | `server_stack_trace` | for people, never to be parsed; empty by default, otherwise several KB |

use bytes::Bytes;
use bytestring::ByteString;
use uuid::Uuid;

use crate::{
    AttributeUpdate, DecodeError, DecodeProblem, EncodeError, IterationArgs, MergedSegment,
    SendBuffer, StorageChunk, TableEntry, TableKey,
    codes::{FailureCode, TokenFailure},
    event::Event,
    field::{FieldReader, Layout},
    table::{
        Command, CommandKind, Correlated, commands, decode_field, default_of, kind_of, layout,
        request_id_of, request_of, sealed, shown,
    },
    value::{Fields, Value, ValueError, protocol_name},
};

/// No text.
const NONE: ByteString = ByteString::from_static("");

commands! {
    // --------------------------------------------------------------------------------- connection

    /// Announces the versions of a side; the client sends it first, and the server answers with its
    /// own.
    -127 Hello both {
        /// The newest version.
        high_version: i32,
        /// The oldest version.
        low_version: i32,
    }

    /// Checks that the peer is alive; the server sends it back. It also ends an open append block.
    100 KeepAlive both {}

    // --------------------------------------------------------------------------------- appending

    /// Opens a segment for the appends of a writer on this connection.
    1 SetupAppend request -> AppendSetup {
        request_id: i64,
        writer_id: Uuid,
        segment: ByteString,
        delegation_token: ByteString,
    }

    /// The last stored event number of a writer; also acknowledges all appends up to it.
    2 AppendSetup reply {
        request_id: i64,
        segment: ByteString,
        writer_id: Uuid,
        /// The last event number stored; `i64::MIN` means none is stored.
        last_event_number: i64,
    }

    /// The first part of an append; an [`AppendBlockEnd`] of the same writer must follow.
    3 AppendBlock request {
        writer_id: Uuid,
        /// Events, then a nested [`PartialEvent`] or [`Padding`] if the block is not full.
        data: Bytes [Rest],
    }

    /// Ends an append, or is a whole append without a block.
    4 AppendBlockEnd request {
        writer_id: Uuid,
        /// Number of bytes of the block to append; has no meaning without a block.
        size_of_whole_events: i32,
        /// Data to append after the block. The server drops it if the block was full.
        data: Bytes [Lenient],
        /// Number of events in the append; more than 0.
        num_events: i32,
        /// The number of the last of them; must rise for each writer.
        last_event_number: i64,
        request_id: i64 = -1,
    }

    /// The first part of an event that did not fit its block.
    -2 PartialEvent inside {
        data: Bytes [Rest],
    }

    /// The unused part of a block.
    -1 Padding inside {
        /// Number of zero bytes.
        length: i32 [Zeros],
    }

    /// Appends one event if the segment ends at an offset. The event's header is stored too.
    5 ConditionalAppend request -> DataAppended {
        writer_id: Uuid,
        event_number: i64,
        /// The offset at which the segment must end.
        expected_offset: i64,
        event: Event,
        request_id: i64 = -1,
    }

    /// Appends bytes as they are if the segment ends at an offset.
    89 ConditionalBlockEnd request -> DataAppended {
        writer_id: Uuid,
        event_number: i64,
        /// The offset at which the segment must end.
        expected_offset: i64,
        data: Bytes [Lenient],
        request_id: i64,
    }

    /// Acknowledges all appends of a writer up to a number.
    7 DataAppended reply {
        writer_id: Uuid,
        /// The last event number that is durable.
        event_number: i64,
        /// The one acknowledged before; `i64::MIN` for a new writer.
        previous_event_number: i64 = -1,
        request_id: i64 = -1,
        /// The length of the segment after the append.
        current_segment_write_offset: i64 = -1,
    }

    /// The segment did not end at the offset that a conditional append expects. Nothing was
    /// written, and the set-up stays.
    8 ConditionalCheckFailed reply {
        writer_id: Uuid,
        event_number: i64,
        request_id: i64 = -1,
    }

    /// Another connection used the writer id; the server closes this one.
    55 InvalidEventNumber failure {
        writer_id: Uuid,
        request_id: i64,
        server_stack_trace: ByteString = NONE,
        /// The event number of the append.
        event_number: i64 = -1,
    }

    // ----------------------------------------------------------------------------------- reading

    /// Reads from an offset; waits for data if that is the tail.
    9 ReadSegment request -> SegmentRead {
        segment: ByteString,
        offset: i64,
        /// Maximum number of bytes; the server uses at least 8 and at most 2 MiB.
        suggested_length: i32,
        delegation_token: ByteString,
        request_id: i64 = -1,
    }

    /// The data read, which may be less than requested.
    10 SegmentRead reply {
        segment: ByteString,
        /// The requested offset.
        offset: i64,
        /// The read reached the current tail; a hint only.
        at_tail: bool,
        /// The segment is sealed, and the data reaches its end.
        end_of_segment: bool,
        data: Bytes,
        request_id: i64 = -1,
    }

    // ------------------------------------------------------------------------ segment management

    /// Creates a segment.
    20 CreateSegment request -> SegmentCreated {
        request_id: i64,
        segment: ByteString,
        target_rate: i32,
        /// 0 fixed, 1 KiB per second, 2 events per second.
        scale_type: i8,
        delegation_token: ByteString,
        /// The size of a chunk in long-term storage, in bytes; 0 means the server's choice.
        rollover_size_bytes: i64 = 0,
    }

    /// Creates a segment that carries a large event; the server chooses its name.
    40 CreateTransientSegment request -> SegmentCreated {
        request_id: i64,
        writer_id: Uuid,
        /// The segment into which it will be merged. It is not checked.
        parent_segment: ByteString,
        delegation_token: ByteString,
    }

    /// The segment was created.
    21 SegmentCreated reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Asks for length, start and state of a segment.
    11 GetStreamSegmentInfo request -> StreamSegmentInfo {
        request_id: i64,
        segment_name: ByteString,
        delegation_token: ByteString,
    }

    /// Length, start and state of a segment.
    12 StreamSegmentInfo reply {
        request_id: i64,
        segment_name: ByteString,
        /// Always true: for a missing segment the server sends [`NoSuchSegment`].
        exists: bool,
        is_sealed: bool,
        is_deleted: bool,
        /// Milliseconds since 1970.
        last_modified: i64,
        /// The length of the segment.
        write_offset: i64,
        /// The first offset that was not truncated away.
        start_offset: i64 = 0,
    }

    /// Makes a segment read-only.
    28 SealSegment request -> SegmentSealed {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
    }

    /// The segment is sealed.
    29 SegmentSealed reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Drops the data before an offset.
    38 TruncateSegment request -> SegmentTruncated {
        request_id: i64,
        segment: ByteString,
        truncation_offset: i64,
        delegation_token: ByteString,
    }

    /// The segment now starts at the offset.
    39 SegmentTruncated reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Removes a segment. For tables use [`DeleteTableSegment`].
    30 DeleteSegment request -> SegmentDeleted {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
    }

    /// The segment was removed.
    31 SegmentDeleted reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Sets the two attributes by which the store reports a segment as hot or cold.
    32 UpdateSegmentPolicy request -> SegmentPolicyUpdated {
        request_id: i64,
        segment: ByteString,
        target_rate: i32,
        /// 0 fixed, 1 KiB per second, 2 events per second.
        scale_type: i8,
        delegation_token: ByteString,
    }

    /// The attributes are set.
    33 SegmentPolicyUpdated reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Appends one segment to another as a whole, and removes it.
    58 MergeSegments request -> SegmentsMerged {
        request_id: i64,
        target: ByteString,
        source: ByteString,
        delegation_token: ByteString,
        /// Applied with the merge, or not at all.
        attribute_updates: Vec<AttributeUpdate> = Vec::new(),
    }

    /// The segments were merged.
    59 SegmentsMerged reply {
        request_id: i64,
        target: ByteString,
        source: ByteString,
        new_target_write_offset: i64 = -1 => if_any_byte,
    }

    /// Appends several segments to one, in order.
    90 MergeSegmentsBatch request -> SegmentsBatchMerged {
        request_id: i64,
        target_segment_id: ByteString,
        source_segment_ids: Vec<ByteString>,
        delegation_token: ByteString,
    }

    /// For each source, in order, the length of the target after its merge.
    91 SegmentsBatchMerged reply {
        request_id: i64,
        target: ByteString,
        merged: Vec<MergedSegment>,
    }

    // -------------------------------------------------------------------------------- attributes

    /// Asks for the value of an attribute.
    34 GetSegmentAttribute request -> SegmentAttribute {
        request_id: i64,
        segment_name: ByteString,
        attribute_id: Uuid,
        delegation_token: ByteString,
    }

    /// The value of an attribute.
    35 SegmentAttribute reply {
        request_id: i64,
        /// `i64::MIN` means absent.
        value: i64,
    }

    /// Sets an attribute if it has the expected value.
    36 UpdateSegmentAttribute request -> SegmentAttributeUpdated {
        request_id: i64,
        segment_name: ByteString,
        attribute_id: Uuid,
        /// `i64::MIN` removes it.
        new_value: i64,
        /// `i64::MIN` means absent.
        expected_value: i64,
        delegation_token: ByteString,
    }

    /// The result: true if the attribute had the expected value and was set.
    37 SegmentAttributeUpdated reply {
        request_id: i64,
        success: bool,
    }

    // ------------------------------------------------------------------------------------ tables

    /// Creates a table segment.
    70 CreateTableSegment request -> SegmentCreated {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        /// No longer used.
        sorted_deprecated: bool = false,
        /// The length of every key, 1 to 256 bytes; 0 for a hash table with keys of any length.
        key_length: i32 = 0,
        /// The size of a chunk in long-term storage, in bytes; 0 means the server's choice.
        rollover_size_bytes: i64 = 0,
    }

    /// Removes a table segment.
    71 DeleteTableSegment request -> SegmentDeleted {
        request_id: i64,
        segment: ByteString,
        /// Only if the table is empty; for hash tables only.
        must_be_empty: bool,
        delegation_token: ByteString,
    }

    /// Asks for length and size of a table segment.
    68 GetTableSegmentInfo request -> TableSegmentInfo {
        request_id: i64,
        segment_name: ByteString,
        delegation_token: ByteString,
    }

    /// Length and size of a table segment.
    69 TableSegmentInfo reply {
        request_id: i64,
        segment_name: ByteString,
        start_offset: i64,
        length: i64,
        /// Delayed for tables with fixed key length.
        entry_count: i64,
        /// 0 for a hash table.
        key_length: i32,
    }

    /// Puts all entries, or no entry.
    74 UpdateTableEntries request -> TableEntriesUpdated {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        table_entries: Vec<TableEntry>,
        /// The offset at which the table segment must end; −1 for any.
        table_segment_offset: i64 = -1 => if_any_byte,
    }

    /// The versions of the entries that were put, in order.
    75 TableEntriesUpdated reply {
        request_id: i64,
        updated_versions: Vec<i64>,
    }

    /// Removes all keys, or no key.
    76 RemoveTableKeys request -> TableKeysRemoved {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        keys: Vec<TableKey>,
        /// The offset at which the table segment must end; −1 for any.
        table_segment_offset: i64 = -1 => if_any_byte,
    }

    /// The keys were removed.
    77 TableKeysRemoved reply {
        request_id: i64,
        segment: ByteString,
    }

    /// Asks for the values of keys. Nothing limits the length of the reply: ask for at most 15.
    78 ReadTable request -> TableRead {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        keys: Vec<TableKey>,
    }

    /// One entry for each requested key, in order; keys that do not exist have version −1.
    79 TableRead reply {
        request_id: i64,
        segment: ByteString,
        entries: Vec<TableEntry>,
    }

    /// Asks for a page of keys.
    83 ReadTableKeys request -> TableKeysRead {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        /// A hint: a page may hold more.
        suggested_key_count: i32,
        args: IterationArgs,
    }

    /// A page of keys; the last one is empty.
    84 TableKeysRead reply {
        request_id: i64,
        segment: ByteString,
        keys: Vec<TableKey>,
        /// The start of the next page. An empty one would start again.
        continuation_token: Bytes,
    }

    /// Asks for a page of entries.
    85 ReadTableEntries request -> TableEntriesRead {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        /// A hint: a page may hold more.
        suggested_entry_count: i32,
        args: IterationArgs,
    }

    /// A page of entries; the last one is empty.
    86 TableEntriesRead reply {
        request_id: i64,
        segment: ByteString,
        entries: Vec<TableEntry>,
        /// The start of the next page. An empty one would start again.
        continuation_token: Bytes,
    }

    /// Asks for the entries put since a position of a hash table.
    88 ReadTableEntriesDelta request -> TableEntriesDeltaRead {
        request_id: i64,
        segment: ByteString,
        delegation_token: ByteString,
        from_position: i64,
        suggested_entry_count: i32,
    }

    /// The entries put since a position. Removals are not included.
    87 TableEntriesDeltaRead reply {
        request_id: i64,
        segment: ByteString,
        entries: Vec<TableEntry>,
        /// The position was truncated: drop all entries known so far.
        should_clear: bool,
        /// No more entries for now.
        reached_end: bool,
        /// The next position.
        last_position: i64,
    }

    // ---------------------------------------------------------------------------------- failures

    /// Another store has the segment: ask the controller.
    50 WrongHost failure {
        request_id: i64,
        segment: ByteString,
        /// Always empty.
        correct_host: ByteString,
        server_stack_trace: ByteString = NONE,
    }

    /// The segment is sealed. For a seal request this means success.
    51 SegmentIsSealed failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString = NONE,
        /// For an append the event number, for a read its offset, for anything else −1.
        offset: i64 = -1,
    }

    /// The segment exists. For a create request this means success.
    52 SegmentAlreadyExists failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString = NONE,
    }

    /// The segment does not exist. For a delete request this means success.
    53 NoSuchSegment failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString = NONE,
        /// For a read its offset, for anything else −1.
        offset: i64 = -1,
    }

    /// The offset was truncated away, or a condition on the length did not hold.
    56 SegmentIsTruncated failure {
        request_id: i64,
        segment: ByteString,
        /// The first offset that can be read.
        start_offset: i64,
        server_stack_trace: ByteString = NONE,
        /// The requested offset.
        offset: i64 = -1,
    }

    /// The server, or this kind of segment, does not support the request.
    57 OperationUnsupported failure {
        request_id: i64,
        operation_name: ByteString,
        server_stack_trace: ByteString = NONE,
    }

    /// The delegation token was refused.
    60 AuthTokenCheckFailed failure {
        /// For a read its offset, which is a bug of the server.
        request_id: i64,
        server_stack_trace: ByteString = NONE,
        error_code: TokenFailure = TokenFailure::Unspecified,
    }

    /// The request is invalid, or failed.
    61 ErrorMessage failure {
        request_id: i64,
        segment: ByteString,
        message: ByteString,
        error_code: FailureCode,
    }

    /// The table is not empty, and the request removes empty tables only.
    80 TableSegmentNotEmpty failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString,
    }

    /// A key with an expected version does not exist; for hash tables only.
    81 TableKeyDoesNotExist failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString,
    }

    /// A key does not have the expected version.
    82 TableKeyBadVersion failure {
        request_id: i64,
        segment: ByteString,
        server_stack_trace: ByteString,
    }

    // ---------------------------------------------------------------------------- administration

    /// Moves the data of a container to long-term storage; on the admin port only.
    -3 FlushToStorage request -> StorageFlushed {
        container_id: i32,
        delegation_token: ByteString,
        request_id: i64,
    }

    /// The container's data is in long-term storage.
    -4 StorageFlushed reply {
        request_id: i64,
    }

    /// Asks for the chunks of a segment in long-term storage; on the admin port only.
    -5 ListStorageChunks request -> StorageChunksListed {
        segment: ByteString,
        delegation_token: ByteString,
        request_id: i64,
    }

    /// The chunks of a segment in long-term storage.
    -6 StorageChunksListed reply {
        request_id: i64,
        chunks: Vec<StorageChunk>,
    }
}
