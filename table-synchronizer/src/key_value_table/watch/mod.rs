//! The changes of a key-value table as a stream.

mod machine;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use pravega_sdk_types::{Offset, SegmentId};
use tokio::time::sleep;

use self::machine::WatchMachine;
use super::{
    key::Key,
    layout::KeyLayout,
    table::{KeyValueEntry, KeyValueTable},
    version::KeyVersion,
};
use crate::{
    entry::{Entry, VersionedKey},
    error::TableError,
    segment::TableSegment,
};

/// The shortest pause between two rounds: without one they would spin.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// How far the changes of a key-value table were read: a position for each partition. It can be
/// stored, and watching be resumed from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchPosition(BTreeMap<SegmentId, Offset>);

impl WatchPosition {
    /// Returns the position before all changes: the entries of the table are reported first.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }

    /// Creates a position from those of the partitions; one that is missing is at the start.
    #[must_use]
    pub fn new(partitions: impl IntoIterator<Item = (SegmentId, Offset)>) -> Self {
        Self(partitions.into_iter().collect())
    }

    /// Returns the positions of the partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (SegmentId, Offset)> + '_ {
        self.0.iter().map(|(id, offset)| (*id, *offset))
    }
}

/// A change of a key-value table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChange {
    /// The entry was put. Of several puts since the last round the newest is reported.
    Put(KeyValueEntry),
    /// The key was removed.
    Removed(Key),
}

/// Changes of one partition, and the position after them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChanges {
    /// The changes, in the order of the keys, removals last; at least one.
    pub changes: Vec<KeyChange>,
    /// The position after these changes, and those before them.
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
    /// Number of partitions that are asked before the next pause.
    left: usize,
}

impl KeyValueTable {
    /// Returns the changes of the table since a position, partition by partition.
    ///
    /// Servers do not report the changes of such tables, so each partition is asked with a pause in
    /// between if its segment has grown, and then its keys are scanned; values are read only of
    /// those that changed. A round costs one small request for each partition without changes. The
    /// watch keeps the keys of the table, with their versions, in memory.
    ///
    /// A put that is followed by another, or by a removal, before the next round is not reported,
    /// and a key that is removed and put again appears as put. A removal is reported of keys that
    /// the watch has seen: after it was resumed from a position, what was removed meanwhile is not.
    pub fn watch(&self, from: &WatchPosition, pause: Duration) -> KeyWatch {
        let watched = |partition: &TableSegment| {
            let id = partition.segment().id();
            let position = from.0.get(&id).copied().unwrap_or(Offset(0));
            Watched { id, partition: partition.clone(), machine: WatchMachine::new(position) }
        };
        let partitions: VecDeque<Watched> = self.partitions().map(watched).collect();
        let left = partitions.len();
        let pause = pause.max(MIN_PAUSE);
        let watching = Watching { layout: self.layout(), pause, partitions, left };
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
            if self.left == 0 {
                sleep(self.pause).await;
                self.left = self.partitions.len();
            }
            let Some(mut watched) = self.partitions.pop_front() else { return Ok(None) };
            let changes = watched.ask(self.layout).await;
            self.partitions.push_back(watched);
            self.left = self.left.saturating_sub(1);
            let changes = changes?;
            if !changes.is_empty() {
                let position = |watched: &Watched| (watched.id, watched.machine.position());
                let position = WatchPosition::new(self.partitions.iter().map(position));
                return Ok(Some(KeyChanges { changes, position }));
            }
        }
    }
}

impl Watched {
    async fn ask(&mut self, layout: KeyLayout) -> Result<Vec<KeyChange>, TableError> {
        let end = self.partition.info().await?.end;
        if !self.machine.must_scan(end) {
            return Ok(Vec::new());
        }
        let keys: Vec<VersionedKey> = self.partition.keys().try_collect().await?;
        let found = self.machine.handle_scan(keys, end);
        let entries = self.partition.read(found.put.clone()).await?;
        let mut changes = Vec::with_capacity(entries.len() + found.removed.len());
        for (stored, entry) in found.put.iter().zip(entries) {
            // One that was removed since the scan is reported by the next.
            if let Some(Entry { value, version, .. }) = entry {
                self.machine.handle_read(stored, version);
                let (key, version) = (layout.place(stored)?, KeyVersion::new(self.id, version));
                changes.push(KeyChange::Put(KeyValueEntry { key, value, version }));
            }
        }
        let removed = found.removed.iter().map(|stored: &Bytes| layout.place(stored));
        for key in removed {
            changes.push(KeyChange::Removed(key?));
        }
        Ok(changes)
    }
}
