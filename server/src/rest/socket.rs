//! The socket of one request: keeps the head of the request as it was sent, and ends a response
//! that the client does not take.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::limits::{MAX_HEAD_LEN, MIN_TAKEN, TAKE_TIMEOUT};
use crate::{locks::lock, ports::Seat, transport::Transport};

/// The first bytes of a connection, as the client sent them.
#[derive(Debug, Default)]
pub(super) struct Head(Mutex<Vec<u8>>);

impl Head {
    /// Keeps received bytes, up to the longest head.
    fn keep(&self, received: &[u8]) {
        let mut head = lock(&self.0);
        let missing = MAX_HEAD_LEN.saturating_sub(head.len());
        head.extend_from_slice(received.get(..missing).unwrap_or(received));
    }

    /// The number of fields of a name in the head.
    pub(super) fn count(&self, name: &str) -> usize {
        count(&lock(&self.0), name)
    }
}

/// The head is valid HTTP when this is asked, so a field is a line that begins with its name.
fn count(head: &[u8], name: &str) -> usize {
    let lines = head.split(|byte| *byte == b'\n');
    let fields = lines.skip(1).take_while(|line| !matches!(line, [] | [b'\r']));
    let is_named = |line: &&[u8]| {
        line.split(|byte| *byte == b':')
            .next()
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    };
    fields.filter(is_named).count()
}

/// A client's socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Transport,
    seat: Arc<Seat>,
    head: Arc<Head>,
    stalled: Option<Stalled>,
    /// Bytes that the client took since it was last seen active. A request is short, so what a
    /// client sends is no such sign.
    untouched: usize,
}

/// A response that the client does not take as fast as it is written.
#[derive(Debug)]
struct Stalled {
    until: Pin<Box<Sleep>>,
    taken: usize,
}

impl Socket {
    pub(super) fn new(stream: Transport, seat: Arc<Seat>, head: Arc<Head>) -> Self {
        Self { stream, seat, head, stalled: None, untouched: 0 }
    }

    pub(super) fn into_stream(self) -> Transport {
        self.stream
    }

    /// Counts what the client took, or the time in which it took nothing.
    fn progress(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = written {
            self.untouched = self.untouched.saturating_add(len);
            if self.untouched >= MIN_TAKEN {
                self.untouched = 0;
                self.seat.touch();
            }
        }
        match (written, &mut self.stalled) {
            (Poll::Ready(Ok(len)), Some(stalled)) => {
                stalled.taken = stalled.taken.saturating_add(len);
                if stalled.taken >= MIN_TAKEN {
                    self.stalled = None;
                }
                Poll::Ready(Ok(len))
            }
            (Poll::Pending, stalled) => {
                let new = || Stalled { until: Box::pin(sleep(TAKE_TIMEOUT)), taken: 0 };
                ready!(stalled.get_or_insert_with(new).until.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            (written, _) => written,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.head.keep(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.progress(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // What TLS has taken may be blocked, too.
        ready!(self.progress(flushed.map_ok(|()| 0), context))?;
        // Everything that was to be written was taken.
        self.stalled = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_by_name_up_to_the_end_of_the_head() {
        let head = b"GET /host: HTTP/1.1\r\nHost: a\r\nhOST:b\r\nX: host: c\r\nHosts: d\r\n\r\n\
                     Host: in the body\r\n";
        assert_eq!(count(head, "host"), 2);
        assert_eq!(count(b"GET / HTTP/1.1\nHost: a\n\nHost: b\n", "host"), 1);
        assert_eq!(count(b"", "host"), 0);
    }

    #[test]
    fn no_more_than_the_longest_head_is_kept() {
        let head = Head::default();
        for _ in 0..100 {
            head.keep(&[b'x'; 1000]);
        }
        assert_eq!(head.0.lock().unwrap().len(), MAX_HEAD_LEN);
    }
}
