//! One connection to a segment store: bytes to commands, replies to bytes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use pravega_sdk_server_core::{
    ids::{Moment, StoreIndex},
    machine::Machine,
    record::{Millis, Sequence},
    store::{Closed, Reply, Session, demand, own_memory, weight},
};
use pravega_sdk_wire_protocol::{WireCommand, commands::ReadSegment};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::yield_now,
    time::{Instant, sleep},
};

use crate::{
    disk_queue::{Writes, Written},
    limits::{OWN_BYTES, TICK},
    outbox::{Outbox, Turn},
    patience::{Patience, is_activity},
    polling::{both, noting_wait},
    ports::Seat,
    receive::{Decoded, ReceiveBuffer},
    sending::send,
    state::ServerState,
    transport::Transport,
    turns,
};

/// The most commands that are decoded before they are handled under one lock, and whose replies
/// leave before the next ones are handled: the client has something to do meanwhile.
const BATCH: usize = 32;
/// The most commands that are handled, and bytes that are received, before other connections have
/// their turn.
const TURN: usize = 2 * BATCH;
const TURN_BYTES: usize = 64 << 10;
/// How long commands are handled under one lock, unless one alone takes longer.
const HOLD: Duration = Duration::from_micros(200);
/// So many bytes of an unfinished frame are a sign that its client is active.
const ACTIVE_BYTES: usize = 64 << 10;
/// What the bytes of a reply to a read are short of its weight at most, without its names.
const READ_OVERHEAD: usize = 512;

/// Serves a client until it leaves, violates the protocol, or the server ends the connection.
pub(crate) async fn serve(
    state: Arc<ServerState>,
    socket: Transport,
    store: StoreIndex,
    seat: Seat,
) {
    match socket {
        Transport::Plain(socket) => {
            let (reading, writing) = socket.into_split();
            serve_halves(state, (reading, writing), store, seat).await;
        }
        #[cfg(feature = "tls")]
        Transport::Tls(stream) => {
            let (reading, writing) = tokio::io::split(stream);
            serve_halves(state, (reading, writing), store, seat).await;
        }
    }
}

async fn serve_halves(
    state: Arc<ServerState>,
    (reading, writing): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    store: StoreIndex,
    seat: Seat,
) {
    let account = state.turns.account();
    let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
    let id = state.connect(&outbox);
    let mut session = Session::new(id, store);
    {
        let receiving = async {
            let ended = receive(&state, &mut session, reading, &outbox, &seat).await;
            tracing::debug!(connection = id.0, reason = ended, "a client's connection ends");
            // Earlier replies still leave.
            outbox.close();
        };
        let sending = send(&state, &outbox, writing, &seat);
        tokio::select! {
            () = account.meter(both(&outbox, receiving, sending)) => {}
            () = seat.cut() => {}
        }
    }
    state.disconnect(id);
    let end = async {
        state.run(|machine, _| session.end(&mut machine.store));
    };
    account.meter(end).await;
}

