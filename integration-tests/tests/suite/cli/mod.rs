//! The `pravega` tool as a user runs it.

mod access;
mod administration;
mod contexts;
mod events;
mod groups;
mod input;
mod logins;
mod pipes;
mod reading;
mod secured;
mod silence;
mod tables;
mod terminal;
mod truncation;
mod trust;
