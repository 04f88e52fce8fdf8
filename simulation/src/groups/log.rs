//! What the readers of a group did and saw, and the state that they shared, entry by entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use pravega_sdk_event_stream::group::{
    GroupInitial, GroupUpdate, ReaderGroupState, state_of_entries, take_table_attempts,
};
use pravega_sdk_table_synchronizer::StateEntry;
use pravega_sdk_types::{Offset, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::event::{self, EVENT_HEADER_LEN};

use crate::{World, history::Violation};

/// Something that a reader returned.
#[derive(Debug, Clone)]
pub(super) enum Returned {
    Event {
        segment: SegmentId,
        offset: Offset,
    },
    Checkpoint(String),
    /// It said that events of a segment were truncated.
    Truncated(SegmentId),
}

/// An item, with the moment at which it was returned.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) reader: Arc<str>,
    pub(super) at: Duration,
    pub(super) returned: Returned,
}

/// A time up to which a reader was told that everything is read.
#[derive(Debug, Clone)]
pub(super) struct Complete {
    pub(super) reader: Arc<str>,
    pub(super) time: i64,
    /// The number of items that all readers had returned by then.
    pub(super) items: usize,
}

/// A reader that has joined the group.
#[derive(Debug, Clone)]
pub(super) struct Lived {
    pub(super) reader: Arc<str>,
    pub(super) has_lease: bool,
    pub(super) joined: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) ending: Ending,
}

/// How a reader has ended, if it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has left, or has not ended.
    Alive,
    /// It ended without leaving.
    Died,
    /// It was told that it is not in the group any more.
    Told,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What all readers returned, in order.
    pub(super) items: Vec<Item>,
    /// The times up to which readers were told that everything is read, in order.
    pub(super) complete: Vec<Complete>,
    /// The readers that have joined, in order.
    pub(super) lives: Vec<Lived>,
    /// The readers that the run itself has taken out.
    pub(super) by_hand: BTreeSet<Arc<str>>,
    /// The readers that have left, or were taken out, at the positions after the last events that
    /// they have returned.
    pub(super) exact: BTreeSet<Arc<str>>,
    /// Times in which requests may be late or lost.
    pub(super) troubles: Vec<(Duration, Duration)>,
    /// Times in which programs do not ask for events, so that their readers know of no others that
    /// join.
    pub(super) pauses: Vec<(Duration, Duration)>,
    /// The offset up to which each segment was truncated.
    pub(super) heads: BTreeMap<SegmentId, Offset>,
    pub(super) violations: Vec<Violation>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, check: &'static str, detail: String) {
        self.lock().violations.push(Violation { check, detail });
    }
}

/// One update of the state, when it took effect, and the states before and after it.
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) update: GroupUpdate,
    pub(super) before: Rc<ReaderGroupState>,
    pub(super) after: Rc<ReaderGroupState>,
}

/// Reads all updates that a group ever had, also those that are truncated by now. One that does not
/// fit is a violation.
pub(super) fn steps(world: &World, segment: &ScopedSegment, shared: &Shared) -> Vec<Step> {
    let (mut steps, mut state) = (Vec::new(), None::<Rc<ReaderGroupState>>);
    let mut rest = BytesMut::new();
    for (at, piece) in world.appends(segment) {
        rest.extend_from_slice(&piece);
        while let Some(entry) =
            event::take(&mut rest, usize::MAX - EVENT_HEADER_LEN).expect("an entry")
        {
            match StateEntry::parse(entry).expect("an entry of a state") {
                StateEntry::Initial(bytes) => {
                    let initial = GroupInitial::from_bytes(&bytes).expect("a state");
                    let whole = ReaderGroupState::from(initial);
                    if state.as_ref().is_some_and(|before| owners(before) != owners(&whole)) {
                        shared.say("C7", format!("a compaction has changed {state:?}"));
                    }
                    state = Some(Rc::new(whole));
                }
                StateEntry::Updates(updates) => {
                    for bytes in updates {
                        let Some(before) = state.clone() else { continue };
                        let update = GroupUpdate::from_bytes(&bytes).expect("an update");
                        let step = step(at, update, before, shared);
                        state = Some(Rc::clone(&step.after));
                        steps.push(step);
                    }
                }
            }
        }
    }
    steps
}

fn step(at: Duration, update: GroupUpdate, before: Rc<ReaderGroupState>, shared: &Shared) -> Step {
    let mut after = (*before).clone();
    if let Err(error) = after.apply(update.clone()) {
        shared.say("C7", format!("{update:?} does not fit: {error}"));
    }
    Step { at, update, before, after: Rc::new(after) }
}

/// As [`steps`], of a state in a table: the updates are those that clients have tried, and the
/// entries of the table must be the state after them.
pub(super) fn steps_in_table(world: &World, table: &ScopedSegment, shared: &Shared) -> Vec<Step> {
    let attempts = take_table_attempts().into_iter().map(|mut attempt| {
        attempt.entries.sort();
        (attempt.entries, attempt.updates)
    });
    let attempts: BTreeMap<_, _> = attempts.collect();
    let (mut steps, mut state) = (Vec::new(), None::<Rc<ReaderGroupState>>);
    let mut entries: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    for (at, puts) in world.table_puts(table) {
        let mut changed: Vec<_> = puts.iter().filter_map(of_state).collect();
        changed.sort();
        if changed.is_empty() {
            continue;
        }
        let Some(updates) = attempts.get(&changed) else {
            shared.say("C7", format!("no client has tried what was put at {at:?}"));
            continue;
        };
        for update in updates.iter().cloned() {
            match (state.take(), update) {
                (None, GroupUpdate::Init(init)) => {
                    state = Some(Rc::new(ReaderGroupState::new(init)));
                }
                (None, update) => shared.say("C7", format!("{update:?} before there is a state")),
                (Some(before), update) => {
                    let step = step(at, update, before, shared);
                    state = Some(Rc::clone(&step.after));
                    steps.push(step);
                }
            }
        }
        for (key, value) in changed {
            match value {
                Some(value) => drop(entries.insert(key, value)),
                None => drop(entries.remove(&key)),
            }
        }
        let stored = entries.iter().map(|(key, value)| (key.clone(), value.clone()));
        let (stored, state) = (state_of_entries(stored), state.as_deref());
        let is_same = match (&stored, state) {
            (Some(stored), Some(state)) => {
                owners(stored) == owners(state) && stored.checkpoints() == state.checkpoints()
            }
            _ => false,
        };
        if !is_same {
            shared.say("C7", format!("at {at:?} the table has {stored:?} instead of {state:?}"));
        }
    }
    steps
}

/// An entry of a synchronizer's table that is one of its program, with its value.
fn of_state((key, value): &(Bytes, Bytes)) -> Option<(Bytes, Option<Bytes>)> {
    const ENTRY: u8 = 1;
    const PRESENT: u8 = 1;
    let is_entry = key.first() == Some(&ENTRY);
    let value = (value.first() == Some(&PRESENT)).then(|| value.slice(1..));
    is_entry.then(|| (key.slice(1..), value))
}

/// The segments without a reader, and those of each reader, with their offsets.
fn owners(state: &ReaderGroupState) -> Vec<(&str, Vec<(&ScopedSegment, i64)>)> {
    let readers = state.readers().filter_map(|name| Some((&**name, state.assigned(name)?)));
    let all = readers.chain([("", state.unassigned())]);
    all.map(|(name, segments)| {
        let places = segments.iter().map(|(segment, _, at)| (segment, at.to_wire()));
        (name, places.collect())
    })
    .collect()
}
