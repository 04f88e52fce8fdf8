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
use pravega_sdk_types::{ScopedKeyValueTable, SegmentId};
use tokio::time::{Instant, sleep_until};

use self::machine::{Found, Limits, Passed, Portion, Round, Size, Step, WatchMachine};
pub use self::position::{WatchPosition, WatchPositionError};
use super::{
    key::{Key, Keys},
    layout::KeyLayout,
    table::{KeyValueEntry, KeyValueTable},
    version::KeyVersion,
};
use crate::{
    entry::{Entry, VersionedKey},
    error::TableError,
    moments::after,
    segment::{READ_AT_ONCE, TableItems, TableSegment},
};

/// The shortest pause between two rounds: without one they would spin.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// Memory for the keys that a watch remembers, in bytes.
const KNOWN_BYTES: usize = 64 << 20;
/// Number of keys of a partition that are scanned before the others have their turns.
const KEYS_OF_TURN: usize = 10_000;
/// Number of puts of a partition that are reported although they were made during the scan.
const EARLY: usize = 100;

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
    /// The changes, in the order of the keys: 1 to 75.
    pub changes: Vec<KeyChange>,
    /// The position after these changes, and those before them.
    pub position: WatchPosition,
    partition: SegmentId,
    passed: Passed,
}

impl KeyChanges {
    /// Returns the position after the first `count` of the changes, and all changes before them; it
    /// is [`position`](Self::position) after all of them. A watch that is resumed from it begins
    /// with the change that follows.
    ///
    /// It costs a copy of the positions of all partitions.
    ///
    /// # Examples
    ///
    /// ```
    /// # use pravega_sdk_table_synchronizer::{KeyChanges, WatchPosition};
    /// /// Handles some changes, and returns the position from which to go on.
    /// fn handle(changes: &KeyChanges, count: usize) -> WatchPosition {
    ///     for change in changes.changes.iter().take(count) {
    ///         println!("{change:?}");
    ///     }
    ///     changes.position_after(count)
    /// }
    /// ```
    #[must_use]
    pub fn position_after(&self, count: usize) -> WatchPosition {
        if count >= self.changes.len() {
            return self.position.clone();
        }
        self.position.with(self.partition, self.passed.position_after(count))
    }
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
    progress: Progress,
}

/// Where a partition is in its rounds.
enum Progress {
    /// The next one begins at this time.
    Until(Instant),
    /// Its keys are scanned. `None` if there are no more.
    Scanning(Option<Box<TableItems<VersionedKey>>>),
}

/// What the turn of a partition ends with.
enum Turn {
    /// Something was found.
    Portion(Portion),
    /// The scan goes on in its next turn.
    Scanned,
    /// The round is over.
    Over,
}

/// The state of a watch between two results.
struct Watching {
    table: ScopedKeyValueTable,
    layout: KeyLayout,
    pause: Duration,
    /// In the order of their turns.
    partitions: VecDeque<Watched>,
}

impl KeyValueTable {
    /// Returns the changes of the table since a position, partition by partition.
    ///
    /// Servers do not report the changes of such tables, so in each round every partition is asked
    /// for its size, and if that has changed, its keys are scanned; values are read only of those
    /// that changed. Partitions take turns, so a long scan of one does not hold up the others.
    /// There is a pause of at least 1 ms between two rounds of a partition. A round costs one small
    /// request for each partition without changes; as a removal may leave the size of a partition
    /// as it is, its keys are scanned in some rounds besides, after 1, 2, 4 and up to 64 without
    /// changes.
    ///
    /// A put that is followed by another, or by a removal, before the scan passes its key is not
    /// reported, and a key that is removed and put again appears as put. No put is reported twice,
    /// neither after the server has moved the entry nor by a watch that is resumed from a position,
    /// and none is passed over whose entry the scan finds. One scan reports at most 100 of the puts
    /// of a partition that were made since it began; those beyond are reported by the next ones, so
    /// of a key that changes all the time some puts are reported. A scan ends only if it reads keys
    /// faster than other clients put keys after those that it has passed: at least 75 in the time
    /// of two requests.
    ///
    /// A removal is reported of keys that this watch has seen: after it was resumed from a
    /// position, what was removed meanwhile is not. It remembers keys in at most 64 MiB of memory,
    /// of which each partition has an equal share and each key takes 64 bytes and its own. Removals
    /// of keys beyond that are not reported; puts are. Besides those keys the watch has in memory
    /// two pages of keys and the changes of one result.
    ///
    /// The watch is one of the table that was opened: it ends with
    /// [`NotFound`](pravega_sdk_types::ErrorKind::NotFound) once that is deleted, also if a table
    /// of the same name is created. A position of the deleted table is the start of the new one. A
    /// position that this table cannot have had, such as one beyond its end, is refused with
    /// [`InvalidArgument`](pravega_sdk_types::ErrorKind::InvalidArgument).
    pub fn watch(&self, from: &WatchPosition, pause: Duration) -> KeyWatch {
        let count = self.partitions().count().max(1);
        let known_bytes = KNOWN_BYTES / count;
        let limits = Limits { known_bytes, early: EARLY, portion: READ_AT_ONCE };
        let now = Instant::now();
        let watched = |partition: &TableSegment| {
            let id = partition.segment().id();
            let machine = WatchMachine::new(from.of(id), limits, partition.bugs());
            let progress = Progress::Until(now);
            Watched { id, partition: partition.clone(), machine, progress }
        };
        let partitions = self.partitions().map(watched).collect();
        let pause = pause.max(MIN_PAUSE);
        let (table, layout) = (self.table().clone(), self.layout());
        let watching = Watching { table, layout, pause, partitions };
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
            let now = Instant::now();
            let ready = self.partitions.iter().position(|watched| watched.due() <= Some(now));
            let Some(place) = ready else {
                let Some(due) = self.partitions.iter().filter_map(Watched::due).min() else {
                    return Ok(None);
                };
                sleep_until(due).await;
                continue;
            };
            // After all others the next time.
            let turn = self.partitions.remove(place);
            self.partitions.extend(turn);
            let (layout, Some(watched)) = (self.layout, self.partitions.back_mut()) else {
                return Ok(None);
            };
            if let Progress::Until(_) = watched.progress {
                let begun = watched.begin(layout).await;
                begun.map_err(|error| error.of("watching", &self.table))?;
            }
            match watched.take_turn().await? {
                Turn::Portion(portion) => {
                    let (changes, passed) = watched.read(portion, layout).await?;
                    let partition = watched.id;
                    if !changes.is_empty() {
                        let position = self.position();
                        return Ok(Some(KeyChanges { changes, position, partition, passed }));
                    }
                }
                Turn::Scanned => {}
                Turn::Over => {
                    watched.progress = Progress::Until(after(self.pause));
                }
            }
        }
    }

    fn position(&self) -> WatchPosition {
        let position = |watched: &Watched| (watched.id, watched.machine.position().clone());
        WatchPosition::of_partitions(self.partitions.iter().map(position))
    }
}

