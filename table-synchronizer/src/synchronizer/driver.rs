//! Carries out what the machines of a synchronizer decide.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::{TryStreamExt as _, future::join};
use pravega_sdk_segment_client::{
    context::SegmentContext,
    runtime::{random_bits, rng, runtime},
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedKeyValueTable};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    config::SynchronizerConfig,
    layout::{
        CLEANED_KEY, IDENTITY_KEY, Identity, Stored, WriterId, cleaned_value, entry_key,
        identity_value, receipt_key, receipt_value,
    },
    machine::{
        Applied, Batch, Fenced, LocalCopy, Receipt, Sent, Step, UpdateMachine, Verdict, is_restored,
    },
};
use crate::{
    entry::{Condition, Entry, Put, Removal, Version},
    error::TableError,
    moments::after,
    segment::{Following, Known, MAX_BATCH_ITEMS, TableKind, TableSegment, Values},
};

/// How often a table is read from the beginning that changes in a way which the changes do not
/// show.
const MAX_LOADS: u32 = 10;
/// The most entries that are changed together: the receipt is changed with them.
pub(crate) const MAX_CHANGES: usize = MAX_BATCH_ITEMS - 1;

/// A table, what is known of it, and the writer that changes it.
pub(super) struct Driver {
    table: TableSegment,
    config: SynchronizerConfig,
    writer: WriterId,
    /// The number of the last change that was sent.
    number: u64,
    /// The version of the receipt that is known may be an old one.
    is_in_doubt: bool,
    /// A reading of changes has not ended, so that the copy may have some of the changes that were
    /// made together.
    is_torn: bool,
    copy: LocalCopy,
}

/// The end of an update.
pub(super) enum Updated<R> {
    Made(R),
    Unchanged(R),
}

/// What a function returned, and what it has changed.
struct Run<R> {
    result: R,
    puts: Vec<Put>,
    /// The keys that the function has changed.
    keys: Vec<Bytes>,
    needs_end: bool,
}

impl Driver {
    /// Creates the table unless it exists, and reads it.
    pub(super) async fn open(
        context: SegmentContext,
        name: &ScopedKeyValueTable,
        config: SynchronizerConfig,
    ) -> Result<Self, TableError> {
        let (settings, segment) = (config.table.clone(), config.segment);
        let created = TableSegment::create(context, name, segment, TableKind::Hash, settings);
        let (table, _) = created.await?;
        Self::read(table, config).await
    }

    /// Reads a table that exists.
    pub(super) async fn open_existing(
        context: SegmentContext,
        name: &ScopedKeyValueTable,
        config: SynchronizerConfig,
    ) -> Result<Self, TableError> {
        let (settings, segment) = (config.table.clone(), config.segment);
        let table = TableSegment::of_kind(context, name, segment, TableKind::Hash, settings);
        Self::read(table, config).await
    }

    async fn read(table: TableSegment, config: SynchronizerConfig) -> Result<Self, TableError> {
        let copy = load(&table, &config).await;
        let copy = copy.map_err(|error| table.name("opening", error))?;
        let (writer, is_in_doubt, is_torn) = (new_writer(), false, false);
        Ok(Self { table, config, writer, number: 0, is_in_doubt, is_torn, copy })
    }

    pub(super) fn table(&self) -> &TableSegment {
        &self.table
    }

    pub(super) fn copy(&self) -> &LocalCopy {
        &self.copy
    }

    /// Begins a call, and returns the time by which it must end.
    fn begin(&self) -> Result<Instant, TableError> {
        runtime()?;
        Ok(after(self.table.limit()))
    }

    /// The table, with as much time for each call as is left.
    fn within(&self, ends: Instant) -> TableSegment {
        let left = ends.saturating_duration_since(Instant::now());
        let config = self.table.config().clone().with_values(Values::MayRepeat).with_timeout(left);
        self.table.clone().with_config(config)
    }

    fn has(&self, bug: SeededBug) -> bool {
        self.config.table.bugs.has(bug)
    }

    fn receipt(&self) -> Receipt {
        match self.copy.receipt(self.writer) {
            None => Receipt::Missing,
            Some(_) if self.is_in_doubt || self.is_torn => Receipt::InDoubt,
            Some(_) => Receipt::Known,
        }
    }

