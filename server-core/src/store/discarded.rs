//! What was deleted or truncated, and is still in memory: to free it takes long, so the driver does
//! that while others use the machine.

use super::{
    bytes::Pieces,
    segment::{Content, Segment},
};

/// The parts of segments that are freed at once.
const FEW: usize = 64;

/// Segments and parts of segments that nothing refers to.
///
/// They are no longer counted as memory in use. Dropping them takes as long as they have pieces and
/// entries.
#[derive(Debug, Default)]
pub struct Discarded {
    segments: Vec<Segment>,
    pieces: Vec<Pieces>,
    /// The number of pieces and entries.
    parts: usize,
}

impl Discarded {
    /// Returns true if there is so much that no client should wait while it is dropped.
    pub fn is_much(&self) -> bool {
        self.parts > FEW
    }

    pub(super) fn segment(&mut self, segment: Segment) {
        self.parts += match &segment.content {
            Content::Stream(bytes) => bytes.piece_count(),
            Content::Table(table, _) => table.len(),
        };
        self.segments.push(segment);
    }

    pub(super) fn pieces(&mut self, pieces: Pieces) {
        if !pieces.is_empty() {
            self.parts += pieces.len();
            self.pieces.push(pieces);
        }
    }
}