impl Watched {
    /// When it has its next turn; `None` if it always may.
    fn due(&self) -> Option<Instant> {
        match &self.progress {
            Progress::Until(due) => Some(*due),
            Progress::Scanning(_) => None,
        }
    }

    /// Begins a round: a scan of the keys, if some may have changed.
    async fn begin(&mut self, layout: KeyLayout) -> Result<(), TableError> {
        let info = self.partition.info().await?;
        let size = Size { end: info.end, entry_count: info.entry_count };
        let round = self.machine.handle_size(size).map_err(|_| {
            TableError::invalid(format_args!(
                "the position of partition {} is beyond its end, {}: it is of another table",
                i64::from(self.id),
                info.end
            ))
        })?;
        let keys = match round {
            Round::Rest => None,
            Round::Scan => Some(self.partition.keys()),
            Round::ScanAfter(after) => {
                if layout.split(&after).is_none() {
                    return Err(TableError::invalid(format_args!(
                        "the position has a key of {} bytes, which is none of this table",
                        after.len()
                    )));
                }
                let to = layout.bounds(&Keys::all())?.into_inner().1;
                let from = layout.next(&after, &to);
                from.map(|from| self.partition.keys_in(from..=to)).transpose()?
            }
        };
        self.progress = Progress::Scanning(keys.map(Box::new));
        Ok(())
    }

    /// Scans the keys up to the next changes, or for as long as a turn is.
    async fn take_turn(&mut self) -> Result<Turn, TableError> {
        let mut scanned = 0;
        loop {
            match self.machine.poll_step() {
                Step::Rest => return Ok(Turn::Over),
                Step::Report(portion) => return Ok(Turn::Portion(portion)),
                Step::NextKey if scanned == KEYS_OF_TURN => return Ok(Turn::Scanned),
                Step::NextKey => {
                    scanned += 1;
                    let next = match &mut self.progress {
                        Progress::Scanning(Some(keys)) => keys.try_next().await?,
                        Progress::Scanning(None) | Progress::Until(_) => None,
                    };
                    match next {
                        Some(key) => self.machine.handle_key(key),
                        None => {
                            self.progress = Progress::Scanning(None);
                            self.machine.handle_end();
                        }
                    }
                }
            }
        }
    }

    /// Reads what was put.
    async fn read(
        &mut self,
        portion: Portion,
        layout: KeyLayout,
    ) -> Result<(Vec<KeyChange>, Passed), TableError> {
        let put = portion.found.iter().filter_map(Found::put).cloned();
        let mut entries = self.partition.read(put).await?.into_iter();
        let (mut changes, mut passed) = (Vec::new(), portion.passed());
        for found in &portion.found {
            match found {
                Found::Removed(stored) => {
                    changes.push(KeyChange::Removed(layout.place(stored)?));
                    passed.push(stored, None);
                }
                Found::Put(stored) => {
                    // One that was removed since is reported by the next scan.
                    let Some(Entry { value, version, .. }) = entries.next().flatten() else {
                        continue;
                    };
                    if self.machine.handle_entry(&portion, stored, version) {
                        let key = layout.place(stored)?;
                        passed.push(stored, Some(version));
                        let version = KeyVersion::new(self.id, version);
                        changes.push(KeyChange::Put(KeyValueEntry { key, value, version }));
                    }
                }
            }
        }
        Ok((changes, passed))
    }
}
