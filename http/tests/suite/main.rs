//! Requests to servers of all kinds: what is sent, what is an answer, and which limits hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../tls/tests/common/accept.rs"]
mod accept;
mod answers;
#[path = "../../../tls/tests/common/authority.rs"]
mod authority;
mod limits;
mod server;
mod tls;
