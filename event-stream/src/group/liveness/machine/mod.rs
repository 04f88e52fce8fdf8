//! Leases of readers: who holds one, who has lost it, and what follows.
//!
//! ```text
//! ClaimMachine ──▶ HolderMachine         the lease of this reader
//!        EndingMachine ┴─▶ RemovalMachine  the lease of this reader, which could not join
//! ObserverMachine ─▶ RemovalMachine      the leases of others
//! RosterMachine                          which others there are
//! DiscardMachine                         the lease of a reader that is taken out by its name
//! poll_effect(now) ──▶ LeaseEffect ──▶ its owner carries it out ──▶ handle_*
//! ```
//!
//! No two clocks are compared. A reader trusts its lease from the *begin* of the renewal that has
//! set it; an observer counts from the *answer* that had a value for the first time. The answer is
//! later than the begin, and the observer waits longer, so that the reader has stopped before the
//! observer acts.
//!
//! *Invariant:* a reader is taken out of the group only after the value of its lease that was not
//! changed for that long is replaced by a mark, with which no renewal can succeed.

mod claim;
mod discard;
mod effect;
mod ending;
mod holder;
mod observer;
mod removal;
mod roster;
mod seeded_bugs;
#[cfg(test)]
mod tests;
mod times;
mod value;
mod watch;

#[doc(hidden)]
pub use self::seeded_bugs::LivenessBug;
pub use self::{
    claim::{ClaimEnd, ClaimMachine},
    discard::DiscardMachine,
    effect::{LeaseEffect, RemovalEnd},
    ending::EndingMachine,
    holder::{HolderMachine, LeaseEnd, LeaseStatus},
    observer::ObserverMachine,
    removal::{RemovalEffect, RemovalMachine},
    roster::RosterMachine,
    times::LeaseTimes,
    value::{LeasePhase, LeaseValue},
};
