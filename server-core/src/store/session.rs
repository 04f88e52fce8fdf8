//! One connection of a client, as far as the protocol goes: what was sent before decides what a
//! command means.
//!
//! ```text
//! any command ──> answers, in order │ a wait at the end of a segment │ the end of the connection
//! ```

use std::collections::{HashMap, HashSet};

use bytestring::ByteString;
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, CommandKind, MergedSegment, TableKey, VersionRange, WireCommand,
    codes::FailureCode, commands::*,
};
use uuid::Uuid;

use super::{Read, Refusal, Store, Waiting, attribute, policy_attributes};
use crate::{
    access::TokenRefusal,
    ids::{ConnectionId, StoreIndex},
    record::{Millis, Sequence},
};

/// How many writers may set up appends on one connection. Java's clients make a new connection
/// after 2,000.
const MAX_WRITERS: usize = 8192;
/// The server reads at most this much at a time, in bytes.
const MAX_READ_LEN: i32 = 2 << 20;
/// And asks for at least this much.
const MIN_READ_LEN: i32 = 8;

/// What a connection is at.
#[derive(Debug)]
pub struct Session {
    connection: ConnectionId,
    store: StoreIndex,
    assembler: AppendAssembler,
    /// The last number of each writer that was acknowledged here, or found by its set-up.
    acknowledged: HashMap<Uuid, i64>,
    /// Where reads of this connection may wait.
    read_at_end: HashSet<ByteString>,
}

/// An answer, and what has to be durable before it may leave.
#[derive(Debug)]
pub struct Answer {
    pub after: Sequence,
    pub reply: WireCommand,
}

/// The connection is to be closed, once all answers have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub &'static str);

/// What a command is handled with.
pub struct Surroundings<'a> {
    pub store: &'a mut Store,
    pub now: Millis,
    /// For names that the server chooses.
    pub random: Uuid,
    pub answers: &'a mut Vec<Answer>,
}

type Handled = Result<(), Closed>;

impl Session {
    pub fn new(connection: ConnectionId, store: StoreIndex) -> Self {
        Self {
            connection,
            store,
            assembler: AppendAssembler::new(),
            acknowledged: HashMap::new(),
            read_at_end: HashSet::new(),
        }
    }

    /// Lets go of what the connection waits for.
    pub fn end(&mut self, store: &mut Store) {
        store.forget_reads(self.connection, &self.read_at_end);
    }

    /// Does what a command asks for.
    ///
    /// # Errors
    ///
    /// [`Closed`] where the Java server closes the connection without a word.
    pub fn handle(&mut self, command: WireCommand, at: &mut Surroundings<'_>) -> Handled {
        if let Some(refused) = self.refuse_at_the_door(&command, at) {
            return refused;
        }
        match command {
            WireCommand::Hello(hello) => Self::hello(&hello, at),
            WireCommand::KeepAlive(_) => Self::answer(at, Sequence::default(), KeepAlive {}),
            WireCommand::SetupAppend(setup) => self.set_up(setup, at),
            WireCommand::ReadSegment(read) => self.read(read, at),
            WireCommand::AppendBlock(_)
            | WireCommand::AppendBlockEnd(_)
            | WireCommand::ConditionalAppend(_)
            | WireCommand::ConditionalBlockEnd(_)
            | WireCommand::Padding(_)
            | WireCommand::PartialEvent(_) => {
                match self
                    .assembler
                    .handle(command)
                    .map_err(|_| Closed("the rules of appending are broken"))?
                {
                    None => Ok(()),
                    Some(append) => self.append(append, at),
                }
            }
            other => manage(other, at),
        }
    }

    /// Refuses what another store owns, and what a token does not allow.
    fn refuse_at_the_door(
        &self,
        command: &WireCommand,
        at: &mut Surroundings<'_>,
    ) -> Option<Handled> {
        let (segment, token) = addressed(command)?;
        let request_id = command.request_id().unwrap_or(-1);
        if !at.store.placement.owns(self.store, segment) {
            return Some(Self::wrong_host(at, request_id, segment));
        }
        let access = at.store.access.as_ref()?;
        let refused = access.check_token(token, segment, at.now).err()?;
        if refused == TokenRefusal::Expired && matches!(command, WireCommand::SetupAppend(_)) {
            return Some(Err(Closed("the token of a set-up has expired")));
        }
        // The Java server puts the offset there.
        let request_id =
            if let WireCommand::ReadSegment(read) = command { read.offset } else { request_id };
        let error_code = refused.code();
        let refused =
            AuthTokenCheckFailed { request_id, server_stack_trace: ByteString::new(), error_code };
        Some(Self::answer(at, Sequence::default(), refused))
    }

