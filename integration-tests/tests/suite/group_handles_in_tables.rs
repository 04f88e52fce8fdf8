//! Handles of reader groups whose state is in a table: the same tests.
#![expect(clippy::duplicate_mod, reason = "the tests ask their module where the state is")]

#[path = "group_handles/checkpoints.rs"]
mod checkpoints;
#[path = "group_handles/creation.rs"]
mod creation;
#[path = "group_handles/measures.rs"]
mod measures;
#[path = "group_handles/readers.rs"]
mod readers;
#[path = "group_handles/reading.rs"]
mod reading;
#[path = "group_handles/resets.rs"]
mod resets;
#[path = "group_handles/retention.rs"]
mod retention;
#[path = "group_handles/support.rs"]
mod support;
