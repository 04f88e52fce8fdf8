//! Requests to servers of all kinds: what is sent, what is an answer, and which limits hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
#[path = "../../../tls/tests/common/authority.rs"]
mod authority;
mod limits;
mod server;
mod tls;