    fn answer(
        at: &mut Surroundings<'_>,
        after: Sequence,
        reply: impl Into<WireCommand>,
    ) -> Handled {
        at.answers.push(Answer { after, reply: reply.into() });
        Ok(())
    }

    /// Sends a client to the controller, to ask where the segment is; the Java server does not say
    /// it either.
    fn wrong_host(at: &mut Surroundings<'_>, request_id: i64, segment: &ByteString) -> Handled {
        let (segment, correct_host, server_stack_trace) =
            (segment.clone(), ByteString::new(), ByteString::new());
        Self::answer(
            at,
            Sequence::default(),
            WrongHost { request_id, segment, correct_host, server_stack_trace },
        )
    }

    fn hello(theirs: &Hello, at: &mut Surroundings<'_>) -> Handled {
        Self::answer(at, Sequence::default(), VersionRange::SUPPORTED.hello())?;
        VersionRange::SUPPORTED.check(theirs).map_err(|_| Closed("there is no version in common"))
    }

    fn set_up(&mut self, setup: SetupAppend, at: &mut Surroundings<'_>) -> Handled {
        let (writer_id, segment, request_id) =
            (setup.writer_id, setup.segment.clone(), setup.request_id);
        if self.assembler.writers() >= MAX_WRITERS && !self.acknowledged.contains_key(&writer_id) {
            let message = format!(
                "{MAX_WRITERS} writers have set up appends on this connection, use another one"
            );
            let error_code = FailureCode::Unspecified;
            let refused = ErrorMessage { request_id, segment, message: message.into(), error_code };
            return Self::answer(at, Sequence::default(), refused);
        }
        self.assembler
            .handle(setup.into())
            .map_err(|_| Closed("a set-up came before the end of a block"))?;
        match at.store.set_up(&segment, writer_id) {
            Ok(last_event_number) => {
                self.assembler.resume(writer_id, last_event_number);
                self.acknowledged.insert(writer_id, last_event_number);
                let after = at.store.changed(&segment);
                Self::answer(
                    at,
                    after,
                    AppendSetup { request_id, segment, writer_id, last_event_number },
                )
            }
            Err(refusal) => {
                self.forget(writer_id);
                refuse(refusal, at, request_id, &segment, -1, "setupAppend")
            }
        }
    }

    fn forget(&mut self, writer_id: Uuid) {
        self.assembler.forget(writer_id);
        self.acknowledged.remove(&writer_id);
    }

    fn append(&mut self, append: Append, at: &mut Surroundings<'_>) -> Handled {
        let Append {
            segment,
            writer_id,
            event_number,
            event_count,
            data,
            expected_offset,
            request_id,
        } = append;
        if !at.store.placement.owns(self.store, &segment) {
            self.forget(writer_id);
            return Self::wrong_host(at, request_id, &segment);
        }
        let previous = self.acknowledged.get(&writer_id).copied().unwrap_or(i64::MIN);
        let writer = (writer_id, previous, event_number);
        match at.store.append(&segment, data, writer, event_count, expected_offset, at.now) {
            // The number was used before: the Java store keeps it a second time and says nothing.
            Ok(_) if event_number == previous => Ok(()),
            Ok(len) => {
                self.acknowledged.insert(writer_id, event_number);
                let after = at.store.changed(&segment);
                let (previous_event_number, current_segment_write_offset) = (previous, len as i64);
                let acknowledged = DataAppended {
                    writer_id,
                    event_number,
                    previous_event_number,
                    request_id,
                    current_segment_write_offset,
                };
                Self::answer(at, after, acknowledged)
            }
            Err(Refusal::Condition) => {
                // The number stays free.
                self.assembler.resume(writer_id, previous);
                let after = at.store.changed(&segment);
                Self::answer(
                    at,
                    after,
                    ConditionalCheckFailed { writer_id, event_number, request_id },
                )
            }
            Err(Refusal::EventNumber) => {
                let after = at.store.changed(&segment);
                let server_stack_trace = ByteString::new();
                Self::answer(
                    at,
                    after,
                    InvalidEventNumber { writer_id, request_id, server_stack_trace, event_number },
                )?;
                Err(Closed("another connection used the writer's id"))
            }
            Err(refusal) => {
                self.forget(writer_id);
                let offset = if refusal == Refusal::Sealed { event_number } else { -1 };
                refuse(refusal, at, request_id, &segment, offset, "append")
            }
        }
    }

