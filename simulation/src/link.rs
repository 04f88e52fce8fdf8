//! Bytes between two ends in memory, with faults at any byte.
//!
//! The directions fail separately, so that a store can carry out a request whose reply is lost.
//! Bytes that were written arrive even if their writer is dropped before, as on a real network.

use std::{
    collections::VecDeque,
    future::Future as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// The way in which a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The reader sees the end; the next write fails.
    Fin,
    /// Both ends of both directions fail at once; bytes in flight are lost.
    Reset,
    /// No more bytes arrive, and neither end fails.
    Silence,
}

/// The faults of one direction of a link.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The number of bytes after which it is cut, and how.
    pub cut: Option<(u64, Cut)>,
    /// The most bytes that arrive at once; `None` sets no limit.
    pub fragment: Option<usize>,
    /// The shortest and the longest delay of a write.
    pub delay: (Duration, Duration),
    /// The seed of the delays.
    pub seed: u64,
}

/// Creates a link; returns the client's end and the store's.
#[must_use]
pub fn pair(client_to_store: Faults, store_to_client: Faults) -> (End, End) {
    let up = Arc::new(Direction::new(client_to_store));
    let down = Arc::new(Direction::new(store_to_client));
    let client = End { incoming: Arc::clone(&down), outgoing: Arc::clone(&up), timer: None };
    let store = End { incoming: up, outgoing: down, timer: None };
    (client, store)
}

