//! Liveness: a reader that ends without leaving its group is taken out of it.
//!
//! ```text
//! LeaseStore            the leases: attributes of the segment of the group's state
//!    ▲ read, swap
//! LeaseEffect ◀── ClaimMachine, HolderMachine     the lease of a reader itself
//!             ◀── EndingMachine                   the same, if it could not join
//!             ◀── ObserverMachine                 those of others
//!             ◀── DiscardMachine                  that of a reader that is taken out by name
//! ```
//!
//! The state of a group is that of Java's client, which takes no other entries. So leases are kept
//! *beside* it: each is an attribute of the segment of the group's state, with an id that follows
//! from the name of the reader. Java's client does not know them, and they end with the group.
//!
//! A reader of Java's client has no lease, and is left alone. A lease that is left under its name
//! would count for it, so each client ends the lease of a reader that it takes out, and a reader of
//! this client that joins without a lease removes the one that is left. Java's `readerOffline` does
//! not: there the readers that watch the lease remove it, within about its length. A reader of
//! Java's client that joins under the name before is taken for the dead one, and taken out once.

mod driver;
mod machine;
mod store;

pub(super) use self::driver::{
    ClaimError, Claimed, LeaseKeeper, LeasedGroup, claim, discarding, lease_values, sweep,
};
#[doc(hidden)]
pub use self::machine::LivenessBug;
pub use self::{
    machine::{
        ClaimEnd, ClaimMachine, DiscardMachine, EndingMachine, HolderMachine, LeaseEffect,
        LeaseEnd, LeasePhase, LeaseStatus, LeaseTimes, LeaseValue, ObserverMachine, RemovalEffect,
        RemovalEnd, RemovalMachine, RosterMachine,
    },
    store::LeaseStore,
};
