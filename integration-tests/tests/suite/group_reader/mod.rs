//! Readers of reader groups.

mod closing;
mod liveness;
mod losses;
mod policies;
mod requests;
mod sharing;
mod support;
