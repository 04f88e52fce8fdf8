//! A history of updates, with the state after each entry, and the compaction of the last state.

use anyhow::{Context as _, Result};
use pravega_sdk_event_stream::group::{GroupInitial, GroupUpdate, ReaderGroupState};
use pravega_sdk_wire_protocol::value::to_hex;
use serde_json::{Value as Json, json};

use super::{
    states::{AddedBy, order_of, same_content, same_state},
    updates::{entry, same_entry, same_in_another_order, same_init},
};
use crate::vectors::line::{hex, list, number, same};

/// The segment of the scenarios.
const SEGMENT: &str = "sc/_RGgrp/0.#epoch.0";
/// The header of an event before each entry.
const HEADER: usize = 8;

/// A state and its revision.
pub(super) struct Replay {
    state: ReaderGroupState,
    segment: String,
    offset: usize,
    index: usize,
    added_by: AddedBy,
    updates: usize,
}

impl Replay {
    /// Begins with an entry of an initial state.
    pub(super) fn begin(segment: &str, bytes: &[u8], expected: &Json) -> Result<Self> {
        let initial = GroupInitial::from_bytes(bytes.get(4..).context("the entry is short")?)?;
        same_init(&initial, expected)?;
        same_entry(&initial.to_bytes()?, bytes)?;
        let (state, segment) = (ReaderGroupState::from(initial), segment.to_owned());
        let mut replay = Self {
            state,
            segment,
            offset: HEADER + bytes.len(),
            index: 0,
            added_by: AddedBy::new(),
            updates: 0,
        };
        replay.note_added(true);
        Ok(replay)
    }

    /// Applies the updates of an entry, and returns true if all of them fit the state. The first
    /// that does not fit is left out with those after it.
    pub(super) fn apply(&mut self, start: usize, len: usize, updates: Vec<GroupUpdate>) -> bool {
        for (index, update) in updates.into_iter().enumerate() {
            let before = self.state.clone();
            let replaces = matches!(update, GroupUpdate::Init(_));
            if self.state.apply(update).is_err() {
                assert_eq!(self.state, before, "an update that does not fit changed the state");
                return false;
            }
            (self.offset, self.index) = (start + HEADER + len, index);
            self.note_added(replaces);
        }
        true
    }

    /// Notes which update added which segments. Those of an initial state have an order.
    fn note_added(&mut self, is_ordered: bool) {
        let order = order_of(&self.state);
        self.added_by.retain(|segment, _| !is_ordered && order.contains(segment));
        for segment in order {
            self.updates += usize::from(is_ordered);
            self.added_by.entry(segment).or_insert(self.updates);
        }
        self.updates += 1;
    }

    pub(super) fn check(&self, expected: &Json) -> Result<()> {
        let revision = format!("{}:{}:{}", self.segment, self.offset, self.index);
        same_state(&self.state, &self.added_by, &revision, expected)
    }
}

pub(in crate::vectors::semantics) fn scenario(line: &Json) -> Result<()> {
    let initial = &line["initial"];
    let bytes = hex(initial, "entryHex")?;
    let mut replay = Replay::begin(SEGMENT, &bytes, &initial["update"])?;
    let mut end = HEADER + bytes.len();
    same("the end of the initial state", end, usize::try_from(number(initial, "nextOffset")?)?)?;
    replay.check(&initial["state"]).context("the initial state")?;
    let mut last = &initial["state"];
    for (number_of_step, step) in list(line, "steps")?.iter().enumerate() {
        let mut check = || {
            let bytes = hex(step, "entryHex")?;
            let updates = entry(&bytes, list(step, "updates")?)?;
            let fits = replay.apply(end, bytes.len(), updates);
            same("fitting the state", fits, step["error"].is_null())?;
            end += HEADER + bytes.len();
            same("the end", end, usize::try_from(number(step, "nextOffset")?)?)?;
            replay.check(&step["state"])
        };
        check().with_context(|| format!("step {number_of_step}"))?;
        last = &step["state"];
    }
    compaction(line, last, &replay.state)
}

/// The whole state: Java's bytes are a state with the same content, and those of this client have
/// the same bytes, except for the order of maps.
fn compaction(line: &Json, expected: &Json, last: &ReaderGroupState) -> Result<()> {
    let bytes = hex(line, "compactHex")?;
    same_entry(&bytes, &hex(line, "compactEntryHex")?)?;
    let found = GroupInitial::from_bytes(&bytes)?;
    same_in_another_order(&found.to_bytes()?, &bytes).context("compaction")?;
    let state = found.clone().into();
    same_content(&state, expected).context("the compaction of Java's client")?;
    let order = json!(order_of(&state));
    same("the insertion order", &order, &expected["unassignedInsertionOrder"])?;
    let own = GroupInitial::Compact(Box::new(last.clone())).to_bytes()?;
    same_in_another_order(&own, &bytes).context("the compaction of this client")?;
    let again = GroupInitial::from_bytes(&own)?;
    same("the bytes of the compaction again", to_hex(&again.to_bytes()?), to_hex(&own))?;
    same("the state of the compaction", &ReaderGroupState::from(again), last)
}
