//! One connection of a client. Earlier commands decide what a command means.
//!
//! ```text
//! any command ──> replies, in order │ a wait at the end of a segment │ the end of the connection
//! ```

use std::collections::{HashMap, HashSet};

use bytestring::ByteString;
use pravega_sdk_types::{EventNumber, Offset, WriterId, segment_name};
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, VersionRange, WireCommand, codes::FailureCode, commands::*,
};

use super::{
    commands::{self, Address, Outcome},
    refusal::{Closed, Refusal},
    requests::{AppendRequest, Step},
    state::Store,
    waiting::WaitingRead,
};
use crate::{
    access::{TokenRefusal, is_ahead},
    ids::{ConnectionId, StoreIndex},
    record::{Millis, Sequence},
};

/// The most writers that set up appends on one connection. Java's clients open a new connection
/// after 2,000.
const MAX_WRITERS: usize = 8192;
/// The most bytes of one read.
const MAX_READ_LEN: i32 = 2 << 20;
/// The fewest bytes that a read allows.
const MIN_READ_LEN: i32 = 8;

/// The state of a connection.
#[derive(Debug)]
pub struct Session {
    connection: ConnectionId,
    store: StoreIndex,
    assembler: AppendAssembler,
    /// The last number of each writer that was acknowledged here, or found by its set-up.
    acknowledged: HashMap<WriterId, EventNumber>,
    /// The writers of which nothing is stored before they set up again: an append found no memory,
    /// and one that was sent after it may be small enough.
    refused: HashSet<WriterId>,
    /// When the first token of a set-up expires; `None` if there is none. The connection ends then,
    /// as on the Java server: the client asks for another token, and sets up again.
    expires: Option<Millis>,
    /// The server has no accounts, or a token of the client allowed a command.
    is_admitted: bool,
    /// When a token of a set-up was last checked.
    set_up_at: Option<Millis>,
}

/// A reply, and the batch that must be durable before it leaves.
#[derive(Debug)]
pub struct Reply {
    /// The batch of records.
    pub after: Sequence,
    /// The command that is sent.
    pub command: WireCommand,
}

/// The context in which a command is handled.
#[derive(Debug)]
pub struct Context<'a> {
    /// The segments, the journal, and the accounts.
    pub step: Step<'a>,
    /// Takes the replies, in order.
    pub replies: &'a mut Vec<Reply>,
}

type Handled = Result<(), Closed>;

impl Context<'_> {
    /// Adds a reply that reveals no change.
    fn reply_at_once(&mut self, reply: impl Into<WireCommand>) {
        self.reply(Sequence::default(), reply);
    }

    /// Adds a reply that reveals the last change of a segment.
    fn reply_about(&mut self, segment: &str, reply: impl Into<WireCommand>) {
        self.reply(self.step.store.changed(segment), reply);
    }

    fn reply(&mut self, after: Sequence, reply: impl Into<WireCommand>) {
        self.replies.push(Reply { after, command: reply.into() });
    }

    /// Makes the changes of many segments that a command may reveal.
    fn settle(&mut self, command: &WireCommand) {
        let store = &mut *self.step.store;
        if store.is_settled() {
            return;
        }
        let Some(Address { segment, others, .. }) = commands::address(command) else { return };
        for name in std::iter::once(segment).chain(others) {
            store.settle(name);
        }
    }

    /// Sends a client to the controller, which knows the store of the segment. Like the Java
    /// server, the reply does not name it.
    fn reply_wrong_host(&mut self, request_id: i64, segment: &ByteString) {
        let (correct_host, server_stack_trace) = (ByteString::new(), ByteString::new());
        let segment = segment.clone();
        self.reply_at_once(WrongHost { request_id, segment, correct_host, server_stack_trace });
    }

    /// Replies with a refusal, or closes the connection.
    fn refuse(&mut self, refusal: Refusal, request_id: i64, named: &Named<'_>) -> Handled {
        let reason = if let Refusal::Close(reason) = refusal {
            reason
        } else {
            "the request cannot be answered"
        };
        let reply = refusal.reply(request_id, named.segment, named.offset, named.operation);
        let reply = reply.ok_or(Closed(reason))?;
        self.reply(self.step.journal.latest(), reply);
        Ok(())
    }
}

/// The names in the reply to a refused request.
struct Named<'a> {
    segment: &'a ByteString,
    offset: Option<Offset>,
    operation: &'static str,
}

