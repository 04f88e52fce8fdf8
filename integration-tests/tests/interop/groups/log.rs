//! What a reader of either client has returned.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use pravega_sdk_types::{EventPointer, Position, ScopedSegment, SegmentOffset};

/// What a reader returns.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Event(Read),
    Checkpoint(String),
    /// Nothing more is returned.
    Ended(Ending),
}

/// Why a reader returns nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The group was read to its end.
    Read,
    /// Another client took the reader out, or the group began again.
    Removed,
    Failed(String),
}

/// An event that a reader has returned.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) pointer: EventPointer,
    /// The position of the reader after it.
    pub(super) position: Position,
    /// When it was returned, since 1970.
    pub(super) time: Duration,
}

impl Read {
    /// The number that the event has as its text.
    pub(super) fn number(&self) -> u32 {
        self.text.parse().unwrap()
    }

    pub(super) fn segment(&self) -> &ScopedSegment {
        self.pointer.segment()
    }

    pub(super) fn offset(&self) -> SegmentOffset {
        self.pointer.offset().into()
    }
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// All that a reader has returned, in order; it grows.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Item>>>);

impl Log {
    pub(super) fn push(&self, item: Item) {
        self.0.lock().unwrap().push(item);
    }

    pub(super) fn items(&self) -> Vec<Item> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn events(&self) -> Vec<Read> {
        events_in(&self.items())
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.events().into_iter().map(|read| read.text).collect()
    }

    /// Returns the events before a checkpoint and those after it. The checkpoint was shown once.
    pub(super) fn around(&self, checkpoint: &str) -> (Vec<Read>, Vec<Read>) {
        let items = self.items();
        let is_it = |item: &Item| matches!(item, Item::Checkpoint(name) if name == checkpoint);
        let parts: Vec<&[Item]> = items.split(is_it).collect();
        let [before, after] = parts[..] else {
            panic!("{checkpoint} was shown {} times", parts.len() - 1)
        };
        (events_in(before), events_in(after))
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        let ending = |item: &Item| match item {
            Item::Ended(ending) => Some(ending.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().find_map(ending)
    }
}

fn events_in(items: &[Item]) -> Vec<Read> {
    let event = |item: &Item| match item {
        Item::Event(read) => Some(read.clone()),
        _ => None,
    };
    items.iter().filter_map(event).collect()
}

/// Returns the numbers of some events, of which each was read once.
pub(super) fn each_once<'a>(reads: impl IntoIterator<Item = &'a Read>) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for read in reads {
        assert!(numbers.insert(read.number()), "{} was read twice", read.text);
    }
    numbers
}