    fn read(&mut self, read: ReadSegment, at: &mut Surroundings<'_>) -> Handled {
        let ReadSegment { segment, offset, suggested_length, request_id, .. } = read;
        let max_len = suggested_length.clamp(MIN_READ_LEN, MAX_READ_LEN).unsigned_abs() as usize;
        let waiting = Waiting { connection: self.connection, request_id, offset, max_len };
        let after = at.store.changed(&segment);
        match at.store.read(&segment, waiting) {
            Ok(Read::Data { data, at_tail, end_of_segment }) => {
                let read =
                    SegmentRead { segment, offset, at_tail, end_of_segment, data, request_id };
                Self::answer(at, after, read)
            }
            Ok(Read::Waits) => {
                self.read_at_end.insert(segment);
                Ok(())
            }
            Err(refusal) => refuse(refusal, at, request_id, &segment, offset, "readSegment"),
        }
    }
}

/// Answers a refusal, or closes the connection.
fn refuse(
    refusal: Refusal,
    at: &mut Surroundings<'_>,
    request_id: i64,
    segment: &ByteString,
    offset: i64,
    operation: &'static str,
) -> Handled {
    let reason = if let Refusal::Close(reason) = refusal {
        reason
    } else {
        "the request cannot be answered"
    };
    let after = at.store.latest();
    match refusal.reply(request_id, segment, offset, operation) {
        Some(reply) => Session::answer(at, after, reply),
        None => Err(Closed(reason)),
    }
}

/// Requests that need nothing of what came before on the connection.
fn manage(command: WireCommand, at: &mut Surroundings<'_>) -> Handled {
    let now = at.now;
    let store = &mut *at.store;
    let request_id = command.request_id().unwrap_or(-1);
    let (done, segment, offset, operation): (
        Result<WireCommand, Refusal>,
        ByteString,
        i64,
        &'static str,
    ) = match command {
        WireCommand::CreateSegment(create) => {
            let segment = create.segment;
            let mut attributes = policy_attributes(create.scale_type, create.target_rate);
            attributes.push((attribute::ROLLOVER_SIZE, create.rollover_size_bytes.max(0)));
            let done = store.create(&segment, attributes, now);
            (
                done.map(|()| SegmentCreated { request_id, segment: segment.clone() }.into()),
                segment,
                -1,
                "createSegment",
            )
        }
        WireCommand::CreateTransientSegment(create) => {
            let (parent, writer) = (create.parent_segment, create.writer_id.simple());
            let segment =
                ByteString::from(format!("{parent}#transient.{writer}.{}", at.random.simple()));
            let done = store.create(&segment, Vec::new(), now);
            let created = SegmentCreated { request_id, segment: segment.clone() };
            (done.map(|()| created.into()), segment, -1, "createTransientSegment")
        }
        WireCommand::GetStreamSegmentInfo(get) => {
            let segment = get.segment_name;
            let done = store.info(&segment).map(|info| {
                let (is_sealed, last_modified) = (info.sealed, info.last_modified.0);
                let (write_offset, start_offset) = (info.len as i64, info.start as i64);
                let (segment_name, exists, is_deleted) = (segment.clone(), true, false);
                StreamSegmentInfo {
                    request_id,
                    segment_name,
                    exists,
                    is_sealed,
                    is_deleted,
                    last_modified,
                    write_offset,
                    start_offset,
                }
                .into()
            });
            (done, segment, -1, "getStreamSegmentInfo")
        }
        WireCommand::SealSegment(seal) => {
            let segment = seal.segment;
            let done = store.seal(&segment, now);
            (
                done.map(|()| SegmentSealed { request_id, segment: segment.clone() }.into()),
                segment,
                -1,
                "sealSegment",
            )
        }
        WireCommand::TruncateSegment(truncate) => {
            let (segment, offset) = (truncate.segment, truncate.truncation_offset);
            let done = store.truncate(&segment, offset, now);
            (
                done.map(|()| SegmentTruncated { request_id, segment: segment.clone() }.into()),
                segment,
                offset,
                "truncateSegment",
            )
        }
        WireCommand::DeleteSegment(delete) => {
            let segment = delete.segment;
            let done = store.delete(&segment);
            (
                done.map(|()| SegmentDeleted { request_id, segment: segment.clone() }.into()),
                segment,
                -1,
                "deleteSegment",
            )
        }
        WireCommand::UpdateSegmentPolicy(update) => {
            let segment = update.segment;
            let done = store.set_policy(&segment, update.scale_type, update.target_rate);
            let updated = SegmentPolicyUpdated { request_id, segment: segment.clone() };
            (done.map(|()| updated.into()), segment, -1, "updateSegmentPolicy")
        }
        WireCommand::MergeSegments(merge) => {
            let MergeSegments { target, source, attribute_updates, .. } = merge;
            match store.merge(&target, &source, &attribute_updates, now) {
                Ok(len) => {
                    let (target, new_target_write_offset) = (target, len as i64);
                    let named = target.clone();
                    let merged =
                        SegmentsMerged { request_id, target, source, new_target_write_offset };
                    (Ok(merged.into()), named, -1, "mergeSegments")
                }
                Err(Refusal::Condition) => {
                    let unmatched = SegmentAttributeUpdated { request_id, success: false };
                    (Ok(unmatched.into()), target, -1, "mergeSegments")
                }
                Err(Refusal::NoSuchSource) => {
                    (Err(Refusal::NoSuchSource), source, -1, "mergeSegments")
                }
                Err(refusal) => (Err(refusal), target, -1, "mergeSegments"),
            }
        }
        WireCommand::MergeSegmentsBatch(merge) => {
            let MergeSegmentsBatch {
                target_segment_id: target, source_segment_ids: sources, ..
            } = merge;
            let done = store.merge_batch(&target, &sources, now).map(|lens| {
                let merged = sources
                    .iter()
                    .zip(lens)
                    .map(|(source, len)| MergedSegment {
                        source: source.clone(),
                        new_target_write_offset: len as i64,
                    })
                    .collect();
                SegmentsBatchMerged { request_id, target: target.clone(), merged }.into()
            });
            (done, target, -1, "mergeSegmentsBatch")
        }
        WireCommand::GetSegmentAttribute(get) => {
            let segment = get.segment_name;
            let done = store.attribute(&segment, get.attribute_id);
            (
                done.map(|value| SegmentAttribute { request_id, value }.into()),
                segment,
                -1,
                "getSegmentAttribute",
            )
        }
        WireCommand::UpdateSegmentAttribute(update) => {
            let segment = update.segment_name;
            let done = store.update_attribute(
                &segment,
                update.attribute_id,
                update.expected_value,
                update.new_value,
            );
            let updated = |success| SegmentAttributeUpdated { request_id, success }.into();
            (done.map(updated), segment, -1, "updateSegmentAttribute")
        }
        table => manage_table(table, request_id, store, now)?,
    };
    match done {
        Ok(reply) => {
            // What is gone cannot say what the answer waits for.
            let is_gone = matches!(reply, WireCommand::SegmentDeleted(_));
            let after = if is_gone { store.latest() } else { store.changed(&segment) };
            Session::answer(at, after, reply)
        }
        Err(refusal) => refuse(refusal, at, request_id, &segment, offset, operation),
    }
}

