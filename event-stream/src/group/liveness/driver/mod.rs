//! Carries out what the machines of leases decide.
//!
//! A lease is renewed by a task: a program may take long for an event, and its reader is alive
//! meanwhile. The task ends with the reader that it is for.

mod claims;
mod keeper;
mod removals;

pub(in crate::group) use self::{
    claims::{ClaimError, claim},
    keeper::LeaseKeeper,
};
