//! Readers of a group on a model of its state and its segments: single steps, and random orders.

mod bench;
mod checks;
mod interleavings;
mod policies;
mod table;
mod world;

use super::{
    super::state::{GroupUpdate, ReaderGroupState},
    Change, GroupReaderMachine,
};

impl GroupReaderMachine {
    /// Returns the updates of a change, for owners without another client between them.
    fn updates(
        &mut self,
        change: &Change,
        state: &ReaderGroupState,
        wall_ms: i64,
    ) -> Vec<GroupUpdate> {
        let mut plan = self.plan(change.clone());
        let updates = plan.updates(state, wall_ms);
        self.handle_planned(plan);
        updates
    }
}
