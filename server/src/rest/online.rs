//! The readers of a group that are online, from the state that they share.
//!
//! The state is a segment of events that the readers of the Java client write. Each event is a
//! whole state or a list of updates; the state begins at a mark, or at the start of the segment.
//! Only the names of the readers are of interest here.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use bytes::{Buf as _, Bytes, BytesMut};
use pravega_sdk_server_core::{
    access::Operation,
    catalog::Catalog,
    store::{Look, Step},
};
use pravega_sdk_types::serial::{SerialError, SerialReader};
use pravega_sdk_wire_protocol::event::{EVENT_HEADER_LEN, MAX_EVENT_LEN, parse_header};
use tokio::sync::Semaphore;
use uuid::{Uuid, uuid};

use super::{
    call::{Refusal, call},
    limits::{MAX_GROUP_STATE, MAX_READER_BYTES},
};
use crate::{needs, state::ServerState};

/// The attribute with the offset at which the state begins.
const MARK: Uuid = uuid!("7df9a874-246c-c9d6-9397-cdd19ead68c5");
/// The most bytes that are read in one step.
const STEP_LEN: usize = 64 << 10;
/// An event of a state may be large, so one state is read at a time.
static READING: Semaphore = Semaphore::const_new(1);

/// The readers of a group that are online; `None` if its state cannot be read.
pub(super) async fn readers(
    state: &ServerState,
    headers: &HeaderMap,
    scope: &str,
    group: &str,
) -> Result<Option<BTreeSet<String>>, Refusal> {
    let Ok(_permit) = READING.acquire().await else { return Ok(None) };
    let (mut online, mut unread) = (Online::default(), BytesMut::new());
    let mut from = None;
    loop {
        let need = (headers, needs::group(Operation::Read, scope, group));
        let next = call(state, need, |catalog, step| read(catalog, step, scope, group, from));
        let Some(Piece { at, found }) = next.await? else { return Ok(None) };
        let data = match found {
            Look::Bytes(data) if data.is_empty() => return Ok(Some(online.readers)),
            Look::Bytes(data) => data,
            Look::Evicted(parts) => match state.read_from_disk(parts).await {
                Some(data) => data,
                None => return Ok(None),
            },
        };
        from = Some(at + data.len() as u64);
        unread.extend_from_slice(&data);
        if online.take(&mut unread).is_err() {
            tracing::debug!(scope, group, "the state of a reader group cannot be read");
            return Ok(None);
        }
    }
}

/// Bytes of a state, or where they are.
struct Piece {
    at: u64,
    found: Look,
}

/// Reads bytes of a state, without any at its end; `None` if there is no state, if it is too long,
/// or if it was replaced in the meantime.
fn read(
    catalog: &Catalog,
    step: &mut Step<'_>,
    scope: &str,
    group: &str,
    from: Option<u64>,
) -> Option<Piece> {
    let segment = catalog.group_state(scope, group)?;
    let info = step.store.info(&segment).ok()?;
    let mark = step.store.attribute(&segment, MARK).ok()?;
    let begin = mark.and_then(|mark| u64::try_from(mark).ok()).unwrap_or_default().max(info.start);
    let at = from.unwrap_or(begin);
    if at >= info.len {
        return Some(Piece { at, found: Look::Bytes(Bytes::new()) });
    }
    if info.len - at > MAX_GROUP_STATE {
        return None;
    }
    let found = step.store.look(&segment, at, STEP_LEN)?;
    Some(Piece { at, found })
}

/// A state that cannot be read.
#[derive(Debug)]
struct Unreadable;

impl From<SerialError> for Unreadable {
    fn from(_: SerialError) -> Self {
        Self
    }
}

/// The readers that are online after the events so far.
#[derive(Debug, Default)]
struct Online {
    readers: BTreeSet<String>,
    /// The bytes of all names: a state may have as many updates as readers.
    bytes: usize,
}

