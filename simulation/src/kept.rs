//! Everything that a stream ever held, also what was truncated since.
//!
//! A truncation takes evidence away: an event that was stored twice, or that failed for certain and
//! was stored, is found only if the copies that are gone count too.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use pravega_sdk_types::ScopedStream;

use crate::{World, content::Stored, history::Position};

/// An event that a stream holds or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The event and its place.
    pub stored: Stored,
    /// True if it was truncated.
    pub is_gone: bool,
}

impl Kept {
    /// The place of the event.
    #[must_use]
    pub fn position(&self) -> Position {
        (self.stored.segment, self.stored.offset)
    }
}

/// What a stream held before something was removed from it. Clones are the same.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive(Arc<Mutex<BTreeMap<Position, Stored>>>);

impl Archive {
    /// Keeps the present content of a stream. Call it before anything is removed.
    pub(crate) fn keep(&self, world: &World, stream: &ScopedStream) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stored in world.content(stream) {
            events.insert((stored.segment, stored.offset), stored);
        }
    }

    /// All events that a stream holds or held, predecessors first.
    pub(crate) fn everything(&self, world: &World, stream: &ScopedStream) -> Vec<Kept> {
        self.keep(world, stream);
        let present: BTreeSet<Position> = world
            .content(stream)
            .into_iter()
            .map(|stored| (stored.segment, stored.offset))
            .collect();
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = |(place, stored): (&Position, &Stored)| Kept {
            stored: stored.clone(),
            is_gone: !present.contains(place),
        };
        events.iter().map(kept).collect()
    }
}
