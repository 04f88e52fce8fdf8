//! Buffers of pieces that left memory, for the next pieces.
//!
//! A piece is allocated by a thread that serves a client, or by one that reads files, and freed by
//! any of them: that of the last reply with a part of it. Many allocators keep freed memory for the
//! threads that allocate where it was allocated. So when pieces of one kind of threads leave memory
//! for those of the other, the process would keep the memory of both. A buffer that goes from piece
//! to piece is allocated once.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// The length of a full piece, in bytes. Long enough for large reads, short enough that truncation
/// frees memory soon.
pub(super) const PIECE_LEN: usize = 256 * 1024;

/// The most buffers that are kept.
const MOST: usize = 64;

/// Buffers of the length of a full piece.
#[derive(Debug, Clone, Default)]
pub(super) struct Spares {
    kept: Arc<Mutex<Kept>>,
}

impl PartialEq for Spares {
    /// Returns true if they are the same buffers.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kept, &other.kept)
    }
}

impl Eq for Spares {}

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    /// The most buffers that are kept.
    most: usize,
}

impl fmt::Debug for Kept {
    /// Shows numbers, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buffers, most) = (self.buffers.len(), self.most);
        f.debug_struct("Kept").field("buffers", &buffers).field("most", &most).finish()
    }
}

/// The buffer of a piece, which is kept when the last part of the piece is gone.
struct Lent {
    buffer: Vec<u8>,
    spares: Spares,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        let mut kept = self.spares.kept();
        if kept.buffers.len() < kept.most {
            kept.buffers.push(buffer);
        }
    }
}

impl Spares {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the buffers of some bytes that leave memory now, which are then used again. Twice as
    /// many may be kept: how many leave memory at a time, and are used until the next time, varies.
    /// Until the first call none is kept.
    pub(super) fn keep(&self, bytes: u64) {
        let most = bytes.div_ceil(PIECE_LEN as u64).saturating_mul(2);
        let most = usize::try_from(most).unwrap_or(MOST).min(MOST);
        let mut kept = self.kept();
        kept.most = most;
        let beyond = kept.buffers.len().min(most);
        let freed = kept.buffers.split_off(beyond);
        drop(kept);
        drop(freed);
    }

    /// An empty buffer of the length of a full piece.
    pub(super) fn take(&self) -> Vec<u8> {
        let spare = self.kept().buffers.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(PIECE_LEN))
    }

    /// The bytes of a piece in a buffer that was taken.
    pub(super) fn piece(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() != PIECE_LEN {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, spares: self.clone() })
    }

    /// The number of buffers.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept().buffers.len()
    }
}
