//! The task of one connection: it moves bytes and leaves decisions to the machines.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_types::ErrorKind;
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand};
use tokio::{
    task::unconstrained,
    time::{Sleep, sleep_until},
};

use super::{
    error::ConnectionError,
    machine::keep_alive::Now,
    shared::{Answer, CloseOnDrop, Shared, Step},
    socket::Socket,
};

/// With less room than this the receive buffer grows before the next read.
const MIN_ROOM: usize = 2 << 10;
/// The most memory that is reserved because the frames before were long: the longest read, and what
/// else its reply has.
const MAX_RESERVED: usize = (1 << 20) + (4 << 10);

pub(super) struct Driver {
    socket: Socket,
    shared: Arc<Shared>,
    received: BytesMut,
    /// The length of the last frames: that of the last one, unless one shortly before it was
    /// longer.
    usual_len: usize,
    /// What the task has taken and not written yet.
    frames: SendBuffer,
    commands: Vec<WireCommand>,
    answers: Vec<Answer>,
    timer: Pin<Box<Sleep>>,
    /// When the timer is due.
    armed: Now,
    /// Callers have added their requests to those that are written next.
    has_gathered: bool,
}

impl Driver {
    pub(super) fn new(socket: Socket, received: BytesMut, shared: Arc<Shared>) -> Self {
        let timer = Box::pin(sleep_until(shared.started));
        Self {
            socket,
            shared,
            received,
            usual_len: 0,
            frames: SendBuffer::new(),
            commands: Vec::new(),
            answers: Vec::new(),
            timer,
            armed: Now::ZERO,
            has_gathered: false,
        }
    }

    /// Runs until the connection ends, then fails all waiters with the cause.
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        // A runtime that ends may drop the task before its first poll.
        let closing = CloseOnDrop(Arc::clone(&self.shared));
        async move {
            let cause = poll_fn(|cx| self.poll(cx)).await;
            let endpoint = &self.shared.endpoint;
            tracing::debug!(%endpoint, %cause, "connection ended");
            closing.0.close(Some(cause));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        // Sending comes first. The limits of requests in flight bound it, so replies are read soon
        // after.
        loop {
            let now = self.shared.started.elapsed();
            let step = self.shared.step(
                (now, self.armed),
                self.has_gathered,
                &mut self.frames,
                &mut self.answers,
            );
            self.answer();
            let wakes_at = match step {
                Step::Gather => {
                    self.has_gathered = true;
                    // The runtime polls it again after the tasks that this thread has ready now. To
                    // yield would be longer: until no thread has any, and with a wake of another
                    // thread that then finds nothing to do. All requests would leave in one write,
                    // and client and store wait for each other in turn.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Wait(wakes_at) => wakes_at,
                Step::GiveUp(silence) => {
                    let detail =
                        format!("the segment store was silent for {:.0} s", silence.as_secs_f64());
                    return Poll::Ready(self.ended(ErrorKind::ConnectionLost, detail));
                }
            };
            let (sent, had_frames) = self.poll_write(cx);
            if let Poll::Ready(Err(error)) = sent {
                return Poll::Ready(self.lost(&error));
            }
            if had_frames && sent.is_ready() {
                // There is room for more.
                continue;
            }
            if self.poll_timer(now, wakes_at, cx).is_ready() {
                continue;
            }
            self.make_room();
            match self.socket.poll_read(cx, &mut self.received) {
                Poll::Pending if self.shared.sleep(cx.waker()) => return Poll::Pending,
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => return Poll::Ready(self.lost("the segment store closed it")),
                Poll::Ready(Err(error)) => return Poll::Ready(self.lost(&error)),
                Poll::Ready(Ok(_)) => {
                    let taken = self.take_frames();
                    self.answer();
                    if let Err(cause) = taken {
                        return Poll::Ready(cause);
                    }
                }
            }
        }
    }

    /// Writes what was taken; returns true beside the result if there was any.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> (Poll<std::io::Result<()>>, bool) {
        let had_frames = self.frames.has_remaining();
        let written = self.socket.poll_write_all(cx, &mut self.frames);
        if written.is_ready() && had_frames {
            self.has_gathered = false;
        }
        (written, had_frames)
    }

    /// Sets the timer; ready if it is due.
    fn poll_timer(&mut self, now: Now, wakes_at: Now, cx: &mut Context<'_>) -> Poll<()> {
        if wakes_at != self.armed || self.armed <= now {
            self.armed = wakes_at;
            self.timer.as_mut().reset(self.shared.started + wakes_at);
            // Without room in the task's budget it would not be set.
            return pin!(unconstrained(self.timer.as_mut())).poll(cx);
        }
        Poll::Pending
    }

