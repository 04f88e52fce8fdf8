//! A simulated segment store: appending, transient segments and merging, as the real server
//! behaves.

use std::{collections::BTreeMap, time::Duration};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::EventNumber;
use pravega_sdk_wire_protocol::{
    Append, AppendAssembler, Decoder, SendBuffer, VersionRange, WireCommand,
    commands::{
        AppendSetup, ConditionalCheckFailed, CreateTransientSegment, DataAppended,
        GetStreamSegmentInfo, InvalidEventNumber, KeepAlive, MergeSegments, NoSuchSegment,
        ReadSegment, SegmentAttributeUpdated, SegmentCreated, SegmentIsSealed, SegmentsMerged,
        SetupAppend, StreamSegmentInfo, WrongHost,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use crate::{World, world::SegmentState};

/// Serves one connection until it ends. What was taken before it ended stays.
pub async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(world: World, store: usize, io: S) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let is_precise = world.lock().keeps_nothing;
    let (replies, mut due) = mpsc::unbounded_channel::<(Instant, WireCommand)>();
    let sending = async move {
        while let Some((at, reply)) = due.recv().await {
            wait_until(at, is_precise).await;
            let mut out = SendBuffer::new();
            reply.encode(&mut out).expect("a reply fits a frame");
            while out.has_remaining() {
                if writer.write_buf(&mut out).await.is_err() {
                    return;
                }
            }
        }
        // Closing is the server's only answer to a broken rule.
        writer.shutdown().await.ok();
    };
    let taking = async move {
        let mut connection = Connection {
            world,
            store,
            assembler: AppendAssembler::new(),
            expected: BTreeMap::new(),
            replies: replies.clone(),
        };
        let mut received = BytesMut::new();
        loop {
            while let Some(command) = Decoder::default().decode(&mut received).map_err(drop)? {
                let delay = connection.world.lock().ack_delay;
                let mut out = Vec::new();
                let goes_on = connection.take(command, &mut out);
                if let Some(misbehaviour) = &mut connection.world.lock().misbehaviour {
                    out = out.into_iter().flat_map(misbehaviour).collect();
                }
                for reply in out {
                    connection.world.count(reply.name());
                    let at = if matches!(reply, WireCommand::DataAppended(_)) {
                        Instant::now() + delay
                    } else {
                        Instant::now()
                    };
                    replies.send((at, reply)).map_err(drop)?;
                }
                goes_on?;
            }
            if reader.read_buf(&mut received).await.map_err(drop)? == 0 {
                return Err::<(), ()>(());
            }
        }
    };
    let (_, _) = tokio::join!(taking, sending);
}

/// Timers count in milliseconds; what is left is waited for by asking again and again, which needs
/// time to be real.
async fn wait_until(at: Instant, is_precise: bool) {
    if !is_precise {
        return sleep_until(at).await;
    }
    while let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        if left > Duration::from_millis(3) {
            sleep_until(at - Duration::from_millis(2)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

struct Connection {
    world: World,
    store: usize,
    assembler: AppendAssembler,
    /// For each writer the number that the store must have when its next append is applied.
    expected: BTreeMap<Uuid, i64>,
    replies: mpsc::UnboundedSender<(Instant, WireCommand)>,
}

/// The connection is to be closed.
struct Close;

impl From<Close> for () {
    fn from(_: Close) {}
}

impl Connection {
    fn take(&mut self, command: WireCommand, out: &mut Vec<WireCommand>) -> Result<(), Close> {
        match &command {
            WireCommand::Hello(_) => out.push(VersionRange::SUPPORTED.hello().into()),
            WireCommand::KeepAlive(_) => out.push(KeepAlive {}.into()),
            WireCommand::CreateTransientSegment(create) => self.create_transient(create, out),
            WireCommand::MergeSegments(merge) => self.merge(merge, out),
            WireCommand::ReadSegment(read) => self.read(read, out),
            WireCommand::GetStreamSegmentInfo(asked) => self.info(asked, out),
            _ => {}
        }
        if let WireCommand::SetupAppend(set_up) = &command {
            let set_up = set_up.clone();
            self.assembler.handle(command).map_err(|_| Close)?;
            self.set_up(&set_up, out);
            return Ok(());
        }
        match self.assembler.handle(command) {
            Ok(Some(append)) => self.append(&append, out),
            Ok(None) => Ok(()),
            Err(_) => {
                self.world.count("append violation");
                Err(Close)
            }
        }
    }

    fn wrong_host(&self, request_id: i64, segment: &str) -> Option<WireCommand> {
        (self.world.owner(segment) != self.store).then(|| {
            WrongHost {
                request_id,
                segment: segment.into(),
                correct_host: "".into(),
                server_stack_trace: "".into(),
            }
            .into()
        })
    }

    fn set_up(&mut self, set_up: &SetupAppend, out: &mut Vec<WireCommand>) {
        let SetupAppend { request_id, writer_id, segment, .. } = set_up;
        let refused = self.wrong_host(*request_id, segment).or_else(|| {
            let is_there = self.world.lock().segments.contains_key(&**segment);
            (!is_there).then(|| no_such_segment(*request_id, segment))
        });
        if let Some(refused) = refused {
            self.assembler.forget(*writer_id);
            out.push(refused);
            return;
        }
        let last = {
            let state = self.world.lock();
            state
                .segments
                .get(&**segment)
                .and_then(|known| known.attributes.get(writer_id).copied())
        };
        if last.is_some() {
            self.world.count("set-up of a known writer");
        }
        let last = last.unwrap_or(EventNumber::NONE.0);
        self.assembler.resume(*writer_id, last);
        self.expected.insert(*writer_id, last);
        out.push(
            AppendSetup {
                request_id: *request_id,
                segment: segment.clone(),
                writer_id: *writer_id,
                last_event_number: last,
            }
            .into(),
        );
    }

    fn append(&mut self, append: &Append, out: &mut Vec<WireCommand>) -> Result<(), Close> {
        let Append { segment, writer_id, event_number, request_id, .. } = append;
        if let Some(refused) = self.wrong_host(*request_id, segment) {
            self.assembler.forget(*writer_id);
            out.push(refused);
            return Ok(());
        }
        let mut state = self.world.lock();
        let (is_deaf, keeps_nothing) = (state.is_store_deaf, state.keeps_nothing);
        let Some(known) = state.segments.get_mut(&**segment) else {
            self.assembler.forget(*writer_id);
            out.push(no_such_segment(*request_id, segment));
            return Ok(());
        };
        if known.is_sealed {
            self.assembler.forget(*writer_id);
            out.push(
                SegmentIsSealed {
                    request_id: *request_id,
                    segment: segment.clone(),
                    server_stack_trace: "".into(),
                    offset: *event_number,
                }
                .into(),
            );
            return Ok(());
        }
        if append.expected_offset.is_some_and(|offset| offset != known.len()) {
            out.push(
                ConditionalCheckFailed {
                    writer_id: *writer_id,
                    event_number: *event_number,
                    request_id: *request_id,
                }
                .into(),
            );
            return Ok(());
        }
        let last = known.attributes.get(writer_id).copied().unwrap_or(EventNumber::NONE.0);
        if self.expected.get(writer_id) != Some(&last) || last == *event_number {
            // Another connection used the writer's id meanwhile, or the number is not new: a
            // correct client does neither.
            out.push(
                InvalidEventNumber {
                    writer_id: *writer_id,
                    request_id: *request_id,
                    server_stack_trace: "".into(),
                    event_number: *event_number,
                }
                .into(),
            );
            return Err(Close);
        }
        if keeps_nothing {
            known.forgotten += append.data.len() as i64;
        } else {
            known.data.extend_from_slice(&append.data);
        }
        known.attributes.insert(*writer_id, *event_number);
        self.expected.insert(*writer_id, *event_number);
        let end = known.len();
        state.wake(segment);
        if !is_deaf {
            out.push(
                DataAppended {
                    writer_id: *writer_id,
                    event_number: *event_number,
                    previous_event_number: last,
                    request_id: *request_id,
                    current_segment_write_offset: end,
                }
                .into(),
            );
        }
        Ok(())
    }

    fn read(&self, read: &ReadSegment, out: &mut Vec<WireCommand>) {
        match self.wrong_host(read.request_id, &read.segment) {
            Some(refused) => out.push(refused),
            None => self.world.lock().read(read.clone(), &self.replies),
        }
    }

    fn info(&self, asked: &GetStreamSegmentInfo, out: &mut Vec<WireCommand>) {
        let request_id = asked.request_id;
        if let Some(refused) = self.wrong_host(request_id, &asked.segment_name) {
            out.push(refused);
            return;
        }
        let state = self.world.lock();
        out.push(match state.segments.get(&*asked.segment_name) {
            None => no_such_segment(request_id, &asked.segment_name),
            Some(known) => StreamSegmentInfo {
                request_id,
                segment_name: asked.segment_name.clone(),
                exists: true,
                is_sealed: known.is_sealed,
                is_deleted: false,
                last_modified: 0,
                write_offset: known.len(),
                start_offset: known.start,
            }
            .into(),
        });
    }

    fn create_transient(&mut self, create: &CreateTransientSegment, out: &mut Vec<WireCommand>) {
        if let Some(refused) = self.wrong_host(create.request_id, &create.parent_segment) {
            out.push(refused);
            return;
        }
        let mut state = self.world.lock();
        state.transient += 1;
        let name = format!(
            "{}#transient.{:032x}.{:032x}",
            create.parent_segment,
            create.writer_id.simple(),
            state.transient
        );
        state.segments.insert(name.clone(), SegmentState::default());
        out.push(SegmentCreated { request_id: create.request_id, segment: name.into() }.into());
    }

    fn merge(&mut self, merge: &MergeSegments, out: &mut Vec<WireCommand>) {
        if let Some(refused) = self.wrong_host(merge.request_id, &merge.target) {
            out.push(refused);
            return;
        }
        let mut state = self.world.lock();
        let holds = |target: &SegmentState| {
            merge.attribute_updates.iter().all(|update| {
                let value = target
                    .attributes
                    .get(&update.attribute_id)
                    .copied()
                    .unwrap_or(EventNumber::NONE.0);
                value == update.old_value
            })
        };
        let request_id = merge.request_id;
        let reply: WireCommand = match state.segments.get(&*merge.target) {
            Some(target) if target.is_sealed => SegmentIsSealed {
                request_id,
                segment: merge.target.clone(),
                server_stack_trace: "".into(),
                offset: -1,
            }
            .into(),
            Some(target) if state.segments.contains_key(&*merge.source) => {
                if holds(target) {
                    let source = state.segments.remove(&*merge.source).unwrap_or_default();
                    let target =
                        state.segments.get_mut(&*merge.target).expect("it was there a moment ago");
                    target.data.extend_from_slice(&source.data);
                    for update in &merge.attribute_updates {
                        target.attributes.insert(update.attribute_id, update.new_value);
                    }
                    SegmentsMerged {
                        request_id,
                        target: merge.target.clone(),
                        source: merge.source.clone(),
                        new_target_write_offset: target.data.len() as i64,
                    }
                    .into()
                } else {
                    SegmentAttributeUpdated { request_id, success: false }.into()
                }
            }
            // The source is blamed for a missing target too.
            _ => no_such_segment(request_id, &merge.source),
        };
        let is_merged = matches!(reply, WireCommand::SegmentsMerged(_));
        out.push(reply);
        if is_merged {
            state.wake(&merge.target);
        }
    }
}

fn no_such_segment(request_id: i64, segment: &str) -> WireCommand {
    NoSuchSegment { request_id, segment: segment.into(), server_stack_trace: "".into(), offset: -1 }
        .into()
}
