//! Tests that need only Rust: one binary, one module per subject.
//!
//! The tests of the whole system run against the server that `PRAVEGA_TEST_CONTROLLER` names, or
//! else against one embedded server that they share; `cargo xtask interop` names modules of this
//! binary to run them against real servers. Names of scopes are unique, so that tests do not see
//! each other.

mod attributes;
mod bytes;
mod canaries;
mod cli;
mod client;
mod controller;
mod embedded;
mod event_writer;
mod exactly_once;
mod files;
mod fuzz_seeds;
mod group_handles;
mod group_handles_in_tables;
mod group_processes;
mod group_reader;
mod group_reader_in_tables;
mod group_tables;
mod hops;
mod index;
mod kills;
mod reader;
mod states;
mod tables;
mod time_windows;
mod transactions;
mod vectors;
mod wire;
mod writer_faults;