    /// Makes room for the next bytes. As long as callers keep replies, each new block is another
    /// allocation.
    fn make_room(&mut self) {
        let spare = self.received.capacity() - self.received.len();
        if spare < MIN_ROOM || !self.received.is_empty() {
            let before = self.usual_len.min(MAX_RESERVED);
            let needed = Decoder::default().room_needed_after(&self.received, before);
            self.received.reserve(needed);
        }
    }

    /// Gives callers what they wait for.
    fn answer(&mut self) {
        for (waiter, answer) in self.answers.drain(..) {
            waiter.answer(answer);
        }
    }

    fn take_frames(&mut self) -> Result<(), ConnectionError> {
        let decoder = Decoder::default();
        let decoded = loop {
            let len = self.received.len();
            match decoder.decode(&mut self.received) {
                Ok(Some(command)) => {
                    self.usual_len = (len - self.received.len()).max(self.usual_len / 2);
                    self.commands.push(command);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.ended(ErrorKind::Protocol, error)),
            }
        };
        let now = self.shared.started.elapsed();
        let handled = self.shared.handle(now, &mut self.commands, &mut self.answers);
        handled.map_err(|name| {
            let detail = format!("the segment store sent {name}, which only clients send");
            self.ended(ErrorKind::Protocol, detail)
        })?;
        decoded
    }

    fn ended(&self, kind: ErrorKind, reason: impl std::fmt::Display) -> ConnectionError {
        ConnectionError::new(kind, &self.shared.endpoint, reason)
    }

    fn lost(&self, reason: impl std::fmt::Display) -> ConnectionError {
        self.ended(ErrorKind::ConnectionLost, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use pravega_sdk_wire_protocol::commands::SealSegment;
    use tokio::{
        io::{AsyncReadExt as _, DuplexStream, duplex},
        sync::oneshot,
    };

    use super::{
        super::{
            io::StoreIo,
            machine::requests::{Limits, Request, Requests},
            shared::Waiter,
            wakes::Wakes,
        },
        *,
    };
    use crate::seeded_bugs::Bugs;

    /// A driver, and the store's end of its connection.
    fn driver() -> (Driver, DuplexStream) {
        let (ours, theirs) = duplex(1 << 20);
        let limits = Limits { requests: usize::MAX, bytes: usize::MAX };
        let requests = Requests::new(limits, Bugs::default());
        let shared = Shared::new("store:6000".parse().unwrap(), requests, limits, None);
        let socket = Socket::new(StoreIo::Other(Box::new(ours)));
        (Driver::new(socket, BytesMut::new(), Arc::new(shared)), theirs)
    }

    fn push(driver: &Driver, id: i64) {
        let (segment, delegation_token) = ("s".into(), "".into());
        let command = SealSegment { request_id: id, segment, delegation_token }.into();
        let waiter =
            Waiter { name: "SealSegment", limit: Duration::MAX, reply: oneshot::channel().0 };
        let request = Request { id, command, waiter, cost: Some(1), deadline: None };
        assert!(driver.shared.push(request));
    }

    /// The requests that have arrived.
    fn arrived(store: &mut DuplexStream) -> Vec<i64> {
        let mut bytes = BytesMut::with_capacity(1 << 20);
        store.read_buf(&mut bytes).now_or_never().map(Result::unwrap);
        let requests = std::iter::from_fn(|| Decoder::default().decode(&mut bytes).unwrap());
        requests.map(|request| request.request_id().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_task_that_gathers_is_woken_by_itself_at_once_and_one_without_requests_sleeps() {
        let ((mut driver, mut store), (waker, wakes)) = (driver(), Wakes::counted());
        let poll = |driver: &mut Driver| {
            assert!(driver.poll(&mut Context::from_waker(&waker)).is_pending());
            wakes.take()
        };
        assert_eq!(poll(&mut driver), 0);
        // Two at once: it is likely that more come at once.
        push(&driver, 1);
        push(&driver, 2);
        assert_eq!(wakes.take(), 1);
        poll(&mut driver);
        assert_eq!(arrived(&mut store), [1, 2]);
        for (one, other) in [(3, 4), (5, 6)] {
            push(&driver, one);
            wakes.take();
            assert_eq!(poll(&mut driver), 1, "before the runtime has nothing else to do");
            push(&driver, other);
            assert_eq!(wakes.count(), 0, "it is awake");
            assert_eq!(arrived(&mut store), [0; 0]);
            poll(&mut driver);
            assert_eq!(arrived(&mut store), [one, other]);
        }
        // The store has read them, which wakes a writer that waits.
        poll(&mut driver);
        assert_eq!(poll(&mut driver), 0);
    }
}
