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
//! Deliberately absent: connections, endpoints and lifetimes of tokens (the writer machine has
//! them), and time.

pub(crate) mod appended;
pub(crate) mod item;
pub(crate) mod machine;
mod replies;
mod send;
#[cfg(feature = "seeded-bugs")]
mod spoil;
#[cfg(test)]
mod tests;
mod transfer;
