//! A connection to the controller: a socket that ends by itself if the client is silent where it
//! must speak, or takes none of its answers.
//!
//! The libraries above know nothing of a client that keeps its connection alive and opens no
//! window: [`Watch`] counts the answers that are not taken, and the socket fails when none of them
//! was for a while.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::{
    budget::Pool,
    limits::{FIRST_WORD, TICK, UNTAKEN, WHEN_WANTED},
    ports::Seat,
    tasks::Tasks,
    transport::Transport,
    turns,
};

/// The length of what a client of HTTP/2 sends first: the preface and the header of a frame.
const PREFACE: u64 = 24 + 9;

/// What is known of a connection by all who serve it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The place of the connection; `None` for a call without one.
    seat: Option<Arc<Seat>>,
    begun: Instant,
    /// The calls in flight.
    calls: AtomicUsize,
    /// The answers that were not taken as a whole.
    answers: AtomicUsize,
    /// When the last part of an answer was taken, in milliseconds after `begun`.
    taken: AtomicU64,
}

impl Watch {
    pub(crate) fn new(seat: Option<Arc<Seat>>) -> Arc<Self> {
        Arc::new(Self {
            seat,
            begun: Instant::now(),
            calls: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
        })
    }

    /// Notes that the client is active: it makes a call, or takes an answer. What it sends besides
    /// keeps a connection alive, and is no such sign.
    fn touch(&self) {
        if let Some(seat) = &self.seat {
            seat.touch();
        }
    }

    /// Notes that the client is no stranger.
    pub(crate) fn admit(&self) {
        if let Some(seat) = &self.seat {
            seat.admit();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a call until the guard is dropped; returns true beside it if it is the only one.
    pub(crate) fn call(self: &Arc<Self>) -> (CallGuard, bool) {
        self.touch();
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        (CallGuard(Arc::clone(self)), before == 0)
    }

    /// Counts an answer until the guard is dropped.
    pub(crate) fn answer(self: &Arc<Self>) -> AnswerGuard {
        if self.answers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.taken.store(self.now(), Ordering::Relaxed);
        }
        AnswerGuard(Arc::clone(self))
    }

    /// How long no part of an answer was taken, in milliseconds.
    fn untaken(&self) -> u64 {
        match self.answers.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.now().saturating_sub(self.taken.load(Ordering::Relaxed)),
        }
    }
}

/// The mark of a call that is the only one of its connection, an extension of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlyCall;

/// A call in flight.
#[derive(Debug)]
pub(crate) struct CallGuard(Arc<Watch>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that is not taken as a whole.
#[derive(Debug)]
pub(crate) struct AnswerGuard(Arc<Watch>);

impl AnswerGuard {
    /// Notes that a part was taken.
    pub(crate) fn taken(&self) {
        self.0.touch();
        self.0.taken.store(self.0.now(), Ordering::Relaxed);
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.taken();
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The socket of a connection to the controller.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Transport,
    watch: Arc<Watch>,
    tasks: Arc<Tasks>,
    replies: Pool,
    received: u64,
    /// Since when the socket takes no bytes; `None` if it does.
    blocked: Option<Instant>,
    check: Pin<Box<Sleep>>,
}

impl Watched {
    pub(crate) fn new(
        socket: Transport,
        watch: Arc<Watch>,
        tasks: Arc<Tasks>,
        replies: Pool,
    ) -> Self {
        Self {
            socket,
            watch,
            tasks,
            replies,
            received: 0,
            blocked: None,
            check: Box::pin(sleep(TICK)),
        }
    }

    /// Fails if the connection must end; wakes the task of the connection for the next check.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.check.as_mut().poll(cx).is_ready() {
            self.check.as_mut().reset(Instant::now() + TICK);
            let patience = if self.replies.is_wanted() { WHEN_WANTED } else { UNTAKEN };
            let reason = if self.received < PREFACE && self.watch.begun.elapsed() >= FIRST_WORD {
                "the client has sent no preface"
            } else if self.watch.untaken() >= patience.as_millis() as u64
                || self.blocked.is_some_and(|blocked| blocked.elapsed() >= patience)
            {
                "the client takes no answers"
            } else {
                continue;
            };
            tracing::debug!(reason, "a connection to the controller ends");
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        Ok(())
    }

    /// Notes whether the socket takes bytes.
    fn wrote<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.blocked = self.blocked.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => self.blocked = None,
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        if self.tasks.are_many(cx) {
            return Poll::Pending;
        }
        if turns::slice_is_over() {
            // The library above reads for as long as there are bytes.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        self.received += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // While it is blocked, nothing is read.
        self.check(cx)?;
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What TLS has taken may be blocked, too.
        self.check(cx)?;
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.wrote(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