    /// Reads what has changed. Returns the number of entries that did.
    pub(super) async fn fetch(&mut self) -> Result<usize, TableError> {
        let ends = self.begin()?;
        self.fetch_within(ends, &[], KnownEnd::OfChanges).await
    }

    async fn fetch_within(
        &mut self,
        ends: Instant,
        keys: &[Bytes],
        known_end: KnownEnd,
    ) -> Result<usize, TableError> {
        let table = self.within(ends);
        self.is_torn = !self.has(SeededBug::RunsOnTornCopies);
        let fetched = timeout_at(ends, self.fetch_from(&table, keys, known_end)).await;
        let fetched = fetched.unwrap_or_else(|_| {
            let detail = "the deadline passed while the changes were read";
            Err(TableError::new(ErrorKind::Timeout, Outcome::NotApplied, detail))
        });
        self.is_torn = fetched.is_err() && !self.has(SeededBug::RunsOnTornCopies);
        fetched
    }

    /// Reads the changes, and at the same time what they do not show: that the table is still the
    /// same, the receipt, and that keys are gone.
    async fn fetch_from(
        &mut self,
        table: &TableSegment,
        keys: &[Bytes],
        known_end: KnownEnd,
    ) -> Result<usize, TableError> {
        let start = self.copy.position();
        let end = match known_end {
            KnownEnd::OfChanges => None,
            KnownEnd::OfTable => Some(table.info().await?.end),
        };
        let mut wanted = vec![Bytes::from_static(IDENTITY_KEY), receipt_key(self.writer)];
        wanted.extend(keys.iter().map(|key| entry_key(key)));
        let mut known = vec![self.copy.receipt(self.writer)];
        known.extend(keys.iter().map(|key| self.copy.version(key)));
        let (read, found) =
            join(read_changes(table, &mut self.copy, end), table.read(wanted)).await;
        let found = found?;
        let versions = found.iter().skip(1).map(|entry| entry.as_ref().map(|it| it.version));
        let is_restored =
            known.into_iter().zip(versions).any(|(known, found)| is_restored(known, found, start));
        let mut found = found.into_iter();
        let mut is_same = match found.next().flatten() {
            Some(entry) => Stored::read(&entry)? == Stored::Identity(self.copy.identity()),
            None => false,
        };
        is_same &= !is_restored;
        if is_same && matches!(read, Ok(Progress::Read(changes)) if changes > 0) {
            // The changes may have been read later, and those of another table then.
            is_same = identity_of(table).await? == Some(self.copy.identity());
        }
        is_same |= self.has(SeededBug::HoldsDeletedTables);
        match read {
            Ok(Progress::Read(changes)) if is_same => {
                let receipt = found.next().flatten().map(|entry| entry.version);
                self.copy.handle_receipt(self.writer, receipt, start);
                for (key, found) in keys.iter().zip(found) {
                    match found {
                        Some(entry) => self.copy.handle_found(key, &entry, start)?,
                        None => self.copy.handle_absent(key, start),
                    }
                }
                self.is_in_doubt = false;
                Ok(changes)
            }
            // Any other may be the effect of a table that was created again meanwhile.
            Err(error) if is_same && !is_about_place(error.kind()) => Err(error),
            _ => {
                let copy = load(table, &self.config).await?;
                let is_other = copy.identity() != self.copy.identity();
                if (is_other || is_restored) && !self.has(SeededBug::KeepsWriters) {
                    // A change that was sent to the table before may arrive at this one, and the
                    // receipt of its writer may have the same version there.
                    self.writer = new_writer();
                }
                self.copy = copy.following(&self.copy);
                self.is_in_doubt = false;
                Ok(self.copy.entries().len())
            }
        }
    }

