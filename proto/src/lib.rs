//! Messages and service of Pravega's controller, generated from `Controller.proto` and committed.
//!
//! `cargo xtask proto` regenerates the code, without protoc; `cargo xtask check` proves that it is
//! fresh. The types here are the generator's: the crates that use them keep them out of their own
//! interfaces.

#[allow(missing_docs, missing_debug_implementations, unused_qualifications, unreachable_pub)]
#[allow(clippy::all, clippy::pedantic, clippy::restriction)]
#[rustfmt::skip]
mod generated;

pub use generated::*;
