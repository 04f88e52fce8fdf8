//! Bytes on their way back into memory.
//!
//! They are copied once, out of what was read from files, into the buffers that the segment then
//! has: by a thread that no client waits for.

use std::{fmt, mem};

use super::spares::{PIECE_LEN, Spares};

/// The first bytes of a fetch, in buffers of the length of a piece.
#[derive(Default)]
pub struct Gathered {
    /// Full but for the last one, and as long as they need to be.
    buffers: Vec<Vec<u8>>,
    len: u64,
    /// The most bytes that are taken.
    most: u64,
    spares: Spares,
}

impl fmt::Debug for Gathered {
    /// Shows numbers, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, most, .. } = self;
        f.debug_struct("Gathered").field("len", len).field("most", most).finish_non_exhaustive()
    }
}

impl Gathered {
    /// No bytes yet of some.
    pub(super) fn new(most: u64, spares: Spares) -> Self {
        Self { buffers: Vec::new(), len: 0, most, spares }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the next bytes; those after the end of the fetch are left out.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.len < self.most {
            let filled = (self.len % PIECE_LEN as u64) as usize;
            if filled == 0 {
                let buffer = match usize::try_from(self.most - self.len) {
                    Ok(left) if left < PIECE_LEN => Vec::with_capacity(left),
                    _ => self.spares.take(),
                };
                self.buffers.push(buffer);
            }
            let Some(buffer) = self.buffers.last_mut() else { return };
            let left = usize::try_from(self.most - self.len).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_LEN - filled).min(left));
            buffer.extend_from_slice(now);
            self.len += now.len() as u64;
            bytes = later;
        }
    }

    /// The buffers, in order. All of them are of the length of a piece, but for the last one.
    pub(super) fn into_buffers(mut self) -> impl Iterator<Item = Vec<u8>> {
        mem::take(&mut self.buffers).into_iter()
    }
}

impl Drop for Gathered {
    /// Gives back the buffers of bytes that no segment has.
    fn drop(&mut self) {
        self.buffers.drain(..).for_each(|buffer| drop(self.spares.piece(buffer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_gathered_in_pieces_that_take_no_more_memory_than_they_have_bytes() {
        let content: Vec<u8> = (0..3 * PIECE_LEN + 10).map(|at| (at / 7) as u8).collect();
        for step in [1000, PIECE_LEN, 2 * PIECE_LEN + 1] {
            let mut gathered = Gathered::new(content.len() as u64, Spares::default());
            let longer = [&content[..], b"after the end"].concat();
            longer.chunks(step).for_each(|part| gathered.push(part));
            gathered.push(b"and more");
            assert_eq!(gathered.len(), content.len() as u64);
            let buffers: Vec<Vec<u8>> = gathered.into_buffers().collect();
            let lens: Vec<usize> = buffers.iter().map(Vec::len).collect();
            assert_eq!(lens, [PIECE_LEN, PIECE_LEN, PIECE_LEN, 10]);
            assert!(buffers.iter().all(|buffer| buffer.len() == buffer.capacity()));
            assert!(buffers.concat() == content);
        }
    }

    #[test]
    fn the_buffers_of_bytes_that_no_segment_takes_are_used_again() {
        let spares = Spares::default();
        spares.keep(4 * PIECE_LEN as u64);
        let mut gathered = Gathered::new(3 * PIECE_LEN as u64, spares.clone());
        gathered.push(&vec![7; 2 * PIECE_LEN + 1]);
        assert_eq!(spares.count(), 0);
        drop(gathered);
        assert_eq!(spares.count(), 3);
        let mut gathered = Gathered::new(PIECE_LEN as u64, spares.clone());
        gathered.push(b"a few");
        assert_eq!(spares.count(), 2);
        assert_eq!(gathered.into_buffers().next().as_deref(), Some(&b"a few"[..]));
    }
}