/// One end of a link. Dropping it closes the direction from it, and fails writes to it.
#[derive(Debug)]
pub struct End {
    incoming: Arc<Direction>,
    outgoing: Arc<Direction>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Direction {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: fastrand::Rng,
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    bytes_in_flight: usize,
    /// The number of bytes written so far.
    written: u64,
    last_arrival: Option<Instant>,
    /// True if the writer was dropped, or cut off by a FIN.
    is_finished: bool,
    is_reset: bool,
    is_silent: bool,
    /// True while nothing arrives.
    is_frozen: bool,
    reader_is_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The capacity of a direction, as of a socket's buffers.
const CAPACITY: usize = 256 * 1024;

impl Direction {
    fn new(faults: Faults) -> Self {
        let random = fastrand::Rng::with_seed(faults.seed);
        Self {
            state: Mutex::new(State {
                faults,
                random,
                in_flight: VecDeque::new(),
                bytes_in_flight: 0,
                written: 0,
                last_arrival: None,
                is_finished: false,
                is_reset: false,
                is_silent: false,
                is_frozen: false,
                reader_is_dropped: false,
                reader: None,
                writer: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self) {
        let mut state = self.lock();
        state.is_reset = true;
        state.in_flight.clear();
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes written bytes, up to the cut of the direction; returns the cut if it is reached.
    fn take(&mut self, bytes: &[u8]) -> Option<Cut> {
        let left =
            self.faults.cut.map_or(u64::MAX, |(after, _)| after.saturating_sub(self.written));
        let passes = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.written += bytes.len() as u64;
        if !self.is_silent && !self.is_finished && passes > 0 {
            let (least, most) = self.faults.delay;
            let delay = least + most.saturating_sub(least).mul_f64(self.random.f64());
            // Bytes never overtake each other.
            let arrival =
                self.last_arrival.unwrap_or_else(Instant::now).max(Instant::now() + delay);
            self.last_arrival = Some(arrival);
            self.in_flight.push_back((arrival, bytes[..passes].to_vec()));
            self.bytes_in_flight += passes;
        }
        let cut =
            self.faults.cut.filter(|(after, _)| self.written >= *after).map(|(_, cut)| cut)?;
        match cut {
            Cut::Fin => self.is_finished = true,
            Cut::Silence => self.is_silent = true,
            Cut::Reset => {}
        }
        self.wake();
        Some(cut)
    }
}

impl End {
    /// Fails both directions at once.
    pub fn reset(&self) {
        self.incoming.reset();
        self.outgoing.reset();
    }

    /// A switch that can reset the link later. Only the client's end returns one that tells the
    /// two directions apart.
    #[must_use]
    pub fn switch(&self) -> Switch {
        Switch { directions: [Arc::clone(&self.incoming), Arc::clone(&self.outgoing)] }
    }
}

/// Resets or repairs a link from outside.
#[derive(Debug, Clone)]
pub struct Switch {
    directions: [Arc<Direction>; 2],
}

impl Switch {
    /// Fails both directions at once; bytes in flight are lost.
    pub fn reset(&self) {
        self.directions.iter().for_each(|direction| direction.reset());
    }

    /// Lets both directions fall silent; bytes in flight are lost.
    pub fn silence(&self) {
        for direction in &self.directions {
            let mut state = direction.lock();
            state.is_silent = true;
            state.in_flight.clear();
            state.bytes_in_flight = 0;
            state.wake();
        }
    }

    /// Lets nothing arrive at either end, or ends that. Nothing is lost.
    pub fn set_frozen(&self, is_frozen: bool) {
        for direction in &self.directions {
            let mut state = direction.lock();
            state.is_frozen = is_frozen;
            state.wake();
        }
    }

    /// The numbers of bytes written into the link by the client, and by the store.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        let [from_store, from_client] = &self.directions;
        (from_client.lock().written, from_store.lock().written)
    }

    /// Ends all cuts and delays. A silent link is reset, as when a route comes back and the other
    /// end no longer knows the connection.
    pub fn heal(&self) {
        for direction in &self.directions {
            direction.lock().faults = Faults::default();
        }
        if self.directions.iter().any(|direction| direction.lock().is_silent) {
            self.reset();
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let arrival = {
                let mut state = self.incoming.lock();
                if state.is_frozen {
                    state.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                if state.is_reset {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                match state.in_flight.front() {
                    Some((arrival, _)) if *arrival <= Instant::now() => {
                        let limit =
                            out.remaining().min(state.faults.fragment.unwrap_or(usize::MAX));
                        let Some((_, chunk)) = state.in_flight.front_mut() else { continue };
                        let taken = limit.min(chunk.len());
                        out.put_slice(&chunk[..taken]);
                        chunk.drain(..taken);
                        if chunk.is_empty() {
                            state.in_flight.pop_front();
                        }
                        state.bytes_in_flight -= taken;
                        if let Some(writer) = state.writer.take() {
                            writer.wake();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Some((arrival, _)) => *arrival,
                    None if state.is_finished && !state.is_silent => return Poll::Ready(Ok(())),
                    None => {
                        state.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            self.incoming.lock().reader = Some(cx.waker().clone());
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(arrival)));
            if timer.deadline() != arrival {
                timer.as_mut().reset(arrival);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let cut = {
            let mut state = self.outgoing.lock();
            if state.is_reset || (state.reader_is_dropped && !state.is_silent) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if state.is_finished {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if state.bytes_in_flight >= CAPACITY {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let cut = state.take(bytes);
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
            cut
        };
        if cut == Some(Cut::Reset) {
            self.reset();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.outgoing.lock();
        state.is_finished = true;
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        {
            let mut state = self.outgoing.lock();
            state.is_finished = true;
            state.wake();
        }
        let mut state = self.incoming.lock();
        state.reader_is_dropped = true;
        state.wake();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn cut_after(bytes: u64, cut: Cut) -> Faults {
        Faults { cut: Some((bytes, cut)), ..Faults::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_direction_is_cut_at_its_byte_and_the_other_continues() {
        let (mut client, mut store) = pair(cut_after(3, Cut::Fin), Faults::default());
        client.write_all(b"abcdef").await.unwrap();
        let mut all = Vec::new();
        store.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abc");
        assert!(client.write_all(b"more").await.is_err());
        store.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_fails_both_ends_and_a_silence_neither() {
        let (mut client, mut store) = pair(cut_after(3, Cut::Reset), Faults::default());
        client.write_all(b"abcdef").await.unwrap();
        assert_eq!(store.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

        let (mut client, mut store) = pair(cut_after(3, Cut::Silence), Faults::default());
        client.write_all(b"abcdef").await.unwrap();
        let mut arrived = [0; 3];
        store.read_exact(&mut arrived).await.unwrap();
        drop(client);
        let silence = tokio::time::timeout(Duration::from_secs(3600), store.read_u8()).await;
        assert!(silence.is_err(), "no bytes arrive, not even the end");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_late_in_order_and_in_pieces_even_if_their_writer_is_dropped() {
        let delay = (Duration::from_millis(10), Duration::from_millis(500));
        let faults = Faults { delay, fragment: Some(2), seed: 3, ..Faults::default() };
        let (mut client, mut store) = pair(faults, Faults::default());
        for at in 0..100_u8 {
            client.write_all(&[at, at, at]).await.unwrap();
        }
        drop(client);
        let started = Instant::now();
        let mut all = Vec::new();
        let mut piece = [0; 100];
        loop {
            let len = store.read(&mut piece).await.unwrap();
            assert!(len <= 2);
            if len == 0 {
                break;
            }
            all.extend_from_slice(&piece[..len]);
        }
        assert_eq!(all, (0..100_u8).flat_map(|at| [at, at, at]).collect::<Vec<_>>());
        assert!(started.elapsed() >= Duration::from_millis(10));
    }
}
