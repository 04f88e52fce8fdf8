//! The checkpoints of a group: for which readers each waits, and the positions in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{ScopedSegment, SegmentOffset};

use super::update_error::GroupUpdateError;

/// The mark in the name of a checkpoint that readers answer without showing it to the program.
const SILENT: &str = "_SILENT_";
/// Far more checkpoints than a group ever has: one that is complete clears all before it.
const MAX_CHECKPOINTS: usize = 1 << 16;
/// Far more positions, in all checkpoints together, than a group ever has.
const MAX_POSITIONS: usize = 1 << 22;

/// The offset in each segment of a checkpoint.
pub(super) type Positions = BTreeMap<ScopedSegment, SegmentOffset>;

/// The checkpoints of a reader group, in the order in which they were created.
///
/// A checkpoint waits for all readers that were in the group when it was created. Each answers with
/// its position, and leaves it if it leaves the group.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointState {
    /// Names, in order. One that was removed while it was outstanding is kept until it is cleared.
    pub(super) order: Vec<Arc<str>>,
    /// The readers that have not answered, of each checkpoint that is not complete.
    pub(super) waiting: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// The positions known of each checkpoint that was not removed.
    pub(super) positions: BTreeMap<Arc<str>, Arc<Positions>>,
    /// The positions of the last checkpoint that was completed and is not silent.
    pub(super) last: Option<Arc<Positions>>,
    pub(super) is_last_published: bool,
    /// Number of positions, and of readers that have not answered.
    size: usize,
}

impl Default for CheckpointState {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            waiting: BTreeMap::new(),
            positions: BTreeMap::new(),
            last: None,
            is_last_published: true,
            size: 0,
        }
    }
}

impl CheckpointState {
    /// Creates the checkpoints that another client has written.
    pub(super) fn new(
        order: Vec<Arc<str>>,
        waiting: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
        positions: BTreeMap<Arc<str>, Arc<Positions>>,
        last: Option<Arc<Positions>>,
        is_last_published: bool,
    ) -> Self {
        let readers: usize = waiting.values().map(BTreeSet::len).sum();
        let size = readers + positions.values().map(|known| known.len()).sum::<usize>();
        Self { order, waiting, positions, last, is_last_published, size }
    }

    /// Returns true if the readers answer this checkpoint without showing it to the program.
    #[must_use]
    pub fn is_silent(checkpoint: &str) -> bool {
        checkpoint.contains(SILENT)
    }

