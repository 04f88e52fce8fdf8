//! TLS with real peers: which are accepted, which refused, each with its own text. One binary, so
//! that the texts of all tables are compared.

#[path = "../common/mod.rs"]
mod common;

mod chains;
mod files;
mod handshakes;
mod plain;
mod texts;
mod writes;
