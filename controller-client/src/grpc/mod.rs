//! The controller over gRPC.
//!
//! ```text
//! service        the calls, one file per kind: arguments to messages, statuses to results
//!   client       the handle and its clones
//!     call       attempts: deadline, retry within the client's budget, fail-over
//!       nodes    the controllers known, and a channel to each
//!         authorize  credentials of a request
//!       status   the meaning of a gRPC status, and whether to try again
//!   convert      messages from and to the SDK's types
//! ```

mod authorize;
mod call;
mod client;
mod convert;
pub mod encoding;
mod nodes;
mod service;
mod status;

pub use client::ControllerClient;
