//! When requests leave: the callers and the task of a connection in random orders.

use std::task::Waker;

use bytes::BytesMut;
use pravega_sdk_wire_protocol::{
    Decoder, TableEntry, TableKey, TableValue,
    commands::{SealSegment, UpdateTableEntries},
};
use tokio::net::{TcpListener, TcpStream};

use super::{
    super::{io::StoreIo, wakes::Wakes},
    *,
};
use crate::{connection::socket::Socket, seeded_bugs::Bugs};

/// The task of a connection, as its driver runs it, with a socket that takes everything.
struct Task {
    shared: Shared,
    wakes: Arc<Wakes>,
    waker: Waker,
    frames: SendBuffer,
    has_gathered: bool,
    /// The runtime polls it again, after some of the callers.
    yields: bool,
    /// The requests of each write.
    writes: Vec<Vec<i64>>,
}

impl Task {
    fn new() -> Self {
        Self::with_writer(None)
    }

    fn with_writer(writer: Option<DirectWriter>) -> Self {
        let limits = Limits { requests: usize::MAX, bytes: usize::MAX };
        let requests = Requests::new(limits, Bugs::default());
        let shared = Shared::new("store:6000".parse().unwrap(), requests, limits, writer);
        let (waker, wakes) = Wakes::counted();
        let (frames, has_gathered, yields) = (SendBuffer::new(), false, false);
        let mut task =
            Self { shared, wakes, waker, frames, has_gathered, yields, writes: Vec::new() };
        task.run();
        task
    }

    /// A caller makes a request.
    fn push(&self, id: i64) {
        let (segment, delegation_token) = ("s".into(), "".into());
        let command = SealSegment { request_id: id, segment, delegation_token };
        self.push_command(id, command.into(), None);
    }

    fn push_command(&self, id: i64, command: WireCommand, deadline: Option<Now>) {
        let (reply, _) = oneshot::channel();
        let waiter = Waiter { name: "SealSegment", limit: Duration::MAX, reply };
        let request = Request { id, command, waiter, cost: Some(1), deadline };
        assert!(self.shared.push(request));
    }

    /// A step, without what follows it.
    fn step(&mut self) {
        let times = (Now::ZERO, Now::ZERO);
        self.shared.step(times, self.has_gathered, &mut self.frames, &mut Vec::new());
    }

    fn wakes(&self) -> usize {
        self.wakes.count()
    }

    /// Polls the task once.
    fn run(&mut self) {
        self.wakes.take();
        self.yields = false;
        loop {
            let times = (Now::ZERO, Now::ZERO);
            let (gathered, frames) = (self.has_gathered, &mut self.frames);
            match self.shared.step(times, gathered, frames, &mut Vec::new()) {
                Step::Gather => {
                    (self.has_gathered, self.yields) = (true, true);
                    return;
                }
                Step::Wait(_) => {}
                Step::GiveUp(silence) => panic!("silent for {silence:?}"),
            }
            if self.frames.has_remaining() {
                self.write();
            } else if self.shared.sleep(&self.waker) {
                return;
            }
        }
    }

    fn write(&mut self) {
        let mut bytes = BytesMut::from(&self.frames.to_vec()[..]);
        self.frames.advance(bytes.len());
        self.has_gathered = false;
        let ids = std::iter::from_fn(|| Decoder::default().decode(&mut bytes).unwrap());
        self.writes.push(ids.filter_map(|command| command.request_id()).collect());
    }
}

#[test]
fn every_request_leaves_in_the_order_in_which_it_was_made() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut longest = 0;
    for _ in 0..200 {
        let mut task = Task::new();
        // The task has its turn more or less often.
        let (mut next, rarely) = (0, random.u32(2..100));
        for _ in 0..500 {
            if random.u32(..rarely) > 0 {
                task.push(next);
                next += 1;
            } else if task.yields || task.wakes() > 0 {
                task.run();
            }
        }
        while task.yields || task.wakes() > 0 {
            task.run();
        }
        longest = task.writes.iter().map(Vec::len).max().unwrap_or(0).max(longest);
        assert!(task.writes.concat().into_iter().eq(0..next), "of {next}: {:?}", task.writes);
    }
    assert!(longest > 64, "{longest}");
}

#[test]
fn a_task_that_is_needed_between_its_step_and_its_sleep_does_not_sleep() {
    let needs: [fn(&Task); 3] = [
        |task| task.push(0),
        |task| assert!(task.shared.push_unanswered(KeepAlive {}.into(), 8)),
        |task| assert!(task.shared.forget(7)),
    ];
    for (number, need) in needs.into_iter().enumerate() {
        let task = Task::new();
        need(&task);
        assert_eq!(task.wakes(), 1, "{number}: it sleeps");
        let mut task = Task::new();
        task.step();
        need(&task);
        assert_eq!(task.wakes(), 0, "{number}: it runs");
        assert!(!task.shared.sleep(&task.waker), "{number}");
        task.run();
        assert!(task.shared.sleep(&task.waker), "{number}: nothing is left");
    }
}

#[test]
fn no_more_is_encoded_than_a_socket_may_have_to_take() {
    let mut task = Task::new();
    for request_id in 0..5 {
        let key = TableKey { data: "key".into(), key_version: TableKey::NO_VERSION };
        let value = TableValue { data: vec![7; SEND_HIGH_WATER / 2].into() };
        let put = UpdateTableEntries {
            request_id,
            segment: "s".into(),
            delegation_token: "".into(),
            table_entries: vec![TableEntry { key, value }],
            table_segment_offset: -1,
        };
        task.push_command(request_id, put.into(), None);
    }
    task.step();
    assert!((SEND_HIGH_WATER..2 * SEND_HIGH_WATER).contains(&task.frames.remaining()));
    task.run();
    while task.yields {
        task.run();
    }
    assert_eq!(task.writes.concat(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_caller_does_not_write_before_the_frames_that_the_task_has() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (ours, theirs) = tokio::join!(connecting, listener.accept());
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap().0);
    ours.writable().await.unwrap();
    let writer = Socket::new(StoreIo::Tcp(ours)).direct_writer();
    let mut task = Task::with_writer(writer);
    assert!(task.shared.push_unanswered(KeepAlive {}.into(), 8));
    task.step();
    assert!(task.frames.has_remaining());
    task.push(1);
    assert!(task.shared.core().to_send.has_remaining());
    task.run();
    // None is left to the task, so the next one is written.
    task.push(2);
    assert!(!task.shared.core().to_send.has_remaining());
    theirs.readable().await.unwrap();
    assert_eq!(task.wakes(), 0);
    // The task ends it, though its caller has written it.
    let (segment, delegation_token) = ("s".into(), "".into());
    let command = SealSegment { request_id: 3, segment, delegation_token };
    task.push_command(3, command.into(), Some(Now::from_millis(1)));
    assert!(!task.shared.core().to_send.has_remaining());
    assert_eq!(task.wakes(), 1);
}
