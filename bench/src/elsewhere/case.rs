//! What is measured: the cases, and what a system must reach in them.

/// A case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What the client does: throughput, latency, rate or read.
    pub(super) mode: &'static str,
    /// The bytes of an event.
    pub(super) size: usize,
    /// The number of producers, and of segments, partitions or streams: one for each.
    pub(super) producers: usize,
    pub(super) rate: u64,
    /// The memory limit of this project's server.
    pub(super) memory: &'static str,
    /// Where the bytes are that are read.
    pub(super) bytes: Place,
}

/// Where the bytes of a case are when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing is read.
    Written,
    /// In the server's memory, or in the page cache.
    Memory,
    /// On the disk alone: the server's memory is too small for them, and the page cache is dropped.
    Disk,
}

const WRITE: Case = Case {
    name: "",
    mode: "throughput",
    size: 100,
    producers: 1,
    rate: 0,
    memory: "1G",
    bytes: Place::Written,
};

const READ: Case = Case { mode: "read", bytes: Place::Memory, ..WRITE };

/// The case whose seconds are drawn.
pub(super) const DRAWN: &str = "write-1KiB-x4";
pub(super) const FLOOD: &str = "write-100B";
pub(super) const ALONE: &str = "one-at-a-time-100B";
pub(super) const RATE: &str = "rate-100B-10k-per-s";
pub(super) const COLD: &str = "catch-up-1KiB-x4-disk";

/// All cases, in the order in which they run.
pub(super) const CASES: [Case; 7] = [
    Case { name: FLOOD, ..WRITE },
    Case { name: DRAWN, size: 1024, producers: 4, ..WRITE },
    Case { name: ALONE, mode: "latency", ..WRITE },
    Case { name: RATE, mode: "rate", rate: 10_000, ..WRITE },
    Case { name: "catch-up-100B-memory", ..READ },
    Case { name: "catch-up-1KiB-x4-memory", size: 1024, producers: 4, ..READ },
    Case { name: COLD, size: 1024, producers: 4, memory: "256M", bytes: Place::Disk, ..READ },
];