impl Online {
    /// Applies the whole events of the received bytes, and removes them.
    fn take(&mut self, unread: &mut BytesMut) -> Result<(), Unreadable> {
        while let Some(header) = unread.get(..EVENT_HEADER_LEN) {
            let len = parse_header(header, MAX_EVENT_LEN).map_err(|_| Unreadable)?;
            if unread.len() < EVENT_HEADER_LEN + len {
                break;
            }
            unread.advance(EVENT_HEADER_LEN);
            self.apply(&unread.split_to(len))?;
        }
        Ok(())
    }

    /// Applies one event: a whole state, or updates, each after its length.
    fn apply(&mut self, event: &[u8]) -> Result<(), Unreadable> {
        const STATE: i32 = 1;
        const UPDATES: i32 = 2;
        let mut event = SerialReader::new(event);
        match event.i32()? {
            STATE => self.update(&mut event),
            UPDATES => {
                while event.remaining() > 0 {
                    let len = usize::try_from(event.i32()?).map_err(|_| Unreadable)?;
                    self.update(&mut SerialReader::new(event.bytes("update", len)?))?;
                }
                Ok(())
            }
            _ => Err(Unreadable),
        }
    }

    /// Adds a reader; returns true if it was offline. Names are counted one by one, so that an
    /// event of millions of readers takes no more memory than their bound.
    fn add(&mut self, reader: &str) -> Result<bool, Unreadable> {
        if self.readers.contains(reader) {
            return Ok(false);
        }
        self.bytes += reader.len();
        if self.bytes > MAX_READER_BYTES {
            return Err(Unreadable);
        }
        self.readers.insert(reader.to_owned());
        Ok(true)
    }

    fn update(&mut self, update: &mut SerialReader<'_>) -> Result<(), Unreadable> {
        const NEW_GROUP: u8 = 0;
        const COMPACTED: u8 = 1;
        const ADD_READER: u8 = 2;
        const REMOVE_READER: u8 = 3;
        let (kind, revisions) = update.versioned_of_types(&[0])?;
        match kind {
            NEW_GROUP => *self = Self::default(),
            COMPACTED => *self = Self::assigned(&mut revisions.require(0)?)?,
            ADD_READER => {
                self.add(&revisions.require(0)?.utf()?)?;
            }
            REMOVE_READER => {
                let reader = revisions.require(0)?.utf()?;
                if self.readers.remove(&*reader) {
                    self.bytes -= reader.len();
                }
            }
            // Changes which segments a reader has, or of checkpoints.
            _ => {}
        }
        Ok(())
    }

    /// The readers of a compacted state.
    fn assigned(state: &mut SerialReader<'_>) -> Result<Self, Unreadable> {
        for what in ["configuration", "checkpoints"] {
            let len = usize::try_from(state.compact_int()?).unwrap_or(usize::MAX);
            state.bytes(what, len)?;
        }
        // The distance of each reader to the tail.
        state.collection(|entry| entry.utf().and_then(|_| entry.i64()).map(drop))?;
        // The segments to come, with those that they wait for.
        state.collection(|entry| {
            entry.utf()?;
            entry.collection(|segment| segment.i64().map(drop)).map(drop)
        })?;
        let mut online = Self::default();
        for _ in 0..state.compact_int()? {
            // A map has each name once; one that has it again and again would take long to read.
            if !online.add(&state.utf()?)? {
                return Err(Unreadable);
            }
            state.collection(|segment| segment.utf().and_then(|_| segment.i64()).map(drop))?;
        }
        Ok(online)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_wire_protocol::event;
    use serde_json::Value;

    use super::*;

    /// Golden values of the Java implementation.
    const VECTORS: &str = include_str!("../../../integration-tests/vectors/semantics.jsonl");

    fn vectors(kind: &str) -> Vec<Value> {
        let all = VECTORS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|vector| vector["kind"] == kind).collect()
    }