    /// Runs a function until the table takes what it has changed.
    pub(super) async fn update<R>(
        &mut self,
        mut function: impl FnMut(&LocalCopy) -> Result<(R, Batch), TableError>,
    ) -> Result<Updated<R>, TableError> {
        let ends = self.begin()?;
        let random = random_bits(rng(None));
        let SynchronizerConfig { max_runs, backoff, .. } = self.config;
        let mut machine = UpdateMachine::new(self.receipt(), max_runs, backoff, random)
            .with_bugs(self.config.table.bugs);
        let mut last: Option<TableError> = None;
        let mut run: Option<Run<R>> = None;
        loop {
            match machine.poll_step() {
                Step::Register => {
                    last = self.register(ends).await.err();
                    machine.handle_registered(last.is_none());
                }
                Step::Fetch => {
                    last = self.fetch_for(ends, run.as_ref()).await.err();
                    machine.handle_fetched(last.is_none().then(|| self.receipt()));
                }
                Step::Run => {
                    let (result, batch) = function(&self.copy)?;
                    let new = self.prepare(result, &batch)?;
                    let can_send = !new.needs_end || self.copy.end().is_some();
                    machine.handle_run(!new.keys.is_empty(), can_send);
                    run = Some(new);
                }
                Step::Send => {
                    let Some(run) = &run else { continue };
                    last = self.send(ends, run).await.err();
                    machine.handle_sent(last.as_ref().map_or(Sent::Made, sent));
                }
                Step::Fence => machine.handle_fenced(self.fence(ends).await),
                Step::Pause(pause) => {
                    rest(ends, pause).await?;
                    machine.handle_rested();
                }
                Step::End(verdict) => return self.end(ends, verdict, run, last).await,
            }
        }
    }

    async fn fetch_for<R>(
        &mut self,
        ends: Instant,
        run: Option<&Run<R>>,
    ) -> Result<usize, TableError> {
        let Some(run) = run else {
            return self.fetch_within(ends, &[], KnownEnd::OfChanges).await;
        };
        let known_end = if run.needs_end { KnownEnd::OfTable } else { KnownEnd::OfChanges };
        self.fetch_within(ends, &run.keys, known_end).await
    }

    /// Prepares what is sent for the changes of a function.
    fn prepare<R>(&self, result: R, batch: &Batch) -> Result<Run<R>, TableError> {
        let count = batch.changes.len();
        if count > MAX_CHANGES {
            return Err(TableError::invalid(format_args!(
                "{count} entries are changed together, and at most {MAX_CHANGES} can be"
            )));
        }
        self.copy.check_changes(&batch.changes)?;
        let keys = batch.changes.keys().cloned().collect();
        let needs_end = batch.needs_end() && !self.has(SeededBug::IgnoresOtherReads);
        let puts = batch.puts(&self.copy);
        Ok(Run { result, puts, keys, needs_end })
    }

    /// The next receipt, on the condition that the one before is still in the table.
    fn next_receipt(&mut self) -> Put {
        let condition = match self.copy.receipt(self.writer) {
            Some(version) => Condition::At(version),
            None => Condition::Absent,
        };
        self.number += 1;
        Put::new(receipt_key(self.writer), receipt_value(self.number)).when(condition)
    }

    async fn register(&mut self, ends: Instant) -> Result<(), TableError> {
        let receipt = self.next_receipt();
        match self.put_receipt(ends, receipt).await {
            // An earlier one that was given up has arrived, and is read next.
            Err(error) if error.kind() == ErrorKind::ConditionFailed => Ok(()),
            result => result,
        }
    }

    /// Puts a receipt alone. No two have the same value.
    async fn put_receipt(&mut self, ends: Instant, receipt: Put) -> Result<(), TableError> {
        let table = with_unique_values(&self.within(ends));
        self.is_in_doubt = true;
        let puts = [receipt];
        let versions = table.put_at_end(&puts, None).await?;
        self.note_put(&puts, versions);
        Ok(())
    }

    fn note_put(&mut self, puts: &[Put], versions: Vec<Version>) {
        let put = puts.iter().zip(versions);
        self.copy.handle_put(put.map(|(put, version)| (&put.key, &put.value, version)));
        self.is_in_doubt = false;
    }

    async fn send<R>(&mut self, ends: Instant, run: &Run<R>) -> Result<(), TableError> {
        let table = self.within(ends);
        let mut puts = run.puts.clone();
        puts.push(self.next_receipt());
        let end = if run.needs_end { self.copy.end() } else { None };
        self.is_in_doubt = true;
        let put = table.put_at_end(&puts, end).await;
        match put {
            Ok(versions) => {
                self.note_put(&puts, versions);
                Ok(())
            }
            Err(error) => {
                self.is_in_doubt = error.outcome() != Outcome::NotApplied;
                Err(error)
            }
        }
    }

