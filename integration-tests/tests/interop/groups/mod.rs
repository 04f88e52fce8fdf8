//! Reader groups shared with the Java client, whose program and readers run while the tests do.

mod checkpoints;
mod exchange;
mod hand_over;
mod handles;
mod java;
mod log;
mod member;
mod mixed;
mod offline;
mod orders;
mod retention;
mod shared_retention;
mod tables;
