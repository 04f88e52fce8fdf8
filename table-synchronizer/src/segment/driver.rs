//! Requests about one table segment, and the loop of a change.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_segment_client::{
    context::SegmentContext,
    request::{AskError, Repeats, Terms},
    runtime::{random_bits, rng},
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{
    Offset, Outcome, ScopedKeyValueTable, ScopedSegment, ScopedStream, SegmentId,
};
use pravega_sdk_wire_protocol::{
    IterationArgs, Request, TableEntry, TableKey, TableValue, commands::*,
};
use tokio::time::{Instant, sleep};

use super::machine::{ChangeMachine, DeltaPage, Effect, Failed, Item, PageRequest, Verdict};
use crate::{
    config::TableConfig,
    entry::{Condition, Entry, Version},
    error::{TableError, is_condition, is_end},
};

/// The offset of a request that accepts any length of the table.
const ANY_OFFSET: i64 = -1;

/// Sends requests about one table segment.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    pub(super) context: SegmentContext,
    pub(super) table: ScopedKeyValueTable,
    pub(super) segment: ScopedSegment,
    pub(super) config: TableConfig,
    /// The name of the segment in requests.
    wire_name: ByteString,
    /// The stream for whose segments the tokens are.
    token_stream: ScopedStream,
}

/// The time until which a call must end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl Driver {
    pub(super) fn new(
        context: SegmentContext,
        table: &ScopedKeyValueTable,
        id: SegmentId,
        config: TableConfig,
    ) -> Self {
        let segment = ScopedSegment::new(&table.segment_stream(), id);
        let (wire_name, token_stream) = (segment.to_string().into(), table.token_stream());
        Self { context, table: table.clone(), segment, config, wire_name, token_stream }
    }

    /// Names the call and the segment in an error.
    pub(super) fn name(&self, operation: &'static str, error: TableError) -> TableError {
        let error = error.of(operation, &self.table);
        error.map(|failure| failure.with_segment(self.segment.id()))
    }

    /// The time that a call takes at most.
    pub(super) fn limit(&self) -> Duration {
        self.config.timeout.unwrap_or_else(|| self.context.ask_limit())
    }

    pub(super) fn deadline(&self) -> Deadline {
        let limit = self.limit();
        let now = Instant::now();
        // Far enough to be never.
        let far = Duration::from_secs(86400 * 365 * 30);
        Deadline(now.checked_add(limit).unwrap_or(now + far))
    }

    pub(super) async fn ask<Q: Request>(
        &self,
        deadline: Deadline,
        repeats: Repeats,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        let terms = Terms::default()
            .with_token(self.token_stream.clone(), AccessOperation::ReadWrite)
            .with_repeats(repeats)
            .with_limit(deadline.left());
        self.context.ask_on(&self.segment, &terms, request).await
    }

    /// Makes a change, and finds out what it did. The table must end at `end`, unless that is
    /// `None`.
    pub(super) async fn change(
        &self,
        items: Vec<Item>,
        end: Option<Offset>,
    ) -> Result<Vec<Version>, TableError> {
        let deadline = self.deadline();
        if !self.config.bugs.has(SeededBug::SplitsChanges) {
            return self.change_by(deadline, items, end).await;
        }
        let mut versions = Vec::new();
        for item in items {
            versions.extend(self.change_by(deadline, vec![item], end).await?);
        }
        Ok(versions)
    }

    async fn change_by(
        &self,
        deadline: Deadline,
        items: Vec<Item>,
        end: Option<Offset>,
    ) -> Result<Vec<Version>, TableError> {
        let keys: Vec<Bytes> = items.iter().map(|item| item.key.clone()).collect();
        let request = ChangeRequest::new(&items, end);
        let random = random_bits(rng(None));
        let mut machine = ChangeMachine::new(items, self.config.values, random, self.config.bugs);
        let mut last: Option<TableError> = None;
        // Those of all requests together.
        let mut attempts: u32 = 0;
        loop {
            match machine.poll_effect() {
                Effect::Send(pause) if pause > Duration::ZERO && pause >= deadline.left() => {
                    return Err(ended(Verdict::Failed(Outcome::Unknown), last));
                }
                Effect::Send(pause) => {
                    if pause > Duration::ZERO {
                        sleep(pause).await;
                    }
                    match request.send(self, deadline).await {
                        Ok(versions) => {
                            attempts = attempts.saturating_add(1);
                            machine.handle_made(versions);
                        }
                        Err(error) => {
                            machine.handle_failed(failed(&error));
                            attempts = attempts.saturating_add(error.attempts());
                            last = Some(TableError::from_change(error).with_attempts(attempts));
                        }
                    }
                }
                Effect::Read => match self.read(deadline, &keys).await {
                    Ok(found) => machine.handle_found(&found),
                    Err(_) => machine.handle_unreadable(),
                },
                Effect::End(Verdict::Made(versions)) => return Ok(versions),
                Effect::End(verdict) => return Err(ended(verdict, last).with_attempts(attempts)),
            }
        }
    }

    /// Reads keys, as many as one request may have; the entries are in the order of the keys.
    pub(super) async fn read(
        &self,
        deadline: Deadline,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Entry>>, TableError> {
        let mut all = Vec::with_capacity(keys.len());
        for keys in keys.chunks(super::machine::MAX_READ_KEYS) {
            all.extend(self.read_some(deadline, keys).await?);
        }
        Ok(all)
    }

    /// Reads keys, in one request.
    ///
    /// A 0.13.0 server releases the memory of a request's keys before it has written the reply, so
    /// with the answer that there is no entry it may return the key of another request. The entries
    /// are in the order of the keys, and are found before that.
    pub(super) async fn read_some(
        &self,
        deadline: Deadline,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Entry>>, TableError> {
        let asked = self.ask(deadline, Repeats::Always, |token| ReadTable {
            request_id: 0,
            segment: self.name_on_wire(),
            delegation_token: token.into(),
            keys: keys.iter().map(|key| wire_key(key, Condition::Any)).collect(),
        });
        let reply = asked.await.map_err(TableError::from_read)?;
        let is_of = |(entry, key): (&TableEntry, &Bytes)| {
            entry.key.key_version == TableKey::NOT_EXISTS || entry.key.data == key
        };
        if reply.entries.len() != keys.len() || !reply.entries.iter().zip(keys).all(is_of) {
            let detail = "the server returned other keys than were read";
            return Err(TableError::protocol(Outcome::NotApplied, detail));
        }
        reply.entries.into_iter().map(found).collect()
    }

    pub(super) async fn key_page(
        &self,
        request: &PageRequest,
    ) -> Result<TableKeysRead, TableError> {
        let asked = self.ask(self.deadline(), Repeats::Always, |token| ReadTableKeys {
            request_id: 0,
            segment: self.name_on_wire(),
            delegation_token: token.into(),
            suggested_key_count: self.config.page_size.0,
            args: args(request),
        });
        asked.await.map_err(TableError::from_read)
    }

    pub(super) async fn entry_page(
        &self,
        request: &PageRequest,
    ) -> Result<TableEntriesRead, TableError> {
        let asked = self.ask(self.deadline(), Repeats::Always, |token| ReadTableEntries {
            request_id: 0,
            segment: self.name_on_wire(),
            delegation_token: token.into(),
            suggested_entry_count: self.config.page_size.0,
            args: args(request),
        });
        asked.await.map_err(TableError::from_read)
    }

    pub(super) async fn delta_page(&self, from: Offset) -> Result<DeltaPage, TableError> {
        let asked = self.ask(self.deadline(), Repeats::Always, |token| ReadTableEntriesDelta {
            request_id: 0,
            segment: self.name_on_wire(),
            delegation_token: token.into(),
            from_position: from.0,
            suggested_entry_count: self.config.page_size.0,
        });
        let reply = asked.await.map_err(TableError::from_read)?;
        Ok(DeltaPage {
            entries: reply.entries.into_iter().map(present).collect::<Result<_, _>>()?,
            starts_over: reply.should_clear,
            reached_end: reply.reached_end,
            last_position: Offset(reply.last_position),
        })
    }

    pub(super) fn name_on_wire(&self) -> ByteString {
        self.wire_name.clone()
    }
}

/// The request of a change, in the form in which it is sent.
struct ChangeRequest {
    change: Change,
    offset: i64,
}

enum Change {
    Put(Vec<TableEntry>),
    Remove(Vec<TableKey>),
}

impl ChangeRequest {
    /// All items are put, or all are removed.
    fn new(items: &[Item], end: Option<Offset>) -> Self {
        let put = |item: &Item| {
            let value = TableValue { data: item.value.clone()? };
            Some(TableEntry { key: wire_key(&item.key, item.condition), value })
        };
        let puts: Option<Vec<TableEntry>> = items.iter().map(put).collect();
        let change = puts.map_or_else(
            || {
                let key = |item: &Item| wire_key(&item.key, item.condition);
                Change::Remove(items.iter().map(key).collect())
            },
            Change::Put,
        );
        Self { change, offset: end.map_or(ANY_OFFSET, |end| end.0) }
    }

    async fn send(&self, to: &Driver, deadline: Deadline) -> Result<Vec<Version>, AskError> {
        match &self.change {
            Change::Put(entries) => {
                let asked = to.ask(deadline, Repeats::UntilInDoubt, |token| UpdateTableEntries {
                    request_id: 0,
                    segment: to.name_on_wire(),
                    delegation_token: token.into(),
                    table_entries: entries.clone(),
                    table_segment_offset: self.offset,
                });
                let versions = asked.await?.updated_versions;
                // A negative one is missing from the result, which the machine refuses.
                Ok(versions.into_iter().filter_map(Version::new).collect())
            }
            Change::Remove(keys) => {
                let asked = to.ask(deadline, Repeats::UntilInDoubt, |token| RemoveTableKeys {
                    request_id: 0,
                    segment: to.name_on_wire(),
                    delegation_token: token.into(),
                    keys: keys.clone(),
                    table_segment_offset: self.offset,
                });
                asked.await.map(|_| Vec::new())
            }
        }
    }
}

fn failed(error: &AskError) -> Failed {
    match error.reply() {
        Some(reply) if is_condition(reply) || is_end(reply) => Failed::Condition,
        _ => Failed::Otherwise { kind: error.kind(), outcome: error.outcome() },
    }
}

/// The error of a change that did not succeed.
fn ended(verdict: Verdict, last: Option<TableError>) -> TableError {
    let last = last.unwrap_or_else(|| {
        TableError::protocol(Outcome::Unknown, "the change ended without a reply")
    });
    match verdict {
        // A doubt that was cleared up has an error of its own.
        Verdict::Refused => last.with_outcome(Outcome::NotApplied),
        Verdict::MadeAndChangedSince => last.with_outcome(Outcome::Applied),
        Verdict::Failed(outcome) => last.with_outcome(outcome),
        Verdict::Made(_) | Verdict::WrongReply => TableError::protocol(
            Outcome::Applied,
            "the server returned another number of versions than keys were put",
        ),
    }
}

fn args(request: &PageRequest) -> IterationArgs {
    let PageRequest { continuation, from, to } = request.clone();
    IterationArgs {
        continuation_token: continuation,
        from_key: from,
        to_key: to,
        ..IterationArgs::default()
    }
}

fn wire_key(key: &Bytes, condition: Condition) -> TableKey {
    TableKey { data: key.clone(), key_version: condition.to_wire() }
}

/// The entry of a key that was read; `None` if the key does not exist.
fn found(entry: TableEntry) -> Result<Option<Entry>, TableError> {
    match entry.key.key_version {
        TableKey::NOT_EXISTS => Ok(None),
        _ => present(entry).map(Some),
    }
}

/// An entry that exists.
pub(super) fn present(entry: TableEntry) -> Result<Entry, TableError> {
    let version = version_of(&entry.key)?;
    Ok(Entry { key: entry.key.data, value: entry.value.data, version })
}

pub(super) fn version_of(key: &TableKey) -> Result<Version, TableError> {
    Version::new(key.key_version).ok_or_else(|| {
        let detail = "the server returned an entry with a version that none has";
        TableError::protocol(Outcome::NotApplied, detail)
    })
}
