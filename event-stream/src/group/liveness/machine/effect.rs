//! What the owner of a machine does next, about the lease of one reader.

use super::value::LeaseValue;

/// What the owner of a machine does next, about the lease of one reader. Each effect is answered
/// before that machine has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseEffect {
    /// Read the lease: answered by `handle_read` or `handle_read_failed`.
    Read,
    /// Set the lease if it has the expected value; `None` means that there is no lease. Answered by
    /// `handle_swapped` or `handle_swap_failed`.
    Swap {
        /// The expected value.
        expected: Option<LeaseValue>,
        /// The new value.
        new: Option<LeaseValue>,
    },
    /// Read the state of the group from the servers: answered by `handle_state` or
    /// `handle_state_failed`.
    FindReader,
    /// Take the reader out of the group, as [`RemovalMachine`](super::RemovalMachine) says, if this
    /// value is its lease. Answered by `handle_removal`.
    TakeOffline(LeaseValue),
}

/// The result of taking a reader out of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemovalEnd {
    /// It was taken out.
    Removed,
    /// It is not in the group.
    NotInGroup,
    /// Its lease has another value: another reader of its name may be in the group.
    Changed,
    /// The state could not be read or changed.
    Failed,
}
