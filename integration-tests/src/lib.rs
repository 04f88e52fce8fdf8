//! Shared code of the integration tests and their tools.

pub mod harness;
pub mod vectors;
