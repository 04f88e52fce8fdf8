//! The connections of a port: no more than the process has descriptors for, and a seat for a new
//! client when the seats are taken by silent ones.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A connection that was silent for this long may have to leave for a new one.
const SILENT: Duration = Duration::from_secs(1);
/// The interval between two warnings of a port: clients decide how often there is a reason for one.
const WARNINGS: Duration = Duration::from_secs(10);
/// How long no connection is accepted after that has failed, most likely for want of descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// The connections of one port, or of several that share a limit.
#[derive(Debug)]
pub(crate) struct Port {
    name: &'static str,
    limit: usize,
    begun: Instant,
    seats: Mutex<Seats>,
    warnings: Mutex<Warnings>,
}

/// What is worth a warning, which is logged once in a while with the number of times.
#[derive(Debug, Default)]
struct Warnings {
    logged: Option<Instant>,
    since: u64,
}

impl Warnings {
    /// Counts one; returns the number since the last warning if it is time for the next.
    fn count(&mut self) -> Option<u64> {
        self.since += 1;
        if self.logged.is_some_and(|logged| logged.elapsed() < WARNINGS) {
            return None;
        }
        self.logged = Some(Instant::now());
        Some(std::mem::take(&mut self.since))
    }
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    /// When it last did something, in milliseconds since the port was opened.
    last: Arc<AtomicU64>,
    cut: CancellationToken,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    id: u64,
    port: Arc<Port>,
    last: Arc<AtomicU64>,
    cut: CancellationToken,
}

impl Port {
    pub(crate) fn new(name: &'static str, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            limit,
            begun: Instant::now(),
            seats: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_warning(&self) -> Option<u64> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for the next connection that has a seat; `None` after `stop`. `cut` ends all of them.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        stop: &CancellationToken,
        cut: &CancellationToken,
    ) -> Option<(TcpStream, Seat)> {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return None,
            };
            match accepted {
                Ok((socket, _)) => {
                    if let Some(seat) = self.seat(cut) {
                        return Some((socket, seat));
                    }
                    if let Some(refused) = self.count_warning() {
                        tracing::warn!(
                            port = self.name,
                            limit = self.limit,
                            refused,
                            "too many connections; new ones are refused"
                        );
                    }
                }
                Err(error) => {
                    if let Some(times) = self.count_warning() {
                        let port = self.name;
                        tracing::warn!(port, times, %error, "cannot accept connections");
                    }
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Takes a seat, in place of the connection that was silent for longest if all are taken;
    /// `None` if none was silent.
    pub(crate) fn seat(self: &Arc<Self>, cut: &CancellationToken) -> Option<Seat> {
        let now = self.now();
        let mut seats = self.seats();
        if seats.taken.len() >= self.limit {
            let last = |taken: &Taken| taken.last.load(Ordering::Relaxed);
            let (&id, silent) = seats.taken.iter().min_by_key(|(_, taken)| last(taken))?;
            if now.saturating_sub(last(silent)) < SILENT.as_millis() as u64 {
                return None;
            }
            if let Some(silent) = seats.taken.remove(&id) {
                tracing::debug!(port = self.name, "a silent connection leaves for a new one");
                silent.cut.cancel();
            }
        }
        let (last, cut) = (Arc::new(AtomicU64::new(now)), cut.child_token());
        let id = seats.next;
        seats.next += 1;
        seats.taken.insert(id, Taken { last: Arc::clone(&last), cut: cut.clone() });
        Some(Seat { id, port: Arc::clone(self), last, cut })
    }
}

impl Seat {
    /// Notes that the connection did something.
    pub(crate) fn touch(&self) {
        self.last.store(self.port.now(), Ordering::Relaxed);
    }

    /// Waits until the connection must end.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Returns true if the connection must end.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.port.seats().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_silent_for_longest_leaves_for_a_new_one() {
        let (port, cut) = (Port::new("test", 3), CancellationToken::new());
        let first = port.seat(&cut).unwrap();
        let second = port.seat(&cut).unwrap();
        advance(Duration::from_millis(500)).await;
        let third = port.seat(&cut).unwrap();
        assert!(port.seat(&cut).is_none(), "a connection that is active has to leave");
        advance(SILENT).await;
        first.touch();
        let fourth = port.seat(&cut).unwrap();
        assert!(second.is_cut() && !first.is_cut() && !third.is_cut() && !fourth.is_cut());
        assert_eq!(port.seats().taken.len(), 3);
        drop(second);
        assert_eq!(port.seats().taken.len(), 3);
        drop(first);
        assert_eq!(port.seats().taken.len(), 2);
        cut.cancel();
        assert!(fourth.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_warns_once_in_a_while_however_many_connections_it_refuses() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(warnings.count(), None);
        }
        advance(WARNINGS).await;
        assert_eq!(warnings.count(), Some(1001));
        assert_eq!(warnings.count(), None);
    }
}
