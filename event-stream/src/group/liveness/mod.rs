//! Liveness: a reader that ends without leaving its group is taken out of it.
//!
//! ```text
//! LeaseStore            the leases: attributes of the segment of the group's state
//!    ▲ read, swap
//! LeaseEffect ◀── ClaimMachine, HolderMachine     the lease of a reader itself
//!             ◀── ObserverMachine                 those of others
//! ```
//!
//! The state of a group is that of Java's client, which takes no other entries. So leases are kept
//! *beside* it: each is an attribute of the segment of the group's state, with an id that follows
//! from the name of the reader. Java's client does not know them, and they end with the group.
//!
//! A reader of Java's client has no lease, and is left alone. One that takes the name of a reader
//! of this client whose lease is left over, as that reader was killed and taken out by Java's
//! `readerOffline`, is taken for that one, and taken out once.

mod driver;
mod machine;
mod store;

pub(super) use self::driver::{ClaimError, LeaseKeeper, claim};
pub use self::{
    machine::{
        ClaimEnd, ClaimMachine, HolderMachine, LeaseEffect, LeaseEnd, LeasePhase, LeaseStatus,
        LeaseTimes, LeaseValue, ObserverMachine, RemovalEffect, RemovalEnd, RemovalMachine,
    },
    store::LeaseStore,
};
