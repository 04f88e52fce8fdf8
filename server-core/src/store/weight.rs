//! The memory that a reply keeps alive until the client has taken it, and how much the reply to a
//! request may keep.

use pravega_sdk_wire_protocol::{MAX_FRAME_LEN, TableEntry, WireCommand, commands::ReadTable};

use super::{
    bytes::COPIED_LEN,
    session::{Reply, read_len},
    spares::PIECE_LEN,
    table::{MAX_ENTRY_LEN, MAX_PAGE_BYTES, PAGE_ENTRY_OVERHEAD},
};

/// Memory of any reply besides its bytes: its place in a queue that grows by doubling.
const OVERHEAD: usize = 2 * size_of::<Reply>();

/// The most memory that a reply keeps alive until it was sent, in bytes.
pub fn weight(reply: &WireCommand) -> usize {
    let bytes = match reply {
        WireCommand::SegmentRead(read) => name(&read.segment) + held_by_read(read.data.len()),
        WireCommand::TableRead(read) => name(&read.segment) + entries(&read.entries),
        WireCommand::TableEntriesRead(read) => {
            name(&read.segment) + read.continuation_token.len() + entries(&read.entries)
        }
        WireCommand::TableEntriesDeltaRead(read) => name(&read.segment) + entries(&read.entries),
        WireCommand::TableKeysRead(read) => {
            let key = |key: usize| key + PAGE_ENTRY_OVERHEAD;
            let keys: usize = read.keys.iter().map(|found| key(found.data.len())).sum();
            name(&read.segment) + read.continuation_token.len() + keys
        }
        // Names and numbers: the encoding of a list may be a third of its structures.
        other => other.payload_len().map_or(MAX_FRAME_LEN, |len| len.saturating_mul(3)),
    };
    OVERHEAD.saturating_add(bytes)
}

/// A character of a name may have twice its length in the encoding of Java.
fn name(name: &str) -> usize {
    2 * name.len()
}

/// A read that is not copied keeps a whole piece of its segment.
fn held_by_read(len: usize) -> usize {
    if len > COPIED_LEN { len.max(PIECE_LEN) } else { len }
}

fn entries(entries: &[TableEntry]) -> usize {
    let entry =
        |entry: &TableEntry| PAGE_ENTRY_OVERHEAD + entry.key.data.len() + entry.value.data.len();
    entries.iter().map(entry).sum()
}

/// The most memory that the reply to a request keeps alive, in bytes: an upper bound of the
/// [`weight`] of any reply to it.
pub fn demand(request: &WireCommand) -> usize {
    // A refusal repeats the names of its request and adds a sentence, which may hold the reason why
    // the journal failed.
    let names = |request: &WireCommand| request.payload_len().unwrap_or(MAX_FRAME_LEN);
    let bytes = match request {
        WireCommand::ReadSegment(read) => {
            held_by_read(read_len(read.suggested_length)) + refusal(&read.segment)
        }
        WireCommand::ReadTable(ReadTable { segment, keys, .. }) => {
            let entry = MAX_ENTRY_LEN + PAGE_ENTRY_OVERHEAD;
            let entries = names(request).saturating_add(keys.len().saturating_mul(entry));
            entries.saturating_add(refusal(segment))
        }
        WireCommand::ReadTableKeys(_)
        | WireCommand::ReadTableEntries(_)
        | WireCommand::ReadTableEntriesDelta(_) => {
            let page = MAX_PAGE_BYTES + 2 * MAX_ENTRY_LEN;
            names(request).saturating_mul(3).saturating_add(page)
        }
        // The bytes of an append are not in its reply. A refusal is longer, by the name of the
        // segment, which it shares with the segment; it comes once for each set-up.
        WireCommand::AppendBlock(_)
        | WireCommand::AppendBlockEnd(_)
        | WireCommand::ConditionalAppend(_)
        | WireCommand::ConditionalBlockEnd(_)
        | WireCommand::Padding(_)
        | WireCommand::PartialEvent(_) => return OVERHEAD + 3 * NUMBERS,
        WireCommand::UpdateTableEntries(update) => {
            refusal(&update.segment) + 3 * 8 * update.table_entries.len()
        }
        WireCommand::RemoveTableKeys(remove) => refusal(&remove.segment),
        other => names(other).saturating_mul(3),
    };
    SENTENCE.saturating_add(bytes)
}

/// What a refusal weighs by the name in it; one that cannot be encoded weighs as much as a frame.
fn refusal(segment: &str) -> usize {
    match name(segment) {
        encoded if encoded > usize::from(u16::MAX) => MAX_FRAME_LEN,
        encoded => 3 * encoded,
    }
}

/// The encoded length of a reply that has numbers only.
const NUMBERS: usize = 64;
/// The part of a reply that does not depend on the length of its request.
const SENTENCE: usize = OVERHEAD + 1024;
