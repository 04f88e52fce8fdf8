//! Every public call: the list in `send.rs` as names, and a client that makes each.

mod groups;
pub(crate) mod handles;
pub(crate) mod listed;
pub(crate) mod log;
pub(crate) mod seen;
pub(crate) mod sum;
