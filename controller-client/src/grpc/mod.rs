//! The controller over gRPC.
//!
//! ```text
//! service        the calls, one file per kind: arguments to messages, statuses to results
//!   client       the handle and its clones
//!     call       attempts: deadline, retry within the client's budget, fail-over
//!       attempt  one of them, in a task with a deadline
//!         authorize  credentials of a request
//!       nodes    the controllers known, and a channel to each
//!         connector  opens the connections of a channel
//!       status   the meaning of a gRPC status, and whether to try again
//!   convert      messages from and to the SDK's types
//! ```

mod attempt;
mod authorize;
mod call;
mod client;
mod connector;
mod convert;
pub mod encoding;
mod nodes;
mod service;
mod status;

pub use client::ControllerClient;
