//! What clients wrote into their links: the events that a store may have received.
//!
//! An event that no link carried was never sent, so its write must not fail with an unknown
//! outcome.

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The bytes that clients wrote into links, one log for each link.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Vec<Arc<Log>>>>);

/// The bytes of one link.
#[derive(Debug, Default)]
struct Log(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// The time at which the link took no more bytes, or was dropped.
    ended: Option<Instant>,
}

/// The client's end of a link, with a log of what is written to it.
#[derive(Debug)]
pub(crate) struct Recorded<S> {
    io: S,
    log: Arc<Log>,
}

impl Sent {
    /// Records what a client writes to a link.
    pub(crate) fn record<S>(&self, io: S) -> Recorded<S> {
        let log = Arc::new(Log::default());
        self.lock().push(Arc::clone(&log));
        Recorded { io, log }
    }

    /// The identities of all events that any link carried, whole or in part: writer, key and
    /// number, as events of a workload begin.
    pub(crate) fn events(&self) -> BTreeSet<(u32, String, u64)> {
        let mut events = BTreeSet::new();
        for log in self.lock().iter() {
            let state = log.lock();
            let parts: Vec<&[u8]> = state.bytes.split(|byte| *byte == b'|').collect();
            for window in parts.windows(3) {
                let [writer, key, number] = window else { continue };
                events.extend(identity(writer, key, number));
            }
        }
        events
    }

    /// The times at which links ended. What was handed to a link that ended may have left its
    /// client without a trace here.
    pub(crate) fn ended_links(&self) -> Vec<Instant> {
        self.lock().iter().filter_map(|log| log.lock().ended).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Log>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity of an event, if the parts are those of one. Bytes of a frame are in front of the
/// writer, which has one digit.
fn identity(writer: &[u8], key: &[u8], number: &[u8]) -> Option<(u32, String, u64)> {
    let writer = char::from(*writer.last()?).to_digit(10)?;
    let key = std::str::from_utf8(key).ok().filter(|key| key.starts_with("key-"))?;
    Some((writer, key.to_owned(), std::str::from_utf8(number).ok()?.parse().ok()?))
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().ended.get_or_insert_with(Instant::now);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(len)) => {
                self.log.lock().bytes.extend_from_slice(bytes.get(..*len).unwrap_or_default());
            }
            Poll::Ready(Err(_)) => self.log.end(),
            Poll::Pending => {}
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S> Drop for Recorded<S> {
    fn drop(&mut self) {
        self.log.end();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_events_that_a_link_carried_are_found_in_its_bytes_and_no_others() {
        let sent = Sent::default();
        let (client, _store) = tokio::io::duplex(1 << 10);
        let mut recorded = sent.record(client);
        // A length that reads like a digit is in front of the first one.
        recorded.write_all(b"\0\0\0\x311|key-2|17|xxxx\0\0\0\x080|key-0|3|").await.unwrap();
        recorded.write_all(b"no|event|at all").await.unwrap();
        let expected = [(0, "key-0".to_owned(), 3), (1, "key-2".to_owned(), 17)];
        assert_eq!(sent.events(), BTreeSet::from(expected));
        assert_eq!(sent.ended_links().len(), 0);
        drop(recorded);
        assert_eq!(sent.ended_links().len(), 1);
    }
}
