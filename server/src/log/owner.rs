//! What the threads of a log ask of its owner: the state that checkpoints have, and which bytes of
//! segments can still be read.

use std::{io, ops::Range};

use bytes::Bytes;
use pravega_sdk_server_core::{
    log::{Coverage, NotTaken, SegmentNumber, Slice, StateEntry},
    record::Sequence,
    store::{Fetch, Gathered},
};

/// The number of times that batches were refused: what was decided before a refusal does not hold
/// after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Epoch(pub(crate) u64);

/// A range of a segment's bytes.
pub(crate) type SegmentRange = (SegmentNumber, Range<u64>);

/// The reason why bytes cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The next byte is in no file.
    #[error("the byte at offset {0} is in no file")]
    Missing(u64),
    /// A file is damaged.
    #[error("{file} is damaged at byte {at}")]
    Damaged {
        /// The file.
        file: String,
        /// The offset of the damage in it.
        at: u64,
    },
    /// The disk has failed.
    #[error("{file} cannot be read: {error}")]
    Disk {
        /// The file.
        file: String,
        /// The cause.
        error: io::Error,
    },
}

/// What changed since it was taken last.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Memory of the keys whose values changed, in bytes.
    pub(crate) touched: u64,
    /// Whether these are all of them; if not, there are none.
    pub(crate) touched_coverage: Coverage,
    /// Bytes that are not read any longer.
    pub(crate) freed: Vec<SegmentRange>,
    /// Whether these are all.
    pub(crate) freed_coverage: Coverage,
    /// The last batch with a change of them.
    pub(crate) up_to: Sequence,
    /// How often batches were refused before.
    pub(crate) epoch: Epoch,
}

/// The keys whose values changed since they were taken last.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<Bytes>,
    /// Whether these are all.
    pub(crate) coverage: Coverage,
}

/// The owner of a log, for the threads that read and keep its files. Each call takes a moment:
/// others wait for the same lock.
pub(crate) trait Owner: Send + Sync {
    /// How often batches were refused.
    fn epoch(&self) -> Epoch;

    /// Takes what changed since the last call.
    fn take_changes(&self) -> Changes;

    /// Takes the keys whose values changed, for a checkpoint.
    fn take_keys(&self) -> Keys;

    /// Notes the memory of keys that were taken and are still needed, in bytes.
    fn note_keys(&self, held: u64);

    /// The present values of the keys of a slice, and the last batch whose changes may be in them.
    fn slice(&self, slice: &Slice) -> (Vec<StateEntry>, Sequence);

    /// The parts of each range that can be read, in order.
    fn live(&self, ranges: &[SegmentRange]) -> Vec<Vec<Range<u64>>>;

    /// The names of the segments with bytes of ranges that can be read, and where they are there.
    fn names(&self, ranges: &[SegmentRange]) -> Vec<(String, Range<u64>)>;

    /// Takes the first bytes of what was fetched, or the reason why there are none.
    fn fetched(&self, fetch: &Fetch, read: Result<Gathered, ReadFailure>);

    /// Calls `submit` with the number of the next batch, while no other batch gets one. The number
    /// is used up if the batch is taken.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if `submit` fails, and without a call of it if batches were refused since an
    /// epoch.
    fn submit(
        &self,
        epoch: Epoch,
        submit: &mut dyn FnMut(Sequence) -> Result<(), NotTaken>,
    ) -> Result<(), NotTaken>;
}