impl Session {
    /// A new connection to one of the stores.
    pub fn new(connection: ConnectionId, store: StoreIndex) -> Self {
        Self {
            connection,
            store,
            assembler: AppendAssembler::new(),
            acknowledged: HashMap::new(),
            refused: HashSet::new(),
            expires: None,
            is_admitted: false,
            set_up_at: None,
        }
    }

    /// Drops the waiting reads of the connection, and its writers.
    pub fn end(&mut self, store: &mut Store) {
        store.forget_reads(self.connection);
        store.writers.0.forget(self.connection);
    }

    /// Returns true if a block of an append was begun and not ended: its bytes are kept until then.
    pub fn is_in_block(&self) -> bool {
        self.assembler.is_in_block()
    }

    /// Returns true once a command for a segment was allowed: on a server with accounts, one with a
    /// token that allows it.
    pub fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// When the connection ends, as the token of a set-up expires; `None` if none does.
    pub fn expires(&self) -> Option<Millis> {
        self.expires
    }

    /// Handles a command.
    ///
    /// # Errors
    ///
    /// [`Closed`] where the Java server closes the connection without a reply.
    pub fn handle(&mut self, command: WireCommand, context: &mut Context<'_>) -> Handled {
        let now = context.step.at.now;
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Closed("the token of a set-up has expired"));
        }
        if self.set_up_at.is_some_and(|set_up| is_ahead(set_up, now)) {
            return Err(Closed("the token of a set-up was checked by a clock that was ahead"));
        }
        // Before the check, which asks what kind of segment it is.
        context.settle(&command);
        if self.authorize(&command, context)? == Access::Refused {
            return Ok(());
        }
        match command {
            WireCommand::Hello(hello) => Self::hello(&hello, context),
            WireCommand::KeepAlive(_) => {
                context.reply_at_once(KeepAlive {});
                Ok(())
            }
            WireCommand::SetupAppend(setup) => self.set_up(setup, context),
            WireCommand::ReadSegment(read) => self.read(read, context),
            WireCommand::AppendBlock(_)
            | WireCommand::AppendBlockEnd(_)
            | WireCommand::ConditionalAppend(_)
            | WireCommand::ConditionalBlockEnd(_)
            | WireCommand::Padding(_)
            | WireCommand::PartialEvent(_) => {
                let append = self.assembler.handle(command);
                match append.map_err(|_| Closed("the rules of appending are broken"))? {
                    None => Ok(()),
                    Some(append) => self.append(append, context),
                }
            }
            other => Self::run(other, context),
        }
    }

    /// Replies to a command for a segment of another store, and to one that its token does not
    /// allow.
    fn authorize(
        &mut self,
        command: &WireCommand,
        context: &mut Context<'_>,
    ) -> Result<Access, Closed> {
        let Some(Address { segment, others, needs, token }) = commands::address(command) else {
            return Ok(Access::Granted);
        };
        let request_id = command.request_id().unwrap_or(-1);
        if !context.step.placement.owns(self.store, segment) {
            self.forget_set_up(command, context.step.store);
            context.reply_wrong_host(request_id, segment);
            return Ok(Access::Refused);
        }
        let now = context.step.at.now;
        let names = std::iter::once(segment).chain(others).map(|name| &**name);
        let (access, store) = (context.step.access, &*context.step.store);
        let may_be_table =
            |name: &str| store.segment(name).map_or(true, |found| found.table().is_some());
        let checked =
            access.map(|access| access.check_token(token, needs, names, may_be_table, now));
        let refusal = match checked {
            None => {
                self.is_admitted = true;
                return Ok(Access::Granted);
            }
            Some(Ok(expires)) => {
                self.is_admitted = true;
                if matches!(command, WireCommand::SetupAppend(_)) {
                    self.expires = Some(self.expires.map_or(expires, |first| first.min(expires)));
                    self.set_up_at = Some(self.set_up_at.map_or(now, |last| last.max(now)));
                }
                return Ok(Access::Granted);
            }
            Some(Err(refusal)) => refusal,
        };
        if refusal == TokenRefusal::Expired && matches!(command, WireCommand::SetupAppend(_)) {
            return Err(Closed("the token of a set-up has expired"));
        }
        self.forget_set_up(command, context.step.store);
        // For a read, the Java server puts its offset in this field.
        let request_id =
            if let WireCommand::ReadSegment(read) = command { read.offset } else { request_id };
        let (error_code, server_stack_trace) = (refusal.code(), ByteString::new());
        context.reply_at_once(AuthTokenCheckFailed { request_id, server_stack_trace, error_code });
        Ok(Access::Refused)
    }

    fn hello(theirs: &Hello, context: &mut Context<'_>) -> Handled {
        context.reply_at_once(VersionRange::SUPPORTED.hello());
        VersionRange::SUPPORTED
            .check(theirs)
            .map_err(|_| Closed("the client and the server have no version in common"))
    }

    /// Handles a request that does not depend on the state of the connection.
    fn run(command: WireCommand, context: &mut Context<'_>) -> Handled {
        let request_id = command.request_id().unwrap_or(-1);
        let (outcome, operation) = commands::run(command, &mut context.step)?;
        let Outcome { segment, offset, result } = outcome;
        match result {
            // A deleted segment has no last change.
            Ok(reply @ WireCommand::SegmentDeleted(_)) => {
                context.reply(context.step.journal.latest(), reply);
                Ok(())
            }
            Ok(reply) => {
                context.reply_about(&segment, reply);
                Ok(())
            }
            Err(refusal) => {
                context.refuse(refusal, request_id, &Named { segment: &segment, offset, operation })
            }
        }
    }

    fn set_up(&mut self, setup: SetupAppend, context: &mut Context<'_>) -> Handled {
        let (writer_id, segment, request_id) =
            (setup.writer_id, setup.segment.clone(), setup.request_id);
        let writer = WriterId(writer_id);
        if let Err(refusal) = may_set_up(&segment, writer, &context.step) {
            self.forget(writer, context.step.store);
            let named = Named { segment: &segment, offset: None, operation: "setupAppend" };
            return context.refuse(refusal, request_id, &named);
        }
        let is_new = !self.acknowledged.contains_key(&writer);
        let writers = self.acknowledged.len();
        let store = &mut context.step.store;
        if is_new && (writers >= MAX_WRITERS || !store.writers.0.add(self.connection)) {
            let message = format!(
                "{writers} writers have set up appends on this connection, use another one"
            );
            let error_code = FailureCode::Unspecified;
            let refused = ErrorMessage { request_id, segment, message: message.into(), error_code };
            context.reply_at_once(refused);
            return Ok(());
        }
        // Kept for as long as the writer is: not as a part of the request.
        let setup = SetupAppend { segment: store.name_to_keep(&segment), ..setup };
        self.assembler
            .handle(setup.into())
            .map_err(|_| Closed("a set-up came before the end of a block"))?;
        match context.step.store.last_event_number(&segment, writer) {
            Ok(last) => {
                self.refused.remove(&writer);
                let last_event_number = last.0;
                self.assembler.resume(writer_id, last_event_number);
                self.acknowledged.insert(writer, last);
                let reply = AppendSetup {
                    request_id,
                    segment: segment.clone(),
                    writer_id,
                    last_event_number,
                };
                context.reply_about(&segment, reply);
                Ok(())
            }
            Err(refusal) => {
                self.acknowledged.entry(writer).or_insert(EventNumber::NONE);
                self.forget(writer, context.step.store);
                let named = Named { segment: &segment, offset: None, operation: "setupAppend" };
                context.refuse(refusal, request_id, &named)
            }
        }
    }

    /// Forgets the earlier set-up of a writer when another one is refused: the appends that follow
    /// are for the segment of the refused one. They end the connection, as on the Java server.
    fn forget_set_up(&mut self, refused: &WireCommand, store: &mut Store) {
        if let WireCommand::SetupAppend(setup) = refused {
            self.forget(WriterId(setup.writer_id), store);
        }
    }

    fn forget(&mut self, writer: WriterId, store: &mut Store) {
        self.assembler.forget(writer.0);
        if self.acknowledged.remove(&writer).is_some() {
            store.writers.0.remove(self.connection);
        }
        self.refused.remove(&writer);
    }

    /// Stores an append, or refuses it.
    ///
    /// A conditional append that finds no memory gets an `ErrorMessage` as every other request; one
    /// without a condition gets the `ConditionalCheckFailed` that names it. Java's writer does not
    /// expect that reply, so it connects again and resends, as it does after any failure of Java's
    /// server, until there is memory. After an `ErrorMessage` it would not connect before its next
    /// write, and a flush that waits would wait forever. After the journal has failed, the
    /// connection ends instead: the set-up that follows is refused.
    fn append(&mut self, append: Append, context: &mut Context<'_>) -> Handled {
        let Append { segment, writer_id, event_number, request_id, .. } = append;
        let (writer, number) = (WriterId(writer_id), EventNumber(event_number));
        if !context.step.placement.owns(self.store, &segment) {
            self.forget(writer, context.step.store);
            context.reply_wrong_host(request_id, &segment);
            return Ok(());
        }
        if self.refused.contains(&writer) {
            return Ok(());
        }
        context.step.store.settle(&segment);
        let previous = self.acknowledged.get(&writer).copied().unwrap_or(EventNumber::NONE);
        let len = append.data.len() as u64;
        let appended = context.step.append(AppendRequest {
            segment: segment.clone(),
            data: append.data,
            writer,
            previous,
            number,
            event_count: append.event_count,
            expected_offset: append.expected_offset.map(Offset),
        });
        match appended {
            // The number was used before: the Java store stores it again without a reply.
            Ok(_) if number == previous => Ok(()),
            Ok(len) => {
                self.acknowledged.insert(writer, number);
                let acknowledged = DataAppended {
                    writer_id,
                    event_number,
                    previous_event_number: previous.0,
                    request_id,
                    current_segment_write_offset: len as i64,
                };
                context.reply_about(&segment, acknowledged);
                Ok(())
            }
            Err(Refusal::Condition) => {
                // The number stays free.
                self.assembler.resume(writer_id, previous.0);
                let failed = ConditionalCheckFailed { writer_id, event_number, request_id };
                context.reply_about(&segment, failed);
                Ok(())
            }
            Err(Refusal::EventNumber) => {
                let server_stack_trace = ByteString::new();
                let invalid =
                    InvalidEventNumber { writer_id, request_id, server_stack_trace, event_number };
                context.reply_about(&segment, invalid);
                Err(Closed("another connection used the writer's id"))
            }
            Err(refusal @ (Refusal::Full { .. } | Refusal::DiskFull(_))) => {
                self.refused.insert(writer);
                if append.expected_offset.is_none() {
                    let now = context.step.at.now;
                    context.step.store.pressing.refused(writer, len, now);
                    let failed = ConditionalCheckFailed { writer_id, event_number, request_id };
                    context.reply_about(&segment, failed);
                    return Ok(());
                }
                if segment_name::is_transient(&segment) {
                    // The large event, if it is written again, goes to another segment.
                    context.step.delete(&segment).ok();
                }
                let named = Named { segment: &segment, offset: None, operation: "append" };
                context.refuse(refusal, request_id, &named)
            }
            Err(Refusal::Ended(_)) if append.expected_offset.is_none() => {
                Err(Closed("the journal has failed"))
            }
            Err(refusal) => {
                self.forget(writer, context.step.store);
                let offset = (refusal == Refusal::Sealed).then_some(Offset(event_number));
                let named = Named { segment: &segment, offset, operation: "append" };
                context.refuse(refusal, request_id, &named)
            }
        }
    }

    fn read(&mut self, read: ReadSegment, context: &mut Context<'_>) -> Handled {
        let ReadSegment { segment, offset, suggested_length, request_id, .. } = read;
        let max_len = read_len(suggested_length);
        let connection = self.connection;
        let after = context.step.store.changed(&segment);
        let found = match u64::try_from(offset) {
            Ok(offset) => {
                let read = WaitingRead { connection, request_id, offset, max_len };
                context.step.store.read(&segment, read)
            }
            Err(_) => {
                context.step.store.info(&segment).and(Err(Refusal::Close("the offset is negative")))
            }
        };
        match found {
            Ok(found) => {
                if let Some(read) = found.reply(segment, Offset(offset), request_id) {
                    context.reply(after, read);
                }
                Ok(())
            }
            Err(refusal) => {
                let (offset, operation) = (Some(Offset(offset)), "readSegment");
                let named = Named { segment: &segment, offset, operation };
                context.refuse(refusal, request_id, &named)
            }
        }
    }
}

/// Refuses the set-up of a writer if the journal has failed, or if the writer presses: its last
/// appends were refused, and there is still no memory for them, or no space on the disk.
///
/// Java's writer waits longer and longer before it connects again if its set-up is refused, and
/// gives its events up at last; after a refused append it connects again at once.
fn may_set_up(segment: &str, writer: WriterId, step: &Step<'_>) -> Result<(), Refusal> {
    step.check_writable()?;
    match step.store.pressing.least(writer, step.at.now) {
        Some(len) => {
            step.check_space()?;
            step.check_growth(step.store.growth_by_append(segment, len))
        }
        None => Ok(()),
    }
}

/// The most bytes of a read for which a client suggests a length.
pub(super) fn read_len(suggested: i32) -> usize {
    suggested.clamp(MIN_READ_LEN, MAX_READ_LEN).unsigned_abs() as usize
}

/// The result of authorizing a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Granted,
    /// A reply was added.
    Refused,
}
