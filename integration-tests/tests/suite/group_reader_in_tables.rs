//! Readers of reader groups whose state is in a table: the same tests.
#![expect(clippy::duplicate_mod, reason = "the tests ask their module where the state is")]

#[path = "group_reader/beginnings.rs"]
mod beginnings;
#[path = "group_reader/closing.rs"]
mod closing;
#[path = "group_reader/left_leases.rs"]
mod left_leases;
#[path = "group_reader/liveness.rs"]
mod liveness;
#[path = "group_reader/losses.rs"]
mod losses;
#[path = "group_reader/policies.rs"]
mod policies;
#[path = "group_reader/sharing.rs"]
mod sharing;
#[path = "group_reader/support.rs"]
mod support;