    async fn fence(&mut self, ends: Instant) -> Fenced {
        let sent = self.number;
        let receipt = self.next_receipt();
        match self.put_receipt(ends, receipt).await {
            Ok(()) => return Fenced::Dead,
            Err(error) if error.kind() != ErrorKind::ConditionFailed => return Fenced::Unclear,
            Err(_) if self.has(SeededBug::BelievesRefusedFences) => return Fenced::Made,
            Err(_) => {}
        }
        let Ok(Some(found)) = self.within(ends).get(receipt_key(self.writer)).await else {
            return Fenced::Unclear;
        };
        match Stored::read(&found) {
            Ok(Stored::Receipt { number, .. }) if number == sent => Fenced::Made,
            // An earlier change, which was given up, has moved the receipt.
            Ok(Stored::Receipt { .. }) => Fenced::Dead,
            _ => Fenced::Unclear,
        }
    }

    async fn end<R>(
        &mut self,
        ends: Instant,
        verdict: Verdict,
        run: Option<Run<R>>,
        last: Option<TableError>,
    ) -> Result<Updated<R>, TableError> {
        match (verdict, run) {
            (Verdict::Made, Some(run)) => {
                if self.is_in_doubt {
                    self.copy.handle_unknown_change();
                    // So that the change can be seen. The next update begins with it otherwise.
                    let fetched = self.fetch_within(ends, &[], KnownEnd::OfChanges).await;
                    drop(fetched);
                } else if self.copy.should_clean() {
                    // What is not cleaned away now is after the next change.
                    drop(self.clean_within(ends).await);
                }
                Ok(Updated::Made(run.result))
            }
            (Verdict::Unchanged, Some(run)) => Ok(Updated::Unchanged(run.result)),
            (verdict, _) => Err(ended(verdict, last)),
        }
    }

    /// Removes from the table what it has only because removals and receipts are entries in it.
    pub(super) async fn clean(&mut self) -> Result<usize, TableError> {
        let ends = self.begin()?;
        self.clean_within(ends).await
    }

