//! Names of segments that are derived from other segments.
//!
//! ```text
//! scope/stream/3.#epoch.2                                             a segment of a stream
//! scope/stream/3.#epoch.2#transaction.<32 hex digits>                 a transaction's part of it
//! scope/stream/3.#epoch.2#transient.<32 hex digits>.<32 hex digits>   a large event for it
//! ```

pub use crate::segment_suffix::parent;
use crate::{
    ContainerId, ScopedSegment, TransactionId, routing,
    segment_suffix::{TRANSACTION_INFIX, strip_transaction, strip_transient},
};

const EPOCH_INFIX: &str = ".#epoch.";

/// Returns the name of the segment of `transaction` for `parent`.
#[must_use]
pub fn transaction(parent: &ScopedSegment, transaction: TransactionId) -> String {
    format!("{parent}{TRANSACTION_INFIX}{}", transaction.0.simple())
}

/// Returns true if `name` is that of a transaction's segment.
#[must_use]
pub fn is_transaction(name: &str) -> bool {
    strip_transaction(name).is_some()
}

/// Returns true if `name` is that of a transient segment, which carries a large event.
#[must_use]
pub fn is_transient(name: &str) -> bool {
    strip_transient(name).is_some()
}

/// Returns the name that decides the segment's container: without transaction, transient and epoch
/// parts.
#[must_use]
pub fn primary(name: &str) -> &str {
    let name = parent(name).unwrap_or(name);
    name.rfind(EPOCH_INFIX).and_then(|at| name.get(..at)).unwrap_or(name)
}

/// Returns the container, of `containers`, of the segment `name` in a cluster.
///
/// The container follows from consistent hashing of the primary name, so a transaction is in the
/// container of its parent.
#[must_use]
pub fn container(name: &str, containers: u32) -> ContainerId {
    let (hash, _) = routing::hash_text(routing::CONTAINER_SEED, primary(name));
    ContainerId(consistent_bucket(hash, containers) as i32)
}

/// Computes a jump consistent hash: each step of a linear congruential generator jumps to the next
/// bucket that would take over the key, until that bucket is beyond the last.
fn consistent_bucket(hash: u64, buckets: u32) -> u32 {
    const MULTIPLIER: u64 = 2_862_933_555_777_941_757;
    let buckets = i64::from(buckets);
    let mut state = hash;
    let mut candidate = 0_i64;
    loop {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let fraction = ((state >> 33) + 1) as f64 / f64::from(1_u32 << 31);
        let next = ((candidate + 1) as f64 / fraction) as i64;
        if next < 0 || next >= buckets {
            return u32::try_from(candidate).unwrap_or(0);
        }
        candidate = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_that_is_not_an_id_is_part_of_the_name() {
        assert_eq!(parent("a/b/0.#epoch.0#transaction.12"), None);
        assert_eq!(parent("a/b/0.#epoch.0#transient.12.34"), None);
        assert_eq!(primary("a/b/0.#epoch.0"), "a/b/0");
        assert_eq!(primary("a/b/0"), "a/b/0");
    }

    #[test]
    fn consistent_hashing_terminates_for_every_key() {
        for key in
            (0..10_000_u64).map(|k| k.wrapping_mul(0x9E37_79B9_7F4A_7C15)).chain([0, u64::MAX])
        {
            assert_eq!(consistent_bucket(key, 0), 0);
            assert!(consistent_bucket(key, 7) < 7);
        }
    }
}
