//! Readers of reader groups.

mod beginnings;
mod closing;
mod damage;
mod left_leases;
mod liveness;
mod losses;
mod notices;
mod parts;
mod policies;
mod requests;
mod sharing;
mod support;