    async fn clean_within(&mut self, ends: Instant) -> Result<usize, TableError> {
        self.fetch_within(ends, &[], KnownEnd::OfChanges).await?;
        let removed = self.copy.cleanable();
        let Some(highest) = removed.iter().map(|(_, version)| *version).max() else {
            return self.clean_receipts(ends).await;
        };
        if !self.announce(ends, highest).await? {
            return Ok(0);
        }
        let mut count = 0;
        for some in removed.chunks(MAX_BATCH_ITEMS) {
            let removals = some.iter().map(|(key, version)| (entry_key(key), *version));
            let start = self.copy.position();
            match self.remove(ends, removals).await {
                Ok(()) => {
                    some.iter().for_each(|(key, version)| self.copy.handle_cleaned(key, *version));
                    count += some.len();
                }
                Err(error) if error.kind() == ErrorKind::ConditionFailed => {
                    // Another client has changed or cleaned away one of them.
                    let keys = some.iter().map(|(key, _)| entry_key(key));
                    let found = self.within(ends).read(keys).await?;
                    let gone = some.iter().zip(found).filter(|(_, found)| found.is_none());
                    gone.for_each(|((key, _), _)| self.copy.handle_absent(key, start));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(count + self.clean_receipts(ends).await?)
    }

    /// Stores up to which version removals are cleaned away. Returns false if another client does
    /// the same at this time.
    async fn announce(&mut self, ends: Instant, highest: Version) -> Result<bool, TableError> {
        let (condition, up_to) = match self.copy.cleaned() {
            Some(cleaned) => (Condition::At(cleaned.record), cleaned.up_to.max(highest)),
            None => (Condition::Absent, highest),
        };
        let puts = [Put::new(CLEANED_KEY, cleaned_value(up_to)).when(condition)];
        match self.within(ends).put_at_end(&puts, None).await {
            Ok(versions) => {
                let put = puts.iter().zip(versions);
                self.copy.handle_put(put.map(|(put, version)| (&put.key, &put.value, version)));
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConditionFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn clean_receipts(&mut self, ends: Instant) -> Result<usize, TableError> {
        let old = self.copy.old_receipts();
        let mut count = 0;
        for some in old.chunks(MAX_BATCH_ITEMS) {
            let removals = some.iter().map(|(writer, version)| (receipt_key(*writer), *version));
            match self.remove(ends, removals).await {
                Ok(()) => count += some.len(),
                // One of the writers is alive, or was closed.
                Err(error) if error.kind() == ErrorKind::ConditionFailed => {
                    count += self.clean_found_receipts(ends, some).await?;
                }
                Err(error) => return Err(error),
            }
            some.iter().for_each(|(writer, _)| self.copy.handle_receipt_cleaned(*writer));
        }
        Ok(count)
    }

    /// Removes those receipts that are still in the table with their versions.
    async fn clean_found_receipts(
        &mut self,
        ends: Instant,
        receipts: &[(WriterId, Version)],
    ) -> Result<usize, TableError> {
        let keys = receipts.iter().map(|(writer, _)| receipt_key(*writer));
        let found = self.within(ends).read(keys).await?;
        let is_found = |(_, version): &(WriterId, Version), found: &Option<Entry>| {
            found.as_ref().is_some_and(|found| found.version == *version)
        };
        let left = receipts.iter().zip(&found).filter(|(receipt, found)| is_found(receipt, found));
        let left: Vec<_> = left.map(|((writer, at), _)| (receipt_key(*writer), *at)).collect();
        let count = left.len();
        if count == 0 {
            return Ok(0);
        }
        match self.remove(ends, left.into_iter()).await {
            Ok(()) => Ok(count),
            // Another client cleans as well, or one of the writers has changed the table.
            Err(error) if error.kind() == ErrorKind::ConditionFailed => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn remove(
        &mut self,
        ends: Instant,
        keys: impl Iterator<Item = (Bytes, Version)>,
    ) -> Result<(), TableError> {
        self.copy.handle_unknown_change();
        let removals: Vec<Removal> =
            keys.map(|(key, version)| Removal::new(key).when(version)).collect();
        self.within(ends).remove(removals).await
    }

    /// Removes the receipt of the writer.
    pub(super) async fn close(mut self) -> Result<(), TableError> {
        let ends = self.begin()?;
        if self.receipt() == Receipt::InDoubt {
            self.fetch_within(ends, &[], KnownEnd::OfChanges).await?;
        }
        let Some(version) = self.copy.receipt(self.writer) else { return Ok(()) };
        let receipt = receipt_key(self.writer);
        match self.remove(ends, [(receipt, version)].into_iter()).await {
            // It was cleaned away, or the table was created again.
            Err(error) if error.kind() == ErrorKind::ConditionFailed => Ok(()),
            result => result,
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("segment", &format_args!("{}", self.table.segment()))
            .field("entries", &self.copy.entries().len())
            .field("position", &self.copy.position())
            .finish_non_exhaustive()
    }
}

/// Where the table ends for the next change that depends on it.
#[derive(Debug, Clone, Copy)]
enum KnownEnd {
    /// Where the changes end that were read.
    OfChanges,
    /// There, or where the table ended before, as some changes are not reported.
    OfTable,
}

/// How far the changes of a table were read.
enum Progress {
    /// To the end; so many entries changed.
    Read(usize),
    /// Some of them are missing, so that the whole table must be read.
    Gap,
}

async fn read_changes(
    table: &TableSegment,
    copy: &mut LocalCopy,
    end: Option<Offset>,
) -> Result<Progress, TableError> {
    let start = copy.position();
    let mut deltas = table.deltas(start, Following::UntilEnd);
    let mut changes = 0;
    while let Some(delta) = deltas.try_next().await? {
        if delta.known == Known::Obsolete {
            return Ok(Progress::Gap);
        }
        for entry in &delta.entries {
            match copy.apply(entry, Some(start))? {
                Applied::Change => changes += 1,
                Applied::Nothing => {}
                Applied::Gap => return Ok(Progress::Gap),
            }
        }
    }
    copy.handle_end(deltas.position(), end.unwrap_or(deltas.position()));
    Ok(Progress::Read(changes))
}

/// Reads a whole table: its entries, and what changes meanwhile.
async fn load(table: &TableSegment, config: &SynchronizerConfig) -> Result<LocalCopy, TableError> {
    for _ in 0..MAX_LOADS {
        let identity = identify(table).await?;
        let end = table.info().await?.end;
        let copy = LocalCopy::new(identity, end, config.max_bytes);
        let mut copy = copy.with_bugs(config.table.bugs);
        let mut entries = table.entries();
        let mut is_same = true;
        while let Some(entry) = entries.try_next().await? {
            is_same &= copy.apply(&entry, None)? != Applied::Gap;
        }
        if !is_same {
            continue;
        }
        // They end only if they are read faster than other clients make them.
        let changes = timeout(table.limit(), read_changes(table, &mut copy, None)).await;
        let Ok(changes) = changes else { return Err(too_fast("change")) };
        if let Progress::Read(_) = changes?
            && identity_of(table).await? == Some(identity)
        {
            return Ok(copy);
        }
    }
    Err(too_fast("clean"))
}

fn too_fast(what: &str) -> TableError {
    let detail = format_args!("other clients {what} the table faster than it can be read");
    TableError::new(ErrorKind::Unavailable, Outcome::NotApplied, detail)
}

/// Returns the identity of a table, and gives it one if it is new.
async fn identify(table: &TableSegment) -> Result<Identity, TableError> {
    if let Some(identity) = identity_of(table).await? {
        return Ok(identity);
    }
    if has_leftovers_only(table).await? {
        let value = identity_value(Identity(rng(None).u128(..)));
        let put = [Put::new(IDENTITY_KEY, value).when(Condition::Absent)];
        match with_unique_values(table).put_at_end(&put, None).await {
            // Another client has put its own.
            Err(error) if error.kind() == ErrorKind::ConditionFailed => {}
            result => drop(result?),
        }
    }
    identity_of(table).await?.ok_or_else(|| {
        let detail = "the table has entries, and none of a table synchronizer";
        TableError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
    })
}

/// Returns true if a table has nothing, or only what was late: receipts and records of cleaning
/// depend on no other entry of a table, so one that was sent to a deleted table may arrive in the
/// next of that name before that has its identity.
async fn has_leftovers_only(table: &TableSegment) -> Result<bool, TableError> {
    let mut entries = table.entries();
    while let Some(entry) = entries.try_next().await? {
        match Stored::read(&entry)? {
            Stored::Receipt { .. } | Stored::Cleaned(_) => {}
            // Another client has put an identity meanwhile, which a put of one finds out.
            Stored::Identity(_) => return Ok(true),
            Stored::Entry { .. } => return Ok(false),
        }
    }
    Ok(true)
}

fn new_writer() -> WriterId {
    WriterId(rng(None).u128(..))
}

/// A handle for puts of values that no other put writes.
fn with_unique_values(table: &TableSegment) -> TableSegment {
    table.clone().with_config(table.config().clone().with_values(Values::Unique))
}

async fn identity_of(table: &TableSegment) -> Result<Option<Identity>, TableError> {
    match table.get(IDENTITY_KEY).await? {
        None => Ok(None),
        Some(entry) => match Stored::read(&entry)? {
            Stored::Identity(identity) => Ok(Some(identity)),
            _ => Ok(None),
        },
    }
}

async fn rest(ends: Instant, pause: Duration) -> Result<(), TableError> {
    if ends.saturating_duration_since(Instant::now()) <= pause {
        let detail = "the deadline passed while other clients changed what the function depends on";
        return Err(TableError::new(ErrorKind::Timeout, Outcome::NotApplied, detail));
    }
    sleep(pause).await;
    Ok(())
}

/// Returns true for failures that a position of another table may cause.
fn is_about_place(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidArgument
            | ErrorKind::Corrupt
            | ErrorKind::Protocol
            | ErrorKind::Truncated
            | ErrorKind::ServerFailure
    )
}

fn sent(error: &TableError) -> Sent {
    match (error.kind(), error.outcome()) {
        (ErrorKind::ConditionFailed, Outcome::NotApplied) => Sent::Refused,
        (_, outcome) => Sent::Failed(outcome),
    }
}

/// The error of an update that did not succeed.
fn ended(verdict: Verdict, last: Option<TableError>) -> TableError {
    match (verdict, last) {
        (Verdict::Failed(outcome), Some(last)) => last.with_outcome(outcome),
        (Verdict::Conflicts(runs), _) => {
            let detail = format_args!(
                "other clients changed what the function depends on, in each of {runs} runs"
            );
            TableError::new(ErrorKind::LimitReached, Outcome::NotApplied, detail)
        }
        (_, last) => last.unwrap_or_else(|| {
            TableError::protocol(Outcome::Unknown, "the update ended without a result")
        }),
    }
}