/// Receives and handles commands; returns why that ended.
async fn receive(
    state: &ServerState,
    session: &mut Session,
    mut reading: impl AsyncRead + Unpin,
    outbox: &Outbox,
    seat: &Seat,
) -> &'static str {
    let requests = &state.budget.requests;
    let mut received = ReceiveBuffer::new(requests.clone());
    let mut commands = VecDeque::new();
    let mut latest = Sequence::default();
    let mut patience = Patience::new(requests.clone());
    // Bytes since a command, and since all changes of the connection were on the disk.
    let (mut unfinished, mut unsynced) = (0, 0);
    // Commands and bytes since others had their turn.
    let (mut in_turn, mut at_once) = (0, 0);
    let mut written = Written::new(Instant::now().into_std());
    loop {
        loop {
            let decoded = received.take(&mut commands, BATCH);
            in_turn += commands.len();
            if commands.iter().any(is_activity) {
                seat.touch();
            }
            if !commands.is_empty() {
                unfinished = 0;
                patience.has_spoken();
                if state.is_on_disk(latest) {
                    unsynced = 0;
                }
            }
            let writes = written.writes(Instant::now().into_std());
            let pace = match unsynced > OWN_BYTES {
                true => Pace::OfTheDisk(writes),
                false => Pace::Own(writes),
            };
            let handled = handle(state, session, &mut commands, outbox, &mut latest, pace);
            if let Err(ended) = handled.await {
                return ended;
            }
            if session.is_admitted() {
                seat.admit();
            }
            match decoded {
                Decoded::All => break,
                Decoded::More if in_turn < TURN && !turns::slice_is_over() => outbox.pass().await,
                Decoded::More => {
                    (in_turn, at_once) = (0, 0);
                    yield_now().await;
                }
                Decoded::Bad => return "the received bytes are not a frame of the protocol",
            }
        }
        let more = receive_more(state, session, &mut received, &mut reading, &mut patience);
        let (read, has_waited) = match more.await {
            Ok(more) => more,
            Err(ended) => return ended,
        };
        (unfinished, unsynced) = (unfinished + read, unsynced + read);
        written.add(Instant::now().into_std(), read);
        if unfinished >= ACTIVE_BYTES {
            unfinished = 0;
            seat.touch();
        }
        (in_turn, at_once) = if has_waited { (0, 0) } else { (in_turn, at_once + read) };
        if in_turn >= TURN || at_once >= TURN_BYTES || turns::slice_is_over() {
            // The bytes of a client that always sends are always there: without this, none of the
            // waits above is one, and the other connections of the thread have no turn.
            (in_turn, at_once) = (0, 0);
            yield_now().await;
        }
    }
}

/// Waits for bytes, and returns how many have arrived, and true if they were not there at once.
async fn receive_more(
    state: &ServerState,
    session: &Session,
    received: &mut ReceiveBuffer,
    reading: &mut (impl AsyncRead + Unpin),
    patience: &mut Patience,
) -> Result<(usize, bool), &'static str> {
    patience.block_is_open(session.is_in_block());
    let asked = Instant::now();
    received.make_room().await;
    patience.waited_for_memory(asked.elapsed());
    let read = async {
        let reading = patience.read(received, reading);
        let Some(expires) = session.expires() else { return reading.await };
        tokio::select! {
            read = reading => read,
            () = reaches(state, expires) => Err("the token of a set-up has expired"),
        }
    };
    let (read, has_waited) = noting_wait(read).await;
    Ok((read?, has_waited))
}

/// Waits until the clock of the server reaches a time. Tests may advance it.
async fn reaches(state: &ServerState, time: Millis) {
    while state.clock.now() < time {
        let left = u64::try_from(time.since(state.clock.now())).unwrap_or_default();
        sleep(TICK.min(Duration::from_millis(left.max(1)))).await;
    }
}

/// Whether a connection waits for the disk before its commands are handled, and how much it writes.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// Little of it waits for the disk already.
    Own(Writes),
    /// While the queue is full.
    OfTheDisk(Writes),
}

impl Pace {
    fn writes(self) -> Writes {
        match self {
            Self::Own(writes) | Self::OfTheDisk(writes) => writes,
        }
    }
}