    /// Returns the names of the checkpoints in the order in which they were created, also of those
    /// that were removed while they were outstanding and are not yet cleared.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        self.order.iter().map(|name| &**name)
    }

    /// Returns the oldest checkpoint that waits for a reader.
    #[must_use]
    pub fn next_for(&self, reader: &str) -> Option<&Arc<str>> {
        let waits = |name: &&Arc<str>| {
            self.waiting.get(*name).is_some_and(|readers| readers.contains(reader))
        };
        // A checkpoint outside the list is one that another client's compaction lost from it.
        self.order.iter().find(waits).or_else(|| self.waiting.keys().find(waits))
    }

    /// Returns the readers for which a checkpoint waits; none if it is complete, or not known.
    pub fn waiting_for(&self, checkpoint: &str) -> impl Iterator<Item = &str> + '_ {
        self.waiting.get(checkpoint).into_iter().flatten().map(|reader| &**reader)
    }

    /// Returns true if the checkpoint waits for no reader. So does one that was removed.
    #[must_use]
    pub fn is_complete(&self, checkpoint: &str) -> bool {
        !self.waiting.contains_key(checkpoint)
    }

    /// Returns the positions of a complete checkpoint; `None` if it is not complete, or was
    /// removed.
    #[must_use]
    pub fn completed(&self, checkpoint: &str) -> Option<&BTreeMap<ScopedSegment, SegmentOffset>> {
        self.known(checkpoint).filter(|_| self.is_complete(checkpoint))
    }

    /// Returns the positions known of a checkpoint, which may wait for more.
    #[must_use]
    pub fn known(&self, checkpoint: &str) -> Option<&BTreeMap<ScopedSegment, SegmentOffset>> {
        self.positions.get(checkpoint).map(|known| &**known)
    }

    /// Returns the positions of the last complete checkpoint that is not silent.
    #[must_use]
    pub fn last_completed(&self) -> Option<&BTreeMap<ScopedSegment, SegmentOffset>> {
        self.last.as_deref()
    }

    /// Returns true if the controller knows the positions of the last complete checkpoint.
    #[must_use]
    pub fn is_last_published(&self) -> bool {
        self.is_last_published
    }

    /// Returns true if any checkpoint waits for a reader, also a silent one.
    #[must_use]
    pub fn is_ongoing(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the checkpoints that wait for readers and are not silent, in order.
    pub fn outstanding(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.order.iter().filter(|name| !Self::is_silent(name) && !self.is_complete(name))
    }

    /// A checkpoint is created, with the positions of the segments without a reader. Nothing
    /// happens if there is one of this name.
    pub(super) fn begin(
        &mut self,
        checkpoint: Arc<str>,
        readers: BTreeSet<Arc<str>>,
        known: Positions,
    ) -> Result<(), GroupUpdateError> {
        if self.positions.contains_key(&checkpoint) {
            return Ok(());
        }
        let (checkpoints, positions) = (self.order.len(), self.size);
        let size = positions + readers.len() + known.len();
        if checkpoints >= MAX_CHECKPOINTS || size > MAX_POSITIONS {
            return Err(GroupUpdateError::TooManyCheckpoints { checkpoints, positions });
        }
        self.size = size;
        if !readers.is_empty() {
            self.waiting.insert(checkpoint.clone(), readers);
        }
        self.positions.insert(checkpoint.clone(), Arc::new(known));
        self.order.push(checkpoint);
        Ok(())
    }

    /// A reader answers a checkpoint. Nothing happens if it waits for no reader.
    pub(super) fn answer(
        &mut self,
        checkpoint: &Arc<str>,
        reader: &Arc<str>,
        offsets: impl IntoIterator<Item = (ScopedSegment, SegmentOffset)>,
    ) -> Result<(), GroupUpdateError> {
        let Some(readers) = self.waiting.get_mut(checkpoint) else { return Ok(()) };
        if !readers.remove(reader) {
            let (reader, checkpoint) = (reader.clone(), checkpoint.clone());
            return Err(GroupUpdateError::AlreadyCheckpointed { reader, checkpoint });
        }
        let is_complete = readers.is_empty();
        let positions = self.positions.entry(checkpoint.clone()).or_default();
        let before = positions.len();
        Arc::make_mut(positions).extend(offsets);
        self.size += positions.len() - before;
        self.size -= 1;
        if is_complete {
            self.waiting.remove(checkpoint);
            if !Self::is_silent(checkpoint) {
                self.last = Some(positions.clone());
                self.is_last_published = false;
            }
        }
        Ok(())
    }

    /// Returns the checkpoints that wait for a reader, in the order of their creation, so that the
    /// newest that completes is the last. A name may be among them twice.
    pub(super) fn waiting_for_reader(&self, reader: &str) -> Vec<Arc<str>> {
        let waits = |name: &&Arc<str>| {
            self.waiting.get(*name).is_some_and(|readers| readers.contains(reader))
        };
        self.order.iter().chain(self.waiting.keys()).filter(waits).cloned().collect()
    }

    /// A reader leaves the group: all checkpoints that wait for it have its last position.
    pub(super) fn remove_reader(&mut self, reader: &Arc<str>, offsets: &Positions) {
        for checkpoint in self.waiting_for_reader(reader) {
            let offsets = offsets.iter().map(|(segment, offset)| (segment.clone(), *offset));
            // A name that is among them twice is answered the first time.
            let _ = self.answer(&checkpoint, reader, offsets);
        }
    }

    /// All checkpoints before one are dropped, also those that wait for readers. Nothing happens if
    /// the one is not known.
    pub(super) fn clear_before(&mut self, checkpoint: &str) {
        if !self.positions.contains_key(checkpoint) {
            return;
        }
        let kept = self.order.iter().position(|name| **name == *checkpoint);
        let dropped: Vec<_> = self.order.drain(..kept.unwrap_or(self.order.len())).collect();
        for name in dropped {
            self.drop_content(&name);
        }
    }

    /// All checkpoints that wait for readers are given up, except silent ones.
    pub(super) fn remove_outstanding(&mut self) {
        let outstanding: Vec<Arc<str>> = self.outstanding().cloned().collect();
        for name in outstanding {
            self.drop_content(&name);
        }
    }

    fn drop_content(&mut self, name: &Arc<str>) {
        self.size -= self.waiting.remove(name).map_or(0, |readers| readers.len());
        self.size -= self.positions.remove(name).map_or(0, |positions| positions.len());
    }
}
