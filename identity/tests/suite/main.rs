//! Tokens of an issuer that answers as each test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../tls/tests/common/accept.rs"]
mod accept;
mod faults;
mod issuer;
mod renewal;
mod requests;
mod tls;
