//! The controller over gRPC.
//!
//! ```text
//! service        the calls, one file per kind: arguments to messages, statuses to results
//!   client       the handle and its clones
//!     message    a message and its answer without their types
//!     call       one call with its attempts, as `machine/call` decides
//!       attempt  one of them, in a task with a deadline
//!         authorize  credentials of a request
//!       discovery  the controllers, by what they say about each other
//!       nodes    the connections to the controllers
//!         dialer     establishes a connection, with TLS
//!         connector  its look-up and TCP
//!       status   the meaning of a gRPC status, and of a failed connect
//!   convert      messages from and to the SDK's types
//! ```

mod attempt;
mod authorize;
mod call;
mod client;
mod connector;
mod convert;
mod dialer;
mod discovery;
pub mod encoding;
mod message;
mod nodes;
mod service;
mod status;

pub use client::ControllerClient;
