//! A server that is restored from checkpoints and the log after them.
//!
//! The values of a checkpoint are of different moments. So they and the changes after them are
//! folded to the last value of each key, and the server is made of those only.

use crate::{
    catalog::{FoldedCatalog, RestoreError},
    log::{LogRecord, PlacedRecord, SegmentNumber, StateEntry},
    machine::Machine,
    record::Sequence,
    state::{AppendedMeta, Folded, StateChange, StateKey, decode},
};

/// A server that is being restored.
#[derive(Debug)]
pub struct Restoring {
    machine: Machine,
    segments: Folded,
    catalog: FoldedCatalog,
    /// The values and changes that could not be read: the first ones.
    failures: Vec<RestoreError>,
}

/// The most failures that are remembered: only a damaged folder has more than one.
const MOST_FAILURES: usize = 10_000;

impl Restoring {
    /// Nothing yet, for an empty machine that encodes its changes for a log.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let most = machine.most_touched();
        let (segments, catalog) = (Folded::within(most), FoldedCatalog::within(most));
        Self { machine, segments, catalog, failures: Vec::new() }
    }

    /// Continues with entries of the checkpoints, in the order in which those were written.
    pub fn entries(&mut self, entries: Vec<StateEntry>) {
        for (key, value) in entries {
            let set = match StateKey::decode(&key) {
                None => Err(RestoreError::UnknownState("the key of a value")),
                Some(StateKey::Catalog(path)) => self.catalog.set(&path, value.as_ref()),
                Some(key) => {
                    let bad = |_| RestoreError::UnknownState("the value of a segment");
                    self.segments.set(key, value.as_ref()).map_err(bad)
                }
            };
            self.note(set);
        }
    }

    /// Continues with the records of a frame of the log, after all checkpoints, in order.
    pub fn frame(&mut self, records: Vec<PlacedRecord>) {
        for placed in records {
            let applied = self.record(placed.record);
            self.note(applied);
        }
    }

    /// The server as it was after a batch, the last one of the frames. The next batch has the
    /// number after it.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if a value or a change could not be read, or does not fit the others.
    pub fn finish(self, last: Sequence) -> Result<Machine, RestoreError> {
        let Self { mut machine, segments, mut catalog, failures } = self;
        if let Some(failure) = failures.into_iter().next() {
            return Err(failure);
        }
        let leavings = segments.next.leavings;
        machine.store.unfold(segments);
        let touched = catalog.touched.take();
        machine.catalog.end_log();
        catalog.unfold(&mut machine.catalog)?;
        machine.catalog.begin_log(leavings, touched);
        machine.journal.resume(last);
        Ok(machine)
    }

    /// A server with everything that could be read, if changes are missing, and what else could not
    /// be used of the others. No number of a segment up to `last` is given again.
    #[must_use]
    pub fn finish_salvaged(mut self, last: SegmentNumber) -> (Machine, Vec<RestoreError>) {
        for name in self.segments.settle(last) {
            self.fail(RestoreError::Superseded(name.to_string()));
        }
        let Self { mut machine, segments, mut catalog, mut failures } = self;
        let leavings = segments.next.leavings;
        machine.store.unfold(segments);
        let touched = catalog.touched.take();
        machine.catalog.end_log();
        failures.extend(catalog.unfold_salvaged(&mut machine.catalog));
        machine.catalog.begin_log(leavings, touched);
        (machine, failures)
    }

    fn fail(&mut self, failure: RestoreError) {
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(failure);
        }
    }

    fn note(&mut self, result: Result<(), RestoreError>) {
        if let Err(failure) = result {
            self.fail(failure);
        }
    }

    fn record(&mut self, record: LogRecord) -> Result<(), RestoreError> {
        match record {
            LogRecord::File(_) => {}
            LogRecord::Data { segment, offset, meta, data } => {
                let meta: Option<AppendedMeta> = match meta.is_empty() {
                    true => None,
                    false => Some(decode(&meta).ok_or(RestoreError::UnknownState("an append"))?),
                };
                self.segments.append(segment, offset, data.len() as u64, meta);
            }
            LogRecord::Change { meta } => {
                let change = decode(&meta).ok_or(RestoreError::UnknownState("a change"))?;
                match change {
                    StateChange::Entry { key, value, leaving } => {
                        if let Some(leaving) = leaving {
                            let leavings = &mut self.segments.next.leavings;
                            *leavings = leaving.max(*leavings);
                        }
                        self.catalog.apply(&key, value, leaving)?;
                    }
                    change => self.segments.apply(change),
                }
            }
        }
        Ok(())
    }
}
