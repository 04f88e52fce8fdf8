//! The changes of a key-value table as a stream.

mod machine;
mod position;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use pravega_sdk_types::SegmentId;
use tokio::time::sleep;

use self::machine::{Portion, Size, WatchMachine};
pub use self::position::{WatchPosition, WatchPositionError};
use super::{
    key::Key,
    layout::KeyLayout,
    table::{KeyValueEntry, KeyValueTable},
    version::KeyVersion,
};
use crate::{
    entry::{Entry, VersionedKey},
    error::TableError,
    segment::{READ_AT_ONCE, TableSegment},
};

/// The shortest pause between two rounds: without one they would spin.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// A change of a key-value table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChange {
    /// The entry was put. Of several puts since the last round the newest is reported.
    Put(KeyValueEntry),
    /// The key was removed.
    Removed(Key),
}

/// Some changes of one partition, and the position after them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChanges {
    /// The changes, in the order of the keys: 1 to 75, either puts or removals.
    pub changes: Vec<KeyChange>,
    /// The position after these changes, and those before them. Where more changes of the same scan
    /// follow, it is still that before the scan: a watch that is resumed from it reports some puts
    /// once more.
    pub position: WatchPosition,
}

/// The changes of a key-value table; see [`KeyValueTable::watch`]. After an error it ends, and
/// watching can be resumed from the last position.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next changes loses nothing: the requests in flight stay
/// with the stream.
#[must_use = "changes are not read until the stream is polled"]
pub struct KeyWatch(BoxStream<'static, Result<KeyChanges, TableError>>);

impl Stream for KeyWatch {
    type Item = Result<KeyChanges, TableError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for KeyWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyWatch").finish_non_exhaustive()
    }
}

/// One partition that is watched.
struct Watched {
    id: SegmentId,
    partition: TableSegment,
    machine: WatchMachine,
}

/// The state of a watch between two results.
struct Watching {
    layout: KeyLayout,
    pause: Duration,
    /// In the order in which they are asked.
    partitions: VecDeque<Watched>,
    /// The partition whose changes are being reported.
    reported: Option<Watched>,
    /// Number of partitions that are asked before the next pause.
    left: usize,
}

impl KeyValueTable {
    /// Returns the changes of the table since a position, partition by partition.
    ///
    /// Servers do not report the changes of such tables, so in each round every partition is asked
    /// for its size, and if that has changed, its keys are scanned; values are read only of those
    /// that changed. There is a pause of at least 1 ms between two rounds. A round costs one small
    /// request for each partition without changes; as a removal may leave the size of a partition
    /// as it is, its keys are scanned in some rounds besides, after 1, 2, 4 and up to 64 without
    /// changes. The watch keeps the keys of the table, with their versions, in memory.
    ///
    /// A put that is followed by another, or by a removal, before the next round is not reported,
    /// and a key that is removed and put again appears as put. A removal is reported of keys that
    /// the watch has seen: after it was resumed from a position, what was removed meanwhile is not.
    /// A put may be reported again after a watch was resumed, or after the server has moved the
    /// entry, which gives it a new version.
    ///
    /// The watch is one of the table that was opened: it ends with
    /// [`NotFound`](pravega_sdk_types::ErrorKind::NotFound) once that is deleted, also if a table
    /// of the same name is created. A position of the deleted table is the start of the new one.
    pub fn watch(&self, from: &WatchPosition, pause: Duration) -> KeyWatch {
        let watched = |partition: &TableSegment| {
            let id = partition.segment().id();
            let position = from.of(id);
            let machine = WatchMachine::new(position, partition.bugs());
            Watched { id, partition: partition.clone(), machine }
        };
        let partitions: VecDeque<Watched> = self.partitions().map(watched).collect();
        let left = partitions.len();
        let pause = pause.max(MIN_PAUSE);
        let layout = self.layout();
        let watching = Watching { layout, pause, partitions, reported: None, left };
        let changes = stream::try_unfold(watching, |mut watching| async move {
            let changes = watching.next().await?;
            Ok(changes.map(|changes| (changes, watching)))
        });
        KeyWatch(changes.boxed())
    }
}

impl Watching {
    /// Waits for changes; `None` for a table without partitions.
    async fn next(&mut self) -> Result<Option<KeyChanges>, TableError> {
        loop {
            if let Some(watched) = &mut self.reported {
                let changes = watched.next_changes(self.layout).await?;
                match changes {
                    Some(changes) if changes.is_empty() => {}
                    Some(changes) => {
                        let position = self.position();
                        return Ok(Some(KeyChanges { changes, position }));
                    }
                    None => self.partitions.extend(self.reported.take()),
                }
                continue;
            }
            if self.left == 0 {
                sleep(self.pause).await;
                self.left = self.partitions.len();
            }
            let Some(mut watched) = self.partitions.pop_front() else { return Ok(None) };
            self.left = self.left.saturating_sub(1);
            watched.scan().await?;
            self.reported = Some(watched);
        }
    }

    fn position(&self) -> WatchPosition {
        let position = |watched: &Watched| (watched.id, watched.machine.position());
        WatchPosition::new(self.partitions.iter().chain(&self.reported).map(position))
    }
}

impl Watched {
    /// Scans the keys, if some may have changed.
    async fn scan(&mut self) -> Result<(), TableError> {
        let info = self.partition.info().await?;
        let size = Size { end: info.end, entry_count: info.entry_count };
        if self.machine.handle_size(size) {
            let keys: Vec<VersionedKey> = self.partition.keys().try_collect().await?;
            self.machine.handle_scan(keys, size);
        }
        Ok(())
    }

    /// Reads what is reported next; `None` if nothing of the scan is left.
    async fn next_changes(
        &mut self,
        layout: KeyLayout,
    ) -> Result<Option<Vec<KeyChange>>, TableError> {
        let put = match self.machine.next_portion(READ_AT_ONCE) {
            Portion::Nothing => return Ok(None),
            Portion::Removed(keys) => {
                let removed = keys.iter().map(|key| layout.place(key).map(KeyChange::Removed));
                return removed.collect::<Result<_, _>>().map(Some);
            }
            Portion::Put(keys) => keys,
        };
        let entries = self.partition.read(put.clone()).await?;
        let mut changes = Vec::with_capacity(put.len());
        for (stored, entry) in put.iter().zip(entries) {
            // One that was removed since the scan is reported by the next.
            if let Some(Entry { value, version, .. }) = entry {
                self.machine.handle_read(stored, version);
                let (key, version) = (layout.place(stored)?, KeyVersion::new(self.id, version));
                changes.push(KeyChange::Put(KeyValueEntry { key, value, version }));
            }
        }
        Ok(Some(changes))
    }
}
