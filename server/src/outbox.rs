//! The replies of a connection on their way out, and the memory that they keep alive.
//!
//! The first [`OWN_BYTES`] of a connection are its own; what is above is lent by the pool of all
//! connections. A request is handled only after the memory of its reply is there, and a connection
//! whose request has to wait is not read. Only replies to reads that waited at the end of a segment
//! come unasked: without memory for them they are cut short.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use pravega_sdk_server_core::{
    record::Sequence,
    store::{Reply, Woken, demand, weight},
};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::sync::Notify;

use crate::{
    budget::{Charge, Pool},
    limits::{CONNECTION_REPLY_BYTES, OWN_BYTES},
    locks::lock,
};

/// The most memory for which the replies of one turn are reserved, unless one alone needs more.
const TURN_BYTES: usize = 1 << 20;
/// The fewest bytes of a reply to a read for which there is no memory.
const SHORT_READ: usize = 1 << 10;
/// What the reply to a read of a table is taken to weigh before it is made: this much, and as much
/// for each key. What weighs more is read again.
const TABLE_READ: usize = 1 << 10;

/// Replies in the order in which they leave.
#[derive(Debug)]
pub(crate) struct Outbox {
    pool: Pool,
    state: Mutex<State>,
    /// Replies were sent, or the connection ends.
    drained: Notify,
    /// The receiver waits until the sender was polled, and for nothing else.
    has_passed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    /// The weight of the replies in the queue and of those that are being sent.
    bytes: usize,
    /// What the pool lends for the bytes above [`OWN_BYTES`].
    charge: Option<Charge>,
    /// No more replies are added; those in the queue still leave.
    closed: bool,
    /// The replies in the queue do not leave either.
    cut: bool,
    /// The sender, while it waits.
    sender: Option<Waker>,
}

impl State {
    /// Wakes the sender. Replies of the connection's own requests need no call: they are added by
    /// the task of the sender, which polls it next.
    fn wake(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn settle(&mut self) {
        let lent = self.bytes.saturating_sub(OWN_BYTES);
        match &mut self.charge {
            Some(_) if lent == 0 => self.charge = None,
            Some(charge) => charge.shrink_to(lent),
            None => {}
        }
    }

    fn take_charge(&mut self, charge: Charge) {
        match &mut self.charge {
            Some(all) => all.add(charge),
            None => self.charge = Some(charge),
        }
    }
}

/// The next step of the sender.
#[derive(Debug)]
pub(crate) enum Next {
    /// Replies that all wait for the batch of the first one, or an earlier one, and their weight.
    Replies(Vec<Reply>, usize),
    /// All replies have left, and no more will be added.
    Closed,
    /// The connection ends at once.
    Cut,
}

/// The commands that may be handled now: there is memory for their replies.
#[derive(Debug)]
pub(crate) struct Turn {
    /// How many, from the first one on.
    pub(crate) count: usize,
    /// The memory of their replies.
    pub(crate) charge: Option<Charge>,
    /// How much the replies may weigh, if a request may need more: then it is made again, alone.
    pub(crate) at_most: Option<usize>,
}

impl Outbox {
    pub(crate) fn new(pool: Pool) -> Self {
        let (state, drained, has_passed) = (Mutex::default(), Notify::new(), false.into());
        Self { pool, state, drained, has_passed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Adds the reply to a read that waited, with as many bytes as there is memory for.
    pub(crate) fn push_woken(&self, woken: Woken) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let mut woken = woken;
        let bytes = weight(&woken.reply);
        if state.bytes + bytes > OWN_BYTES {
            match self.pool.try_charge(bytes) {
                Some(charge) => state.take_charge(charge),
                None => {
                    self.pool.miss();
                    woken = woken.shortened(SHORT_READ);
                }
            }
        }
        state.bytes += weight(&woken.reply);
        state.replies.push_back(Reply { after: woken.after, command: woken.reply });
        state.settle();
        state.wake();
    }

    /// Adds the replies of a turn, with the memory that was reserved for them. It does not wake the
    /// sender, which the same task must poll after it.
    pub(crate) fn extend(&self, replies: Vec<Reply>, charge: Option<Charge>) {
        if replies.is_empty() {
            return;
        }
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.bytes += replies.iter().map(|reply| weight(&reply.command)).sum::<usize>();
        state.replies.extend(replies);
        if let Some(charge) = charge {
            state.take_charge(charge);
        }
        state.settle();
    }

    /// Lets the sender take what was added, before the receiver goes on in the same poll of their
    /// task, which asks [`Self::take_pass`].
    pub(crate) async fn pass(&self) {
        let mut has_passed = false;
        let polled = |_: &mut Context<'_>| {
            if mem::replace(&mut has_passed, true) {
                return Poll::Ready(());
            }
            self.has_passed.store(true, Ordering::Relaxed);
            Poll::Pending
        };
        poll_fn(polled).await;
    }

