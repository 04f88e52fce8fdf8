//! The decisions of a client of the controller, as machines: events in, effects out; time and
//! randomness are arguments.
//!
//! ```text
//! call       the attempts of one call: which controller next, until when, and when to end
//!   nodes    the controllers known, the order in which they are tried, and who shares a connection
//!   attempt  the parts of one attempt, within one deadline
//! addresses  the look-up of a name, and which of its addresses is dialled when
//! ```

mod addresses;
mod attempt;
mod bugs;
mod call;
mod nodes;
#[cfg(test)]
mod tests;
mod time;

#[cfg(test)]
pub(crate) use addresses::STAGGER;
pub(crate) use addresses::{Addresses, Dial};
pub(crate) use attempt::{AttemptMachine, Part, Sent};
pub(crate) use bugs::Bugs;
pub use bugs::ControllerBug;
pub(crate) use call::{CallMachine, Limits, Repeat, Route, Step, Verdict};
pub(crate) use nodes::{Discover, LinkId, LinkUse, MAX_DISCOVERED, NodesMachine, Via};
pub(crate) use time::Now;
