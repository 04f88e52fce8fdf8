//! The read engine: bytes of many segments, in order, without a task of its own.

pub mod driver;
pub mod machine;
pub mod parser;
