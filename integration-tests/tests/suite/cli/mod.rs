//! The `pravega` tool as a user runs it.

mod access;
mod administration;
mod events;
mod groups;
mod input;
mod pipes;
mod reading;
mod secured;
mod silence;
mod tables;
mod terminal;
mod truncation;
