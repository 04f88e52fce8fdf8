//! Decides what a writer sends to one segment, and what each reply of the store means for its
//! events.
//!
//! ```text
//!              attach                  AppendSetup
//!   Detached ─────────▶ SettingUp ───────────────────▶ Open ◀──┐
//!      ▲                    ▲                           │       │ acknowledged
//!      │ detach             └─ set up again ─ Transferring ◀───┤ a large event is next
//!      └──────────────────── from every state           └───────┘
//! ```
//!
//! Every event keeps its number from when it is enqueued until it is acknowledged. The store keeps
//! the last number of each writer, so after any interruption the set-up shows what is stored, and
//! the rest is sent again in order: no event is lost or stored twice. Several blocks are in flight;
//! while one more is allowed, waiting events are sent at once, so an idle segment delays nothing,
//! and blocks grow while all are in flight.
//!
//! The answer to a set-up is not the last word about what was sent before it: an append of an
//! earlier connection may be applied later. The number guards against that while the segment takes
//! appends. Once it is sealed, only a set-up after the seal tells what is stored, and so which
//! events may move to the successors:
//!
//! ```text
//!   Open ── SegmentIsSealed, nothing sent before the last set-up ─────────────▶ the rest moves
//!     └──── SegmentIsSealed ─▶ CheckingSeal ── sealed ─▶ SettingUp ─ AppendSetup ──┘
//! ```
//!
//! Of a segment that no longer exists it cannot be known: what may be stored there fails with an
//! unknown outcome, the rest moves.
//!
//! Deliberately absent: connections, endpoints and lifetimes of tokens (the writer machine has
//! them), and time.

pub(crate) mod appended;
mod failing;
pub(crate) mod item;
pub(crate) mod machine;
mod replies;
mod send;
#[cfg(feature = "seeded-bugs")]
mod spoil;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
mod transfer;
