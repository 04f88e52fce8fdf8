//! Decides what a writer sends to one segment, and what an answer of the store means for each
//! event.
//!
//! ```text
//!              attach                  AppendSetup
//!   Detached ─────────▶ SettingUp ───────────────────▶ Open ◀──┐
//!      ▲                    ▲                           │       │ acknowledged
//!      │ detach             └── set up anew ── Transferring ◀───┤ a large event is next
//!      └──────────────────── from every state           └───────┘
//! ```
//!
//! Every event keeps its number from when it comes in until it is acknowledged. The store remembers
//! the last number of each writer, so after any interruption the set-up tells what is stored, and
//! the rest is sent again in order: nothing is lost and nothing doubled. Several blocks are in
//! flight; while there is room for one more, whatever waits is sent at once, so nothing is delayed
//! when idle, and blocks grow by themselves when all are in flight.
//!
//! What is deliberately absent: connections, endpoints and tokens' lifetimes (the writer machine
//! has them), and time.

pub(crate) mod item;
pub(crate) mod machine;
mod replies;
mod send;
#[cfg(feature = "seeded-bugs")]
mod spoil;
#[cfg(test)]
mod tests;
mod transfer;
