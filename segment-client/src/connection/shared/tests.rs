//! When requests leave: the callers and the task of a connection in random orders.

use std::{
    sync::atomic::AtomicUsize,
    task::{Wake, Waker},
};

use bytes::BytesMut;
use pravega_sdk_wire_protocol::{Decoder, commands::SealSegment};

use super::*;
use crate::seeded_bugs::Bugs;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

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
        let limits = Limits { requests: usize::MAX, bytes: usize::MAX };
        let requests = Requests::new(limits, Bugs::default());
        let shared = Shared::new("store:6000".parse().unwrap(), requests, limits, None);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let (frames, has_gathered, yields) = (SendBuffer::new(), false, false);
        let mut task =
            Self { shared, wakes, waker, frames, has_gathered, yields, writes: Vec::new() };
        task.run();
        task
    }

    /// A caller makes a request.
    fn push(&self, id: i64) {
        let (segment, delegation_token) = ("s".into(), "".into());
        let command = SealSegment { request_id: id, segment, delegation_token }.into();
        let (reply, _) = oneshot::channel();
        let waiter = Waiter { name: "SealSegment", limit: Duration::MAX, reply };
        let request = Request { id, command, waiter, cost: Some(1), deadline: None };
        assert!(self.shared.push(request));
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }

    /// Polls the task once.
    fn run(&mut self) {
        self.wakes.0.store(0, Ordering::Relaxed);
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
        self.writes.push(ids.map(|command| command.request_id().unwrap()).collect());
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