    /// Returns true if the receiver must be polled again after the sender.
    pub(crate) fn take_pass(&self) -> bool {
        self.has_passed.swap(false, Ordering::Relaxed)
    }

    /// Gives back the memory of replies that were sent.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.settle();
        drop(state);
        self.drained.notify_one();
    }

    /// Ends the connection after the replies in the queue.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.wake();
        drop(state);
        self.drained.notify_one();
    }

    /// Ends the connection at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.closed = true;
        state.cut = true;
        state.wake();
        drop(state);
        self.drained.notify_one();
    }

    /// Waits for replies that can leave together: about `max_bytes`, and none that waits for a
    /// later batch than the first.
    pub(crate) async fn next(&self, max_bytes: usize) -> Next {
        poll_fn(|cx| self.poll_next(max_bytes, cx)).await
    }

    fn poll_next(&self, max_bytes: usize, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if state.cut {
            return Poll::Ready(Next::Cut);
        }
        let (taken, bytes) = take(&mut state, max_bytes);
        if !taken.is_empty() {
            return Poll::Ready(Next::Replies(taken, bytes));
        }
        if state.closed {
            return Poll::Ready(Next::Closed);
        }
        match &mut state.sender {
            Some(sender) => sender.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits until commands may be handled; `None` if the connection ends. There must be one.
    pub(crate) async fn turn(&self, commands: &VecDeque<WireCommand>) -> Option<Turn> {
        loop {
            let bytes = {
                let state = self.state();
                if state.closed {
                    return None;
                }
                state.bytes
            };
            let own = OWN_BYTES.saturating_sub(bytes);
            let now = self.turn_of_table_reads(commands, own, bytes);
            if let Some(turn) = now.or_else(|| self.turn_now(commands, own, bytes)) {
                return Some(turn);
            }
            let first = commands.front()?;
            if own >= 2 * SHORT_READ && is_read(first) {
                // Most reads need less than they ask for, and a client that reads at the tail of a
                // stream would wait here before each of them.
                self.pool.miss();
                return Some(Turn { count: 1, charge: None, at_most: Some(own) });
            }
            let drained = self.drained.notified();
            let lent = async {
                if bytes < CONNECTION_REPLY_BYTES {
                    self.pool.charge(demand(first)).await
                } else {
                    std::future::pending().await
                }
            };
            let waited = async {
                tokio::select! {
                    charge = lent => Some(charge),
                    () = drained => None,
                }
            };
            if let Some(charge) = waited.await {
                return Some(Turn { count: 1, charge: Some(charge), at_most: None });
            }
        }
    }

    /// The turn of commands of which some read tables: few values are as long as they may be, so
    /// it has memory for what is likely.
    fn turn_of_table_reads(
        &self,
        commands: &VecDeque<WireCommand>,
        own: usize,
        bytes: usize,
    ) -> Option<Turn> {
        let (mut count, mut needed, mut has_reads) = (0, 0_usize, false);
        for command in commands {
            let (is_read, bytes) = match command {
                WireCommand::ReadTable(read) => {
                    (true, TABLE_READ.saturating_mul(read.keys.len().saturating_add(1)))
                }
                other => (false, demand(other)),
            };
            let next = needed.saturating_add(bytes);
            if count > 0 && next > TURN_BYTES {
                break;
            }
            (count, needed, has_reads) = (count + 1, next, has_reads || is_read);
        }
        if !has_reads || needed > TURN_BYTES {
            return None;
        }
        if needed <= own {
            return Some(Turn { count, charge: None, at_most: Some(own) });
        }
        let charge =
            if bytes < CONNECTION_REPLY_BYTES { self.pool.try_charge(needed) } else { None };
        let at_most = own + charge.as_ref()?.bytes();
        Some(Turn { count, charge, at_most: Some(at_most) })
    }

    /// The turn for which nothing must be waited.
    fn turn_now(&self, commands: &VecDeque<WireCommand>, own: usize, bytes: usize) -> Option<Turn> {
        let (mut all, mut all_bytes) = (0, 0_usize);
        let (mut owned, mut first_bytes) = (0, 0);
        for command in commands {
            let next = all_bytes.saturating_add(demand(command));
            if all > 0 && next > TURN_BYTES {
                break;
            }
            (all, all_bytes) = (all + 1, next);
            if all_bytes <= own {
                owned = all;
            }
            if all == 1 {
                first_bytes = all_bytes;
            }
        }
        if owned == all {
            return Some(Turn { count: all, charge: None, at_most: None });
        }
        if bytes < CONNECTION_REPLY_BYTES {
            if let Some(charge) = self.pool.try_charge(all_bytes) {
                return Some(Turn { count: all, charge: Some(charge), at_most: None });
            }
            if owned == 0
                && let Some(charge) = self.pool.try_charge(first_bytes)
            {
                return Some(Turn { count: 1, charge: Some(charge), at_most: None });
            }
        }
        (owned > 0).then_some(Turn { count: owned, charge: None, at_most: None })
    }

    /// Waits for the memory of one reply; `None` if the connection ends.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Charge> {
        let lent = self.pool.charge(bytes);
        tokio::pin!(lent);
        loop {
            if self.state().closed {
                return None;
            }
            tokio::select! {
                charge = &mut lent => return Some(charge),
                () = self.drained.notified() => {}
            }
        }
    }
}