    fn bytes(hex: &Value) -> Vec<u8> {
        let digits = hex.as_str().unwrap().as_bytes();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn readers(state: &Value) -> BTreeSet<String> {
        state["assigned"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_readers_online_are_those_of_the_java_client_after_each_event() {
        let (mut steps, mut seen) = (0, BTreeSet::new());
        for scenario in vectors("rg_scenario") {
            let mut online = Online::default();
            online.apply(&bytes(&scenario["initial"]["entryHex"])).unwrap();
            for step in scenario["steps"].as_array().unwrap() {
                online.apply(&bytes(&step["entryHex"])).unwrap();
                assert_eq!(online.readers, readers(&step["state"]), "{}", scenario["name"]);
                let bytes: usize = online.readers.iter().map(String::len).sum();
                assert_eq!(online.bytes, bytes, "{}", scenario["name"]);
                steps += 1;
                seen.extend(online.readers.clone());
            }
            let mut compacted = Online::default();
            compacted.apply(&bytes(&scenario["compactEntryHex"])).unwrap();
            assert_eq!(compacted.readers, online.readers, "{}", scenario["name"]);
        }
        assert!(steps > 50 && seen.len() > 2, "{steps} steps, {seen:?}");
    }

    #[test]
    fn a_captured_state_is_read_in_pieces_of_any_length() {
        let mut segment = BytesMut::new();
        for entry in vectors("captured_rg_entry") {
            event::put(&mut segment, &bytes(&entry["hex"])).unwrap();
        }
        for len in [1, 7, 100, segment.len()] {
            let (mut online, mut unread, mut seen) =
                (Online::default(), BytesMut::new(), BTreeSet::new());
            for piece in segment.chunks(len) {
                unread.extend_from_slice(piece);
                online.take(&mut unread).unwrap();
                seen.extend(online.readers.clone());
            }
            assert_eq!((online.readers.len(), unread.len()), (0, 0));
            // In one piece both join and leave.
            assert_eq!(seen.len(), if len < segment.len() { 2 } else { 0 });
        }
    }

    #[test]
    fn bytes_that_are_not_a_state_are_unreadable() {
        for bad in [&[][..], &[0, 0, 0, 3], &[0, 0, 0, 2, 255, 255, 255, 255], &[0, 0, 0, 1, 9]] {
            assert!(Online::default().apply(bad).is_err(), "{bad:?}");
        }
        let mut foreign = BytesMut::from(&[9; 8][..]);
        assert!(Online::default().take(&mut foreign).is_err());
    }

    /// A compacted state, whose readers have these names and no segments.
    fn compacted(names: impl IntoIterator<Item = String>) -> Vec<u8> {
        let (mut readers, mut count) = (Vec::new(), 0_u32);
        for name in names {
            readers.extend_from_slice(&(name.len() as u16).to_be_bytes());
            readers.extend_from_slice(name.as_bytes());
            readers.push(0);
            count += 1;
        }
        let count = (count | 0xC000_0000).to_be_bytes();
        [&[0, 0, 0, 0][..], &count, &readers].concat()
    }

    #[test]
    fn a_compacted_state_with_too_many_readers_is_not_read_to_its_end() {
        let read = |state: &[u8]| {
            let mut state = SerialReader::new(state);
            let online = Online::assigned(&mut state);
            (online.ok().map(|Online { readers, bytes }| (readers.len(), bytes)), state.remaining())
        };
        let names = |count: u32| (0..count).map(|number| format!("{number:06x}"));
        assert_eq!(read(&compacted(names(1000))), (Some((1000, 6000)), 0));
        for bad in [compacted(names(100_000)), compacted(vec![String::new(); 2_000_000])] {
            let (readers, unread) = read(&bad);
            assert!(readers.is_none() && unread > bad.len() / 2, "{unread} of {}", bad.len());
        }
    }

    #[test]
    fn the_names_of_readers_are_bounded_in_bytes() {
        let mut online = Online::default();
        let added = (0..2_000_u32).map(|number| {
            let name = format!("{number:0>255}");
            let mut event = vec![0, 0, 0, 2, 0, 0, 1, 10, 0, 2, 0, 1, 0, 0, 0, 1, 1, 0, 255];
            event.extend_from_slice(name.as_bytes());
            online.apply(&event)
        });
        let taken = added.take_while(Result::is_ok).count();
        assert_eq!(taken, MAX_READER_BYTES / 255);
    }
}
