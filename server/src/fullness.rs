//! When the operator is warned that a limit is near: before writes are refused, and once each time
//! that the memory or the disk fills.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use pravega_sdk_server_core::{machine::Machine, store::MemoryLimit};
use tokio::time::Instant;

use crate::log::FolderFill;

/// The warning that was given, if it still holds.
#[derive(Debug)]
struct Fullness {
    /// The share of the limit, in hundredths, from which the operator is warned.
    warns_from: u128,
    /// The share below which another warning follows.
    calms_below: u128,
    /// True from a warning until the share is below that.
    is_told: AtomicBool,
}

impl Fullness {
    /// That of the memory.
    fn of_memory() -> Self {
        Self { warns_from: 90, calms_below: 80, is_told: AtomicBool::new(false) }
    }

    /// That of the disk: of what may be used of its limit.
    fn of_disk() -> Self {
        Self { warns_from: 80, calms_below: 75, is_told: AtomicBool::new(false) }
    }

    /// Takes what is held. Returns true if it is time for a warning. Every request comes here, and
    /// only a warning, and the end of one, writes what all threads read.
    fn is_news(&self, held: u64, limit: u64) -> bool {
        let (held, limit) = (u128::from(held) * 100, u128::from(limit));
        match self.is_told.load(Ordering::Relaxed) {
            // Of several threads one warns.
            false if held >= limit * self.warns_from => !self.is_told.swap(true, Ordering::Relaxed),
            true if held < limit * self.calms_below => {
                self.is_told.store(false, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }
}

/// The memory that is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryFill {
    /// The bytes that are held.
    held: u64,
    /// The most bytes that may be held.
    limit: u64,
}

impl MemoryFill {
    /// That of a machine.
    pub(crate) fn of(machine: &Machine) -> Self {
        let MemoryLimit(limit) = machine.memory_limit;
        Self { held: machine.held(), limit }
    }
}

/// What the operator was warned of. A warning of what a request fills comes before the next one is
/// refused.
#[derive(Debug)]
pub(crate) struct Warnings {
    memory: Fullness,
    disk: Fullness,
}

impl Default for Warnings {
    fn default() -> Self {
        Self { memory: Fullness::of_memory(), disk: Fullness::of_disk() }
    }
}

impl Warnings {
    /// Warns if the memory is nearly full, once each time that it fills. Returns true if it warns.
    pub(crate) fn note_memory(&self, MemoryFill { held, limit }: MemoryFill) -> bool {
        let is_news = self.memory.is_news(held, limit);
        if is_news {
            tracing::warn!(
                held,
                limit,
                "the memory is nearly full: what needs more than the limit is refused; truncate or \
                 delete streams, or start with a higher limit"
            );
        }
        is_news
    }

    /// Warns if a folder is nearly full, once each time that it fills. Returns true if it warns.
    pub(crate) fn note_folder(&self, FolderFill { used, usable, limit }: FolderFill) -> bool {
        let is_news = self.disk.is_news(used, usable);
        if is_news {
            tracing::warn!(
                used,
                usable,
                limit,
                "the folder is nearly full: what takes space is refused once the usable part of \
                 the limit is used; truncate or delete streams, or give it more space"
            );
        }
        is_news
    }
}

/// The time between two warnings that the disk has no space left: a disk that is nearly full takes
/// small writes in between.
const WARNED_AGAIN: Duration = Duration::from_secs(60);

/// Whether the operator was warned that the disk has no space left.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    warned: Option<Instant>,
}

impl Shortage {
    /// Takes whether the disk is short of space. Returns true if it is time for a warning.
    pub(crate) fn is_news(&mut self, is_short: bool, now: Instant) -> bool {
        let is_old = |warned: Instant| now.saturating_duration_since(warned) < WARNED_AGAIN;
        if !is_short || self.warned.is_some_and(is_old) {
            return false;
        }
        self.warned = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_space_is_news_at_once_and_not_more_often_than_once_a_minute() {
        let (mut shortage, begun) = (Shortage::default(), Instant::now());
        let news: Vec<u64> = [(0, false), (1, true), (2, true), (3, false), (4, true), (62, true)]
            .into_iter()
            .filter(|(at, is_short)| shortage.is_news(*is_short, begun + Duration::from_secs(*at)))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(news, [1, 62]);
    }

    #[test]
    fn there_is_one_warning_each_time_that_the_memory_fills() {
        let fullness = Fullness::of_memory();
        let news: Vec<u64> = [0, 89, 90, 100, 85, 95, 80, 90, 79, 89, 90, 91, 250]
            .into_iter()
            .filter(|held| fullness.is_news(*held, 100))
            .collect();
        assert_eq!(news, [90, 90]);
    }

    #[test]
    fn of_several_threads_that_see_the_memory_full_one_warns() {
        let fullness = Fullness::of_memory();
        let warns = || (0..1000).filter(|_| fullness.is_news(95, 100)).count();
        let warnings: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(warns)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(warnings, 1);
    }

    #[test]
    fn a_folder_with_more_than_the_limit_is_news_at_once() {
        assert!(Fullness::of_memory().is_news(u64::MAX, 1 << 20));
        assert!(Fullness::of_memory().is_news(1 << 20, 1 << 20));
        assert!(!Fullness::of_memory().is_news(1 << 20, u64::MAX));
    }
}