/// Returns true for a request that changes nothing and may be answered with fewer bytes than it
/// asks for, or asked again.
fn is_read(command: &WireCommand) -> bool {
    matches!(
        command,
        WireCommand::ReadSegment(_)
            | WireCommand::ReadTable(_)
            | WireCommand::ReadTableKeys(_)
            | WireCommand::ReadTableEntries(_)
            | WireCommand::ReadTableEntriesDelta(_)
    )
}

fn take(state: &mut State, max_bytes: usize) -> (Vec<Reply>, usize) {
    let first = state.replies.front().map_or(Sequence::default(), |reply| reply.after);
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while bytes < max_bytes
        && state.replies.front().is_some_and(|reply| reply.after <= first)
        && let Some(reply) = state.replies.pop_front()
    {
        bytes += weight(&reply.command);
        taken.push(reply);
    }
    (taken, bytes)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::Arc, time::Duration};

    use bytes::Bytes;
    use pravega_sdk_server_core::ids::ConnectionId;
    use pravega_sdk_wire_protocol::commands::{
        GetStreamSegmentInfo, ReadSegment, SegmentRead, SegmentSealed,
    };
    use tokio::time::{Instant, timeout};

    use super::*;

    fn info(name: usize) -> WireCommand {
        let segment_name = "x".repeat(name).into();
        GetStreamSegmentInfo { request_id: 0, segment_name, delegation_token: "".into() }.into()
    }

    fn read(suggested_length: i32) -> WireCommand {
        let (segment, delegation_token) = ("s".into(), "".into());
        ReadSegment { request_id: 0, segment, offset: 0, suggested_length, delegation_token }.into()
    }

    fn reply(len: usize) -> Reply {
        let command = SegmentRead {
            segment: "s".into(),
            offset: 0,
            at_tail: true,
            end_of_segment: false,
            data: Bytes::from(vec![7; len]),
            request_id: 0,
        };
        Reply { after: Sequence::default(), command: command.into() }
    }

    /// An outbox whose replies occupy the whole pool.
    fn greedy(pool: &Pool) -> Outbox {
        let outbox = Outbox::new(pool.clone());
        for len in [290_000, 16_000, 100] {
            while let Some(charge) = pool.try_charge(len + 1000) {
                outbox.extend(vec![reply(len)], Some(charge));
            }
        }
        outbox
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_client_does_not_take_delays_no_small_request_of_another() {
        let pool = Pool::new(1 << 20);
        let greedy = greedy(&pool);
        let other = Outbox::new(pool.clone());
        let begun = Instant::now();
        let turn = other.turn(&[info(100)].into()).await.unwrap();
        assert!(turn.charge.is_none() && begun.elapsed().is_zero());
        // A read does not wait either, and is answered with fewer bytes.
        let turn = other.turn(&[read(1 << 20)].into()).await.unwrap();
        assert!(turn.at_most.is_some_and(|at_most| at_most <= OWN_BYTES), "{turn:?}");
        assert!(begun.elapsed().is_zero() && pool.is_wanted());
        // A request whose reply may be long waits until the first client takes its own.
        let commands = [info(60_000)].into();
        let turn = other.turn(&commands);
        tokio::pin!(turn);
        assert!(timeout(Duration::from_secs(60), &mut turn).await.is_err());
        assert!(pool.is_wanted());
        let Next::Replies(replies, bytes) = greedy.next(1 << 30).await else {
            panic!("no replies");
        };
        drop(replies);
        greedy.sent(bytes);
        let turn = timeout(Duration::from_secs(1), turn).await.unwrap().unwrap();
        assert!(turn.charge.is_some());
        drop(turn);
        assert_eq!(pool.lent(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_replies_are_not_taken_is_not_read() {
        let pool = Pool::new(64 << 20);
        let outbox = Outbox::new(pool.clone());
        let commands = VecDeque::from([read(i32::MAX), info(100)]);
        let mut turns = 0;
        while let Ok(turn) = timeout(Duration::from_secs(60), outbox.turn(&commands)).await {
            let turn = turn.unwrap();
            let replies = (0..turn.count).map(|_| reply(200_000)).collect();
            outbox.extend(replies, turn.charge);
            turns += 1;
        }
        assert!((2..50).contains(&turns), "{turns} turns");
        assert!(pool.lent() < 2 * CONNECTION_REPLY_BYTES);
        outbox.cut();
        assert!(outbox.turn(&commands).await.is_none());
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if a future that waits is woken by an event, and is ready then.
    fn is_woken_by<T>(waits: impl Future<Output = T>, event: impl FnOnce()) -> bool {
        let (mut waits, woken) = (pin!(waits), Arc::new(Flag::default()));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(!woken.0.load(Ordering::Relaxed));
        event();
        woken.0.load(Ordering::Relaxed) && waits.poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[tokio::test]
    async fn whatever_a_direction_waits_for_wakes_it() {
        let pool = Pool::new(64 << 20);
        let outbox = || Outbox::new(pool.clone());
        let events: [fn(&Outbox); 3] = [
            |outbox| {
                let Reply { after, command: reply } = reply(10);
                outbox.push_woken(Woken { connection: ConnectionId(1), after, reply });
            },
            Outbox::close,
            Outbox::cut,
        ];
        for (number, event) in events.into_iter().enumerate() {
            let outbox = outbox();
            assert!(is_woken_by(outbox.next(1 << 20), || event(&outbox)), "{number}");
        }
        // Replies that are taken, or the end, let the receiver go on.
        let commands = VecDeque::from([info(100)]);
        let events: [fn(&Outbox); 3] =
            [|outbox| outbox.sent(CONNECTION_REPLY_BYTES), Outbox::close, Outbox::cut];
        for (number, event) in events.into_iter().enumerate() {
            let outbox = outbox();
            outbox.extend(vec![reply(CONNECTION_REPLY_BYTES)], None);
            assert!(is_woken_by(outbox.turn(&commands), || event(&outbox)), "{number}");
        }
    }

    #[tokio::test]
    async fn replies_to_reads_that_waited_are_cut_short_without_memory() {
        let pool = Pool::new(1 << 20);
        let _greedy = greedy(&pool);
        let outbox = Outbox::new(pool.clone());
        for connection in 0..20 {
            let Reply { after, command } = reply(100_000);
            let connection = ConnectionId(connection);
            outbox.push_woken(Woken { connection, after, reply: command });
        }
        let sealed = SegmentSealed { request_id: 0, segment: "s".into() }.into();
        let after = Sequence::default();
        outbox.push_woken(Woken { connection: ConnectionId(1), after, reply: sealed });
        let Next::Replies(replies, bytes) = outbox.next(1 << 30).await else {
            panic!("no replies");
        };
        assert_eq!(replies.len(), 21);
        assert!(bytes <= 21 * 2 * SHORT_READ, "{bytes}");
        outbox.sent(bytes);
        outbox.close();
        assert!(matches!(outbox.next(1).await, Next::Closed));
    }
}