/// Handles commands in turns, each as soon as there is memory for its replies.
async fn handle(
    state: &ServerState,
    session: &mut Session,
    commands: &mut VecDeque<WireCommand>,
    outbox: &Outbox,
    latest: &mut Sequence,
    pace: Pace,
) -> Result<(), &'static str> {
    const CLOSED: &str = "the connection was closed";
    while !commands.is_empty() {
        let Turn { count, mut charge, at_most } = outbox.turn(commands).await.ok_or(CLOSED)?;
        let mut again = None;
        if let Some(at_most) = at_most
            && let Some(first) = commands.front_mut()
        {
            match first {
                WireCommand::ReadSegment(read) => shorten(read, at_most),
                other if may_be_repeated(other) => again = Some((other.clone(), at_most)),
                _ => {}
            }
        }
        let mut replies = Vec::with_capacity(count);
        let waiting = commands.len();
        let bounds = (count, at_most);
        let (mut done, after) = match pace {
            Pace::OfTheDisk(writes) if state.has_to_wait_for_disk(*latest, writes) => {
                let in_line = async {
                    let _turn = state.line_for_disk(*latest, writes).await;
                    run(state, session, commands, bounds, &mut replies, pace)
                };
                // Others are in the line after it, whatever its client has used.
                turns::wanted(in_line).await
            }
            Pace::OfTheDisk(_) | Pace::Own(_) => {
                run(state, session, commands, bounds, &mut replies, pace)
            }
        };
        *latest = after;
        // The replies of others, which may have changed something, are not made again.
        again = again.filter(|_| commands.len() + 1 == waiting);
        // A request that only reads can be made again, once there is memory for its reply.
        while let Some((command, at_most)) = &mut again
            && let needed = replies.iter().map(|reply| weight(&reply.command)).sum::<usize>()
            && needed > *at_most
        {
            replies.clear();
            drop(charge.take());
            // The pool lends all that it has for a reply that weighs more.
            charge = Some(outbox.reserve(needed).await.ok_or(CLOSED)?);
            *at_most = needed;
            let mut again = VecDeque::from([command.clone()]);
            (done, *latest) = run(state, session, &mut again, (1, None), &mut replies, pace);
        }
        outbox.extend(replies, charge);
        done.map_err(|Closed(reason)| reason)?;
        if !commands.is_empty() {
            yield_now().await;
        }
    }
    Ok(())
}

/// Asks for no more bytes than a reply of a weight has.
fn shorten(read: &mut ReadSegment, at_most: usize) {
    let len = at_most.saturating_sub(READ_OVERHEAD + read.segment.len());
    read.suggested_length = read.suggested_length.min(i32::try_from(len).unwrap_or(i32::MAX));
}

/// Returns true for a request that changes nothing, and whose reply has all or nothing.
fn may_be_repeated(command: &WireCommand) -> bool {
    matches!(
        command,
        WireCommand::ReadTable(_)
            | WireCommand::ReadTableKeys(_)
            | WireCommand::ReadTableEntries(_)
            | WireCommand::ReadTableEntriesDelta(_)
    )
}

/// Handles the first commands, `count` at most and one at least, and removes them. With `at_most`
/// it ends before the replies weigh more, unless the first reply alone does.
fn run(
    state: &ServerState,
    session: &mut Session,
    commands: &mut VecDeque<WireCommand>,
    (count, at_most): (usize, Option<usize>),
    replies: &mut Vec<Reply>,
    pace: Pace,
) -> (Result<(), Closed>, Sequence) {
    commands.iter_mut().take(count).for_each(own_memory);
    let mut changes = 0;
    let work = |machine: &mut Machine, at: Moment| {
        let before = machine.journal.changes();
        let done = handle_some(session, commands, (count, at_most), replies, machine, at);
        changes = machine.journal.changes() - before;
        done
    };
    let done = state.run(work);
    if changes > 0 {
        // A command that is refused, such as for want of a token, says nothing of the disk.
        state.disk_queue.note(pace.writes(), Instant::now().into_std());
    }
    done
}

