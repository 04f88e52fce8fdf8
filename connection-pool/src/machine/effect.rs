//! The commands of the machine to its driver, and the ids that both use.

use std::time::Duration;

use pravega_sdk_types::Endpoint;

use crate::error::ClaimError;

/// Time since the pool was started.
pub(crate) type Now = Duration;

/// Numbers a slot; unique in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(pub(crate) u64);

/// Numbers a claim; rises with every claim of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimId(pub(crate) u64);

/// How a claim uses its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Alone, until the claim is dropped.
    Exclusive,
    /// Together with other shared claims.
    Shared,
}

/// What a claim asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) mode: Mode,
    /// The backend; `None` means any backend that the resolver names.
    pub(crate) backend: Option<Endpoint>,
}

/// How an exclusive claim gives its connection back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    /// Between two requests, so another user can go on with it.
    Usable,
    /// In the middle of a request, or discarded by its user.
    Spoiled,
}

/// A command to the driver. It carries effects out in order, and reports the end of each piece of
/// work with one event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Connects to a backend. A failure is reported with a number that spreads the back-off.
    Connect { slot: SlotId, backend: Endpoint },
    /// Checks the health of a connection: of an unused one in a task, of a shared one in place.
    Check { slot: SlotId, backend: Endpoint },
    /// Makes a returned connection ready for its next user.
    Recycle { slot: SlotId, backend: Endpoint },
    /// Hands the connection of a slot to a claim.
    Grant { claim: ClaimId, mode: Mode, slot: SlotId, waited: Duration, backend: Endpoint },
    /// Ends a claim without a connection.
    Refuse { claim: ClaimId, error: ClaimError },
    /// Closes the connection, if there is one, and aborts the work under way for the slot. Users of
    /// a shared connection keep it until they leave.
    Close { slot: SlotId, backend: Endpoint },
}
