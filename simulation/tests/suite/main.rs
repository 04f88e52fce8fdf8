//! The SDK against simulated servers, in one binary: the tests share its build, and the processors.
//!
//! Tests that count allocations, or that log, are binaries of their own.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/sum.rs"]
mod sum;

mod agreed;
mod cancel;
mod cluster;
mod connections;
mod controllers;
mod cuts;
mod decisions;
mod exactly_once;
mod full;
mod groups;
mod hand_over;
mod misbehaviour;
mod reading;
mod reading_faults;
mod recipes;
mod recreated;
mod seeds;
mod stale_answers;
mod states;
mod stores;
mod storm;
mod tables;
mod tokens;
mod transactions;