type Managed = (Result<WireCommand, Refusal>, ByteString, i64, &'static str);

fn manage_table(
    command: WireCommand,
    request_id: i64,
    store: &mut Store,
    now: Millis,
) -> Result<Managed, Closed> {
    Ok(match command {
        WireCommand::CreateTableSegment(create) => {
            let segment = create.segment;
            let done =
                store.create_table(&segment, create.key_length, create.rollover_size_bytes, now);
            let created = SegmentCreated { request_id, segment: segment.clone() };
            (done.map(|()| created.into()), segment, -1, "createTableSegment")
        }
        WireCommand::DeleteTableSegment(delete) => {
            let segment = delete.segment;
            let done = store.delete_table(&segment, delete.must_be_empty);
            let deleted = SegmentDeleted { request_id, segment: segment.clone() };
            (done.map(|()| deleted.into()), segment, -1, "deleteTableSegment")
        }
        WireCommand::GetTableSegmentInfo(get) => {
            let segment_name = get.segment_name;
            let done = store.table(&segment_name).map(|(table, len)| {
                let (length, entry_count, key_length) =
                    (len as i64, table.len() as i64, table.key_len() as i32);
                let segment_name = segment_name.clone();
                TableSegmentInfo {
                    request_id,
                    segment_name,
                    start_offset: 0,
                    length,
                    entry_count,
                    key_length,
                }
                .into()
            });
            (done, segment_name, -1, "getTableSegmentInfo")
        }
        WireCommand::UpdateTableEntries(update) => {
            let (segment, offset) = (update.segment, update.table_segment_offset);
            let done = store.put(&segment, &update.table_entries, offset, now);
            let updated =
                |updated_versions| TableEntriesUpdated { request_id, updated_versions }.into();
            (done.map(updated), segment, offset, "updateTableEntries")
        }
        WireCommand::RemoveTableKeys(remove) => {
            let (segment, offset) = (remove.segment, remove.table_segment_offset);
            let done = store.remove(&segment, &remove.keys, offset, now);
            let removed = TableKeysRemoved { request_id, segment: segment.clone() };
            (done.map(|()| removed.into()), segment, offset, "removeTableKeys")
        }
        WireCommand::ReadTable(read) => {
            let segment = read.segment;
            let done = store.table(&segment).map(|(table, _)| {
                TableRead { request_id, segment: segment.clone(), entries: table.read(&read.keys) }
                    .into()
            });
            (done, segment, -1, "readTable")
        }
        WireCommand::ReadTableKeys(read) => {
            let (segment, args) = (read.segment, read.args);
            let page = store.table(&segment).and_then(|(table, _)| {
                let token = &args.continuation_token;
                table
                    .page(read.suggested_key_count, token, &args.from_key, &args.to_key)
                    .map_err(Refusal::Table)
            });
            let done = page.map(|(entries, continuation_token)| {
                let keys: Vec<TableKey> = entries.into_iter().map(|entry| entry.key).collect();
                TableKeysRead { request_id, segment: segment.clone(), keys, continuation_token }
                    .into()
            });
            (done, segment, -1, "readTableKeys")
        }
        WireCommand::ReadTableEntries(read) => {
            let (segment, args) = (read.segment, read.args);
            let page = store.table(&segment).and_then(|(table, _)| {
                let token = &args.continuation_token;
                table
                    .page(read.suggested_entry_count, token, &args.from_key, &args.to_key)
                    .map_err(Refusal::Table)
            });
            let done = page.map(|(entries, continuation_token)| {
                TableEntriesRead {
                    request_id,
                    segment: segment.clone(),
                    entries,
                    continuation_token,
                }
                .into()
            });
            (done, segment, -1, "readTableEntries")
        }
        WireCommand::ReadTableEntriesDelta(read) => {
            let segment = read.segment;
            let delta = store.table(&segment).and_then(|(table, len)| {
                table
                    .delta(read.from_position, read.suggested_entry_count, len as i64)
                    .map_err(Refusal::Table)
            });
            let done = delta.map(|(entries, reached_end, last_position)| {
                let (segment, should_clear) = (segment.clone(), false);
                TableEntriesDeltaRead {
                    request_id,
                    segment,
                    entries,
                    should_clear,
                    reached_end,
                    last_position,
                }
                .into()
            });
            (done, segment, -1, "readTableEntriesDelta")
        }
        other if other.kind() == CommandKind::Request => {
            return Err(Closed("the command belongs to the administration's port"));
        }
        _ => return Err(Closed("the command is not one of a client")),
    })
}

/// The segment that a request is for, and its token.
fn addressed(command: &WireCommand) -> Option<(&ByteString, &ByteString)> {
    Some(match command {
        WireCommand::SetupAppend(c) => (&c.segment, &c.delegation_token),
        WireCommand::ReadSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::CreateSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::CreateTransientSegment(c) => (&c.parent_segment, &c.delegation_token),
        WireCommand::GetStreamSegmentInfo(c) => (&c.segment_name, &c.delegation_token),
        WireCommand::SealSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::TruncateSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::DeleteSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::UpdateSegmentPolicy(c) => (&c.segment, &c.delegation_token),
        WireCommand::MergeSegments(c) => (&c.source, &c.delegation_token),
        WireCommand::MergeSegmentsBatch(c) => (&c.target_segment_id, &c.delegation_token),
        WireCommand::GetSegmentAttribute(c) => (&c.segment_name, &c.delegation_token),
        WireCommand::UpdateSegmentAttribute(c) => (&c.segment_name, &c.delegation_token),
        WireCommand::CreateTableSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::DeleteTableSegment(c) => (&c.segment, &c.delegation_token),
        WireCommand::GetTableSegmentInfo(c) => (&c.segment_name, &c.delegation_token),
        WireCommand::UpdateTableEntries(c) => (&c.segment, &c.delegation_token),
        WireCommand::RemoveTableKeys(c) => (&c.segment, &c.delegation_token),
        WireCommand::ReadTable(c) => (&c.segment, &c.delegation_token),
        WireCommand::ReadTableKeys(c) => (&c.segment, &c.delegation_token),
        WireCommand::ReadTableEntries(c) => (&c.segment, &c.delegation_token),
        WireCommand::ReadTableEntriesDelta(c) => (&c.segment, &c.delegation_token),
        _ => return None,
    })
}
