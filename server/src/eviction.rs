//! When bytes of segments leave memory.

use std::sync::atomic::{AtomicU32, Ordering};

use pravega_sdk_server_core::{machine::Machine, record::Sequence, store::MemoryLimit};

/// What is kept free for bytes that are not durable yet and for the threads of the log, unless the
/// limit is low.
const FREE: u64 = 32 << 20;
/// The most steps without a search, after several that found nothing.
const MOST_SKIPPED: u32 = 256;

/// The eviction of one machine.
#[derive(Debug, Default)]
pub(crate) struct Eviction {
    /// The steps until the next search.
    skips: AtomicU32,
    /// The searches that found nothing, since one found something.
    vain: AtomicU32,
}

impl Eviction {
    /// Gives back memory of durable bytes, if little is left. One step looks at some pieces only.
    pub(crate) fn make_room(&self, machine: &mut Machine, durable: impl FnOnce() -> Sequence) {
        let MemoryLimit(limit) = machine.memory_limit;
        let free = (limit / 8).max(FREE.min(limit / 2));
        let (held, most) = (machine.held(), limit.saturating_sub(free));
        if held <= most {
            return;
        }
        // If nothing can be evicted, a search for it is not worth a step of each client.
        let skips = self.skips.load(Ordering::Relaxed);
        if skips > 0 {
            self.skips.store(skips - 1, Ordering::Relaxed);
            return;
        }
        let freed = machine.store.evict(durable(), held - most + free / 8);
        let vain = if freed > 0 { 0 } else { (self.vain.load(Ordering::Relaxed) + 1).min(16) };
        self.vain.store(vain, Ordering::Relaxed);
        // The first searches may pass over what was used lately.
        let skips = 1_u32.checked_shl(vain.saturating_sub(4)).unwrap_or(MOST_SKIPPED);
        self.skips.store((skips - 1).min(MOST_SKIPPED), Ordering::Relaxed);
    }
}
