//! What the integration tests and their tools share.

pub mod vectors;
