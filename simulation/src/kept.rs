//! Everything that a stream ever held, also what was truncated or deleted since.
//!
//! A truncation takes evidence away: an event that was stored twice, or that failed for certain and
//! was stored, is found only if the copies that are gone count too.

use std::collections::BTreeSet;

use pravega_sdk_types::ScopedStream;

use crate::{World, content::Stored, history::Position};

/// An event that a stream holds or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The event and its place.
    pub stored: Stored,
    /// True if it was truncated, or deleted with its stream.
    pub is_gone: bool,
}

impl Kept {
    /// The place of the event.
    #[must_use]
    pub fn position(&self) -> Position {
        (self.stored.segment, self.stored.offset)
    }
}

/// All events that a stream holds or held, predecessors first.
pub(crate) fn everything(world: &World, stream: &ScopedStream) -> Vec<Kept> {
    let position = |stored: Stored| (stored.segment, stored.offset);
    let present: BTreeSet<Position> = world.content(stream).into_iter().map(position).collect();
    let kept = |stored: Stored| {
        let is_gone = !present.contains(&(stored.segment, stored.offset));
        Kept { stored, is_gone }
    };
    world.all_content(stream).into_iter().map(kept).collect()
}
