//! The machine for a log: batches of changes, and the values of checkpoints.
//!
//! ```text
//! calls ──> changes ──take_batch──> log
//!              └─────take_touched──> keys ──slice──> values ──> checkpoint
//! ```

use bytes::Bytes;

use crate::{
    catalog::RestoreError,
    log::{Coverage, LogRecord, Slice, StateEntry},
    machine::Machine,
    record::{Record, Sequence},
    state::{FreedRanges, NextNumbers, StateKey, Touched, encode},
};

/// A slice has no more entries after this many bytes: other clients wait while it is made.
const SLICE_BYTES: usize = 64 << 10;

impl Machine {
    /// The changes since the last call, encoded for the log, as one batch that survives a crash as
    /// a whole or not at all. It is taken after each step: work that is made in slices has changes
    /// too, which no reply waits for.
    pub fn take_batch(&mut self) -> Option<(Sequence, Vec<LogRecord>)> {
        let has_more = self.store.has_log() || self.catalog.has_log();
        let sequence = self.journal.end_batch(has_more)?;
        let mut records = self.store.take_log();
        records.append(&mut self.catalog.take_log());
        Some((sequence, records))
    }

    /// Applies a record of a journal, so that the next batch has what it changes.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if it is an entry of the catalog that cannot be applied.
    pub fn replay(&mut self, record: &Record) -> Result<(), RestoreError> {
        self.restore(record)
    }

    /// Takes the keys of the values that changed since they were taken last.
    pub fn take_touched(&mut self) -> Touched {
        let (catalog, segments) = (self.catalog.take_touched(), self.store.take_touched());
        let touched = Touched { catalog, segments };
        self.keys_elsewhere = touched.held();
        touched
    }

    /// Memory of the keys of the values that changed since they were taken last, in bytes.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.catalog.touched().saturating_add(self.store.touched())
    }

    /// Whether these are all of them.
    #[must_use]
    pub fn touched_coverage(&self) -> Coverage {
        self.catalog.touched_coverage().and(self.store.touched_coverage())
    }

    /// Notes the memory of keys that were taken and are still used, in bytes.
    pub fn note_keys(&mut self, held: u64) {
        self.keys_elsewhere = held;
    }

    /// Notes the memory of the spans that the driver knows, in bytes.
    pub fn note_spans(&mut self, held: u64) {
        self.spans_elsewhere = held;
    }

    /// Takes the ranges of segments that can be read no longer, since they were taken last.
    pub fn take_freed(&mut self) -> FreedRanges {
        self.store.take_freed()
    }

    /// The present values of the keys of a slice, as many as are made in a moment: of some keys,
    /// the first.
    #[must_use]
    pub fn slice(&self, slice: &Slice) -> Vec<StateEntry> {
        let mut entries: Vec<StateEntry> = Vec::new();
        let mut bytes = 0;
        match slice {
            Slice::Keys(keys) => {
                for key in keys {
                    let value = StateKey::decode(key).and_then(|key| self.value(&key));
                    bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
                    entries.push((key.clone(), value));
                    if bytes >= SLICE_BYTES {
                        break;
                    }
                }
            }
            Slice::After(key, most) => {
                let after = key.as_deref().and_then(StateKey::decode);
                self.values(after.as_ref(), &mut |key, value| {
                    let key = key.encode();
                    bytes += key.len() + value.len();
                    entries.push((key, Some(value)));
                    entries.len() < *most && bytes < SLICE_BYTES
                });
            }
        }
        entries
    }

    fn next_numbers(&self) -> NextNumbers {
        NextNumbers { leavings: self.catalog.leavings(), ..self.store.next_numbers() }
    }

    fn value(&self, key: &StateKey) -> Option<Bytes> {
        match key {
            StateKey::Next => Some(encode(&self.next_numbers())),
            StateKey::Catalog(path) => self.catalog.value(path),
            key => self.store.value(key),
        }
    }

    /// The values of the keys after one, until `put` has enough.
    fn values(&self, after: Option<&StateKey>, put: &mut dyn FnMut(StateKey, Bytes) -> bool) {
        let catalog = match after {
            None => {
                if !put(StateKey::Next, encode(&self.next_numbers())) {
                    return;
                }
                Some(None)
            }
            Some(StateKey::Next) => Some(None),
            Some(StateKey::Catalog(path)) => Some(Some(&**path)),
            Some(_) => None,
        };
        if catalog.is_none_or(|after| self.catalog.values(after, put)) {
            self.store.values(after, put);
        }
    }
}
