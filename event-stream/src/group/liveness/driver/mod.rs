//! Carries out what the machines of leases decide.
//!
//! A lease is renewed by a task: a program may take long for an event, and its reader is alive
//! meanwhile. The task ends with the reader that it is for.

mod claims;
mod discards;
mod endings;
mod keeper;
mod removals;
mod requests;
mod sweeps;

pub(in crate::group) use self::{
    claims::{ClaimError, Claimed, claim},
    discards::discarding,
    keeper::LeaseKeeper,
    requests::LeasedGroup,
    sweeps::{lease_values, sweep},
};
