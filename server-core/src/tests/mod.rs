//! Tests of the machine as a whole.

mod catalog;
mod clock;
pub(crate) mod histories;
mod logged;
mod store;
mod table;
mod touched;

use uuid::Uuid;

use crate::{
    catalog::Intervals,
    ids::Moment,
    machine::{Config, Machine},
    placement::Placement,
    record::{Durability, Millis},
    store::MemoryLimit,
};

/// An empty machine without accounts.
fn machine() -> Machine {
    machine_with(Durability::Kept)
}

pub(crate) fn machine_with(durability: Durability) -> Machine {
    Machine::new(Config {
        memory_limit: MemoryLimit(1 << 30),
        durability,
        placement: Placement::over(1),
        access: None,
        intervals: Intervals::default(),
    })
}

/// A moment at a time, whose random bits follow from it.
fn at(now: i64) -> Moment {
    Moment { now: Millis(now), random: Uuid::from_u128(u128::from(now.unsigned_abs())) }
}

/// The whole state of a machine, as sorted text.
fn everything(machine: &Machine) -> Vec<String> {
    let mut all = Vec::new();
    machine.snapshot(|record| all.push(format!("{record:?}")));
    all.sort();
    all
}
