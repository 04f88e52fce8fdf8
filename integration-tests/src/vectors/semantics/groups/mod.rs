//! Reader groups: configurations, checkpoints, updates, states and decisions.

mod captured;
mod configurations;
mod scenario;
mod states;
mod updates;

pub(super) use self::{
    captured::{Captured, captured_entry, captured_final, prepare},
    configurations::{checkpoint, configuration},
    scenario::scenario,
    updates::{batch, init, update},
};
