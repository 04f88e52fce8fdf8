//! The segments with bytes in memory, which a search for bytes to evict goes round.
//!
//! Of many segments most have no bytes in memory for most of the time: a search that looked at all
//! of them would find those of the few that are written to too late.

use std::{collections::BTreeSet, ops::Bound};

use bytestring::ByteString;

use super::segment::{Content, Segment};

/// Whether a segment has bytes of a stream in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Residence {
    None,
    Some,
}

impl Residence {
    pub(super) fn of(segment: &Segment) -> Self {
        match &segment.content {
            Content::Stream(bytes) if bytes.held() > 0 => Self::Some,
            Content::Stream(_) | Content::Table(..) => Self::None,
        }
    }
}

/// Where the search goes on.
#[derive(Debug, Clone, Default)]
enum Hand {
    /// At the first segment.
    #[default]
    Begin,
    /// At an offset of a segment.
    At(ByteString, u64),
    /// At the segment after this one.
    After(ByteString),
}

/// The names of those segments, and the place of the search among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Residents {
    names: BTreeSet<ByteString>,
    hand: Hand,
}

impl Residents {
    /// Notes a change of a segment.
    pub(super) fn note(&mut self, name: &ByteString, before: Residence, after: Residence) {
        match (before, after) {
            (Residence::None, Residence::Some) => drop(self.names.insert(name.clone())),
            (Residence::Some, Residence::None) => self.remove(name),
            (Residence::None, Residence::None) | (Residence::Some, Residence::Some) => {}
        }
    }

    pub(super) fn remove(&mut self, name: &ByteString) {
        self.names.remove(name);
    }

    /// The next segment, and the offset from which on it is searched; `None` after the last one:
    /// then the next is the first.
    pub(super) fn next(&mut self) -> Option<(ByteString, u64)> {
        let (from, at) = match &self.hand {
            Hand::Begin => (Bound::Unbounded, 0),
            Hand::At(name, at) => (Bound::Included(name.clone()), *at),
            Hand::After(name) => (Bound::Excluded(name.clone()), 0),
        };
        let next = self.names.range((from.clone(), Bound::Unbounded)).next().cloned();
        let Some(name) = next else {
            self.hand = Hand::Begin;
            return None;
        };
        // A segment after the one of the hand, which is gone, is searched from its start.
        let at = if from == Bound::Included(name.clone()) { at } else { 0 };
        Some((name, at))
    }

    /// Goes on at an offset of a segment, or after it.
    pub(super) fn go_on(&mut self, name: ByteString, at: Option<u64>) {
        self.hand = match at {
            Some(at) => Hand::At(name, at),
            None => Hand::After(name),
        };
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &ByteString> {
        self.names.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
