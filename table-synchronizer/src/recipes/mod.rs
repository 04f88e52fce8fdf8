//! Small programs on top of tables that clients agree on, ready for use and as examples.
//!
//! | recipe | for |
//! |---|---|
//! | [`SharedMap`] | values by keys, which many programs change |
//! | [`Counter`] | a number that many programs add to |
//! | [`Lock`] | work that one program does at a time, with a fencing token |
//! | [`Election`] | one leader among many programs |
//! | [`Members`] | which programs are alive |
//!
//! Each takes a [`TableSynchronizer`](crate::TableSynchronizer) of its own. Several recipes may
//! have one table, under different keys.
//!
//! A lock, a leadership and a membership are leases: the holder renews them, and other programs
//! take them over when it does not. No clocks are compared. A program regards a lease as expired if
//! it has seen no renewal for the time of the lease, and a tenth of it for clocks that run at
//! different rates. The holder regards it as its own until that time has passed since it *sent* the
//! last renewal that was made. So no two programs regard a lease as their own at the same time, as
//! long as clocks run and programs are not paused between looking at the time and acting. What must
//! be right even then is protected by the token: it rises with each new holder, and a resource that
//! has seen a token refuses lower ones.

mod counter;
mod election;
mod lease;
mod lock;
mod members;
mod shared_map;

pub use self::{
    counter::Counter,
    election::{Election, Role},
    lease::{FencingToken, LeaseConfig},
    lock::{Lock, LockGuard},
    members::{Members, Standing},
    shared_map::SharedMap,
};
