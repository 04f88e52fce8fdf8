//! Readers of reader groups.

mod beginnings;
mod closing;
mod left_leases;
mod liveness;
mod losses;
mod policies;
mod requests;
mod sharing;
mod support;
