//! Handles of reader groups: each call, bad input, and faults.

mod checkpoints;
mod creation;
mod faults;
mod measures;
mod readers;
mod reading;
mod resets;
mod retention;
mod support;
