//! The parts of a soak, and what is measured in each.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::histogram::Histogram;

/// A part of a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Connections and caches are made.
    WarmUp,
    /// The clients that behave are alone.
    Quiet,
    /// The others misbehave.
    Attack,
    /// They have left.
    After,
    /// One client writes as fast as it can, until the limit is reached.
    Filling,
    /// The limit of memory, or of the disk, is reached.
    Full,
    /// What filled the server was deleted.
    Relieved,
}

const PHASES: [Phase; 7] = [
    Phase::WarmUp,
    Phase::Quiet,
    Phase::Attack,
    Phase::After,
    Phase::Filling,
    Phase::Full,
    Phase::Relieved,
];

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Quiet => "quiet",
            Self::Attack => "attack",
            Self::After => "after",
            Self::Filling => "filling",
            Self::Full => "full",
            Self::Relieved => "relieved",
        }
    }
}

/// What a client that behaves waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// From the write of an event to its acknowledgement.
    Append,
    /// From the write of an event until a reader at the tail returns it.
    EndToEnd,
    /// From the write of an event to the error that refuses it.
    Refusal,
    /// From the first connection of a new client to its first acknowledgement.
    Newcomer,
    /// From 100 bytes that a process sends to another one until they are back.
    Machine,
}

impl Wait {
    pub(super) const ALL: [Self; 5] =
        [Self::Append, Self::EndToEnd, Self::Refusal, Self::Newcomer, Self::Machine];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::EndToEnd => "end-to-end",
            Self::Refusal => "refusal",
            Self::Newcomer => "newcomer",
            Self::Machine => "machine",
        }
    }
}

/// The waits of all clients that behave, by phase.
#[derive(Debug, Default)]
pub(super) struct Watch {
    phase: AtomicUsize,
    waits: Mutex<BTreeMap<(Phase, Wait), Histogram>>,
}

impl Watch {
    pub(super) fn begin(&self, phase: Phase) {
        let at = PHASES.iter().position(|known| *known == phase).unwrap_or_default();
        self.phase.store(at, Ordering::Relaxed);
    }

    /// Returns the present phase.
    pub(super) fn phase(&self) -> Phase {
        PHASES.get(self.phase.load(Ordering::Relaxed)).copied().unwrap_or(Phase::WarmUp)
    }

    /// Counts a wait that began in a phase.
    pub(super) fn record(&self, phase: Phase, wait: Wait, took: Duration) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.entry((phase, wait)).or_default().record(took);
    }

    /// Returns the waits of a kind that began in a phase.
    pub(super) fn waits(&self, phase: Phase, wait: Wait) -> Histogram {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.get(&(phase, wait)).cloned().unwrap_or_default()
    }
}
