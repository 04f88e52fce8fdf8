//! Messages and service of Pravega's controller, generated from `Controller.proto` and committed.
//!
//! `cargo xtask proto` regenerates the code, without protoc; `cargo xtask check` verifies that
//! it is up to date. The types are the generator's, and crates that use them keep them out of their
//! public interfaces.

#[allow(missing_docs, missing_debug_implementations, unused_qualifications, unreachable_pub)]
#[allow(clippy::all, clippy::pedantic, clippy::restriction)]
#[rustfmt::skip]
mod generated;

pub use generated::*;
