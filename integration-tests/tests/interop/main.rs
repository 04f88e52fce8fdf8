//! Tests that need Java: the reference server, its client, or a cluster of both.
//!
//! `cargo xtask interop` starts the servers, and names for each the modules that run against it.

mod cluster;
mod cluster_failover;
mod connection;
mod differential;
mod groups;
mod java;
mod keycloak;
mod peers;
mod program;
mod secured;
mod shared;
