//! Tests of the machine as a whole.

mod histories;

use crate::{
    catalog::Pace,
    machine::{Config, Machine},
    placement::Placement,
    record::Durability,
    store::MemoryLimit,
};

/// An empty machine that everyone may use.
fn machine() -> Machine {
    Machine::new(Config {
        memory_limit: MemoryLimit(1 << 30),
        durability: Durability::Kept,
        placement: Placement::over(1),
        access: None,
        pace: Pace::default(),
    })
}