/// Handles the first commands under the lock.
fn handle_some(
    session: &mut Session,
    commands: &mut VecDeque<WireCommand>,
    (count, at_most): (usize, Option<usize>),
    replies: &mut Vec<Reply>,
    machine: &mut Machine,
    at: Moment,
) -> Result<(), Closed> {
    let begun = Instant::now();
    let mut context = machine.context(at, replies);
    let mut weighs = 0;
    for number in 0..count {
        let Some(command) = commands.pop_front() else { break };
        let may_exceed = number > 0
            && at_most.is_some_and(|most| demand(&command) > most.saturating_sub(weighs));
        if may_exceed && !may_be_repeated(&command) {
            commands.push_front(command);
            break;
        }
        let copy = may_exceed.then(|| command.clone());
        let before = context.replies.len();
        session.handle(command, &mut context)?;
        if let Some(most) = at_most {
            let added = context.replies.iter().skip(before);
            weighs += added.map(|reply| weight(&reply.command)).sum::<usize>();
            if weighs > most {
                if let Some(copy) = copy {
                    context.replies.truncate(before);
                    commands.push_front(copy);
                }
                break;
            }
        }
        if !commands.is_empty() && begun.elapsed() >= HOLD {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io,
        pin::{Pin, pin},
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
    };

    use bytes::{Bytes, BytesMut};
    use pravega_sdk_server_core::record::Durability;
    use pravega_sdk_wire_protocol::{
        Decoder, SendBuffer, TableEntry, TableKey, TableValue, commands::*,
    };
    use tokio::{io::ReadBuf, sync::watch};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        builder::ServerBuilder,
        clock::Clock,
        durable::Durable,
        outbox::Next,
        ports::{Clients, Port},
        sending::SEND_BYTES,
    };

    /// A client whose next bytes are always there, for a number of reads.
    struct Flood {
        bytes: Vec<u8>,
        at: usize,
        reads: usize,
        /// The most bytes of a read, and how long each takes of the processor.
        most: usize,
        takes: Duration,
    }

    impl AsyncRead for Flood {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.reads > 0 {
                self.reads -= 1;
                let begun = std::time::Instant::now();
                while begun.elapsed() < self.takes {}
                let most = self.most.min(buffer.remaining());
                let next = self.bytes.iter().cycle().skip(self.at).take(most);
                let next: Vec<u8> = next.copied().collect();
                buffer.put_slice(&next);
                self.at = (self.at + next.len()) % self.bytes.len();
            }
            Poll::Ready(Ok(()))
        }
    }

    fn in_memory() -> ServerState {
        in_memory_of(&ServerBuilder::default())
    }

    fn in_memory_of(builder: &ServerBuilder) -> ServerState {
        let machine = builder.machine(Durability::InMemory);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        ServerState::new(machine, Clock::standing(), durable, None)
    }

    /// Serves such a client; returns how many turns another task of the thread had meanwhile.
    async fn turns_beside(bytes: Vec<u8>, reads: usize) -> usize {
        let (at, most, takes) = (0, usize::MAX, Duration::ZERO);
        turns_beside_flood(Flood { bytes, at, reads, most, takes }).await
    }

    async fn turns_beside_flood(flood: Flood) -> usize {
        let state = in_memory();
        let seat = Port::new("test", 1, Clients::Any).seat(&CancellationToken::new()).unwrap();
        let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
        let mut session = Session::new(state.connect(&outbox), StoreIndex(0));
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let is_metered = !flood.takes.is_zero();
        let receiving = async {
            receive(&state, &mut session, flood, &outbox, &seat).await;
            outbox.close();
        };
        let serving = both(&outbox, receiving, send(&state, &outbox, tokio::io::sink(), &seat));
        match is_metered {
            true => state.turns.account().meter(serving).await,
            false => serving.await,
        }
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    fn frame(command: impl Into<WireCommand>) -> Vec<u8> {
        let mut out = SendBuffer::new();
        command.into().encode(&mut out).unwrap();
        out.to_vec()
    }

    #[tokio::test]
    async fn a_client_whose_bytes_are_always_there_leaves_turns_to_others() {
        // Thousands of commands with each read.
        let turns = turns_beside(frame(KeepAlive {}), 100).await;
        assert!(turns > 1000, "{turns} turns");
        // A frame that takes many reads, and then breaks the rules.
        let long = frame(PartialEvent { data: vec![7; 8 << 20].into() });
        let turns = turns_beside(long, 1000).await;
        assert!(turns >= 5, "{turns} turns");
        // One command with each read, which takes longer than a slice should.
        let (bytes, takes) = (frame(KeepAlive {}), Duration::from_micros(600));
        let (at, reads, most) = (0, 20, bytes.len());
        let turns = turns_beside_flood(Flood { bytes, at, reads, most, takes }).await;
        assert!(turns >= 15, "{turns} turns");
        // A few commands with each read, and no work.
        let (bytes, takes) = (frame(KeepAlive {}), Duration::ZERO);
        let (at, reads, most) = (0, 100, bytes.len() * TURN / 8);
        let turns = turns_beside_flood(Flood { bytes, at, reads, most, takes }).await;
        assert!(turns >= 100 / 8 - 1, "{turns} turns");
    }

    /// A client that takes all replies, and keeps those of each write apart.
    #[derive(Default, Clone)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncWrite for Kept {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn replies_to_the_first_of_many_requests_leave_before_the_others_are_handled() {
        let state = in_memory();
        let seat = Port::new("test", 1, Clients::Any).seat(&CancellationToken::new()).unwrap();
        let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
        let mut session = Session::new(state.connect(&outbox), StoreIndex(0));
        let count = 3 * BATCH as i64;
        let request = |request_id| GetStreamSegmentInfo {
            request_id,
            segment_name: "s".into(),
            delegation_token: "".into(),
        };
        let bytes: Vec<u8> = (0..count).flat_map(|id| frame(request(id))).collect();
        let kept = Kept::default();
        let receiving = async {
            receive(&state, &mut session, &bytes[..], &outbox, &seat).await;
            outbox.close();
        };
        let sending = send(&state, &outbox, kept.clone(), &seat);
        let mut serving = pin!(both(&outbox, receiving, sending));
        // Two batches are one turn.
        assert!(poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await.is_pending());
        assert_eq!(kept.0.lock().unwrap().len(), 2);
        serving.await;
        let ids = |write: &Vec<u8>| {
            let mut write = BytesMut::from(&write[..]);
            let replies = std::iter::from_fn(|| Decoder::default().decode(&mut write).unwrap());
            replies.map(|reply| reply.request_id().unwrap()).collect::<Vec<_>>()
        };
        let writes: Vec<_> = kept.0.lock().unwrap().iter().map(ids).collect();
        assert!(writes.iter().all(|write| write.len() == BATCH), "{writes:?}");
        assert!(writes.concat().into_iter().eq(0..count));
    }

    /// Handles requests that arrived together, while the replies are taken; returns the replies, in
    /// the batches in which they left.
    async fn exchange(
        state: &ServerState,
        outbox: &Outbox,
        session: &mut Session,
        requests: Vec<WireCommand>,
    ) -> Vec<Vec<WireCommand>> {
        let (expected, mut taken, mut batches) = (requests.len(), 0, Vec::new());
        let (mut commands, mut latest) = (VecDeque::from(requests), Sequence::default());
        let handling =
            handle(state, session, &mut commands, outbox, &mut latest, Pace::Own(Writes::Little));
        let sending = async {
            while taken < expected {
                let Next::Replies(replies, bytes) = outbox.next(SEND_BYTES).await else {
                    panic!("the connection has ended");
                };
                outbox.sent(bytes);
                taken += replies.len();
                batches.push(replies.into_iter().map(|reply| reply.command).collect());
            }
        };
        let (handled, ()) = tokio::join!(biased; handling, sending);
        handled.unwrap();
        batches
    }

    const TABLE: &str = "scope/table_kvtable/0.#epoch.0";

    fn create() -> WireCommand {
        let (request_id, segment, delegation_token) = (0, TABLE.into(), "".into());
        let (sorted_deprecated, key_length, rollover_size_bytes) = (false, 0, 0);
        CreateTableSegment {
            request_id,
            segment,
            delegation_token,
            sorted_deprecated,
            key_length,
            rollover_size_bytes,
        }
        .into()
    }

    fn key(number: i64, key_version: i64) -> TableKey {
        TableKey { data: format!("key-{number}").into_bytes().into(), key_version }
    }

    fn put(number: i64, value: Bytes) -> UpdateTableEntries {
        let key = key(number, TableKey::NO_VERSION);
        UpdateTableEntries {
            request_id: number,
            segment: TABLE.into(),
            delegation_token: "".into(),
            table_entries: vec![TableEntry { key, value: TableValue { data: value } }],
            table_segment_offset: -1,
        }
    }

    #[tokio::test]
    async fn a_refused_command_does_not_shorten_the_queue_for_the_disk() {
        let limit = |state: &ServerState| {
            let now = Instant::now().into_std();
            state.disk_queue.limit(Writes::Much, Duration::ZERO, now)
        };
        for (builder, is_shorter) in [
            (ServerBuilder::default().with_account("ann", "pw"), false),
            (ServerBuilder::default(), true),
        ] {
            let state = in_memory_of(&builder);
            let long = limit(&state);
            let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
            let mut session = Session::new(state.connect(&outbox), StoreIndex(0));
            exchange(&state, &outbox, &mut session, vec![create()]).await;
            assert_eq!(limit(&state) < long, is_shorter);
        }
    }

    #[tokio::test]
    async fn a_value_of_a_table_keeps_nothing_of_its_request() {
        let state = in_memory();
        let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
        let mut session = Session::new(state.connect(&outbox), StoreIndex(0));
        exchange(&state, &outbox, &mut session, vec![create()]).await;
        for len in [10, 200_000] {
            let frame = Bytes::from(vec![7; len + 64]);
            let put = put(1, frame.slice(64..));
            exchange(&state, &outbox, &mut session, vec![put.into()]).await;
            assert!(frame.is_unique(), "a value of {len} bytes");
        }
    }

    #[tokio::test]
    async fn reads_of_a_table_that_arrive_together_are_answered_together_in_their_order() {
        let state = in_memory();
        let outbox = Arc::new(Outbox::new(state.budget.replies.clone()));
        let mut session = Session::new(state.connect(&outbox), StoreIndex(0));
        exchange(&state, &outbox, &mut session, vec![create()]).await;
        // Values that fit, values that do not fit together, and both in turn.
        for lens in [[100, 100], [200_000, 200_000], [100, 900_000]] {
            let len = |number: i64| lens[usize::from(number % 2 != 0)];
            let put = |number: i64| put(number, vec![7; len(number)].into());
            let puts = (0..64).map(|number| put(number).into()).collect();
            exchange(&state, &outbox, &mut session, puts).await;
            let read = |number: i64| ReadTable {
                request_id: number,
                segment: TABLE.into(),
                delegation_token: "".into(),
                keys: vec![key(number, TableKey::NO_VERSION)],
            };
            let reads: Vec<WireCommand> = (0..64).map(|number| read(number).into()).collect();
            let turn = outbox.turn(&reads.clone().into()).await.unwrap();
            assert_eq!(turn.count, 64, "no value is taken to be as long as it may be");
            drop(turn);
            let batches = exchange(&state, &outbox, &mut session, reads).await;
            for (number, reply) in (0..64).zip(batches.into_iter().flatten()) {
                let WireCommand::TableRead(read) = reply else { panic!("{reply:?}") };
                assert_eq!(read.request_id, number);
                let lens: Vec<_> = read.entries.iter().map(|it| it.value.data.len()).collect();
                assert_eq!(lens, [len(number)]);
            }
            // Requests that change something are between those that may be made again.
            let request = |number| match number % 3 {
                0 => put(number).into(),
                _ => read(number).into(),
            };
            let all = exchange(&state, &outbox, &mut session, (1..64).map(request).collect()).await;
            let id = |reply| match reply {
                WireCommand::TableRead(read) => read.request_id,
                WireCommand::TableEntriesUpdated(updated) => updated.request_id,
                other => panic!("{other:?}"),
            };
            let ids: Vec<_> = all.into_iter().flatten().map(id).collect();
            assert_eq!(ids, (1..64).collect::<Vec<_>>());
        }
        // The reply weighs more than the pool has.
        let keys = (0..64).map(|number| key(2 * (number / 2) + 1, TableKey::NO_VERSION)).collect();
        let all =
            ReadTable { request_id: 7, segment: TABLE.into(), delegation_token: "".into(), keys };
        let replies = exchange(&state, &outbox, &mut session, vec![all.into()]).await;
        let [WireCommand::TableRead(read)] = &replies.concat()[..] else { panic!("{replies:?}") };
        assert_eq!(read.entries.len(), 64);
        assert_eq!(state.budget.replies.lent(), 0);
    }
}
