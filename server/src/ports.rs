//! The connections of a port: no more than the process has descriptors for, and a seat for a new
//! client when the seats are taken by silent ones.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::locks::lock;
use crate::turns;

/// A connection that was silent for this long may have to leave for a new one.
const SILENT: Duration = Duration::from_secs(1);
/// Connections that were never used are many if they have one seat in this many.
const MANY_UNUSED: usize = 4;
/// The interval between two warnings of a port: clients decide how often there is a reason for one.
const WARNINGS: Duration = Duration::from_secs(10);
/// How long no connection is accepted after that has failed, most likely for want of descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// Who comes to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// What any of them does counts.
    Any,
    /// They are strangers until they are admitted, and what they do before keeps no seat: those
    /// without an account would take all seats for good.
    Strangers,
}

/// The connections of one port, or of several that share a limit.
#[derive(Debug)]
pub(crate) struct Port {
    name: &'static str,
    limit: usize,
    clients: Clients,
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

impl Seats {
    /// The connection that leaves for a new one; `None` if none was silent for long enough.
    ///
    /// One that was never used leaves before one that was. While many are of the first kind, none
    /// of the second leaves: a client that comes again and again takes the seats of its like.
    fn longest_silent(&self, now: u64, limit: usize) -> Option<u64> {
        let orders = || self.taken.iter().map(|(id, taken)| (taken.activity.order(), *id));
        let unused = orders().filter(|((has_worked, _), _)| !has_worked).count();
        let may_leave = |((has_worked, last), _): &((bool, u64), u64)| {
            let is_silent = now.saturating_sub(*last) >= SILENT.as_millis() as u64;
            is_silent && !(*has_worked && unused.saturating_mul(MANY_UNUSED) >= limit)
        };
        orders().filter(may_leave).min().map(|(_, id)| id)
    }
}

#[derive(Debug)]
struct Taken {
    activity: Arc<Activity>,
    cut: CancellationToken,
}

/// What the client of a connection did.
#[derive(Debug)]
struct Activity {
    /// When it last did something, in milliseconds since the port was opened.
    last: AtomicU64,
    /// It did more than to connect.
    has_worked: AtomicBool,
    /// It is no stranger.
    is_admitted: AtomicBool,
}

impl Activity {
    /// In the order in which connections leave: first those that have never worked.
    fn order(&self) -> (bool, u64) {
        (self.has_worked.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed))
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    id: u64,
    port: Arc<Port>,
    activity: Arc<Activity>,
    cut: CancellationToken,
}

impl Port {
    pub(crate) fn new(name: &'static str, limit: usize, clients: Clients) -> Arc<Self> {
        Arc::new(Self {
            name,
            limit,
            clients,
            begun: Instant::now(),
            seats: Mutex::default(),
            warnings: Mutex::default(),
        })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        lock(&self.seats)
    }

    fn count_warning(&self) -> Option<u64> {
        lock(&self.warnings).count()
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
            if turns::slice_is_over() {
                yield_now().await;
            }
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
    /// `None` if none was silent. A connection that was never used leaves before one that was.
    pub(crate) fn seat(self: &Arc<Self>, cut: &CancellationToken) -> Option<Seat> {
        let now = self.now();
        let mut seats = self.seats();
        if seats.taken.len() >= self.limit {
            let id = seats.longest_silent(now, self.limit)?;
            if let Some(silent) = seats.taken.remove(&id) {
                tracing::debug!(port = self.name, "a silent connection leaves for a new one");
                silent.cut.cancel();
            }
        }
        let activity = Arc::new(Activity {
            last: AtomicU64::new(now),
            has_worked: AtomicBool::new(false),
            is_admitted: AtomicBool::new(self.clients == Clients::Any),
        });
        let cut = cut.child_token();
        let id = seats.next;
        seats.next += 1;
        seats.taken.insert(id, Taken { activity: Arc::clone(&activity), cut: cut.clone() });
        Some(Seat { id, port: Arc::clone(self), activity, cut })
    }
}

impl Seat {
    /// Notes that the client did something that no client does only to keep its seat.
    pub(crate) fn touch(&self) {
        if !self.activity.is_admitted.load(Ordering::Relaxed) {
            return;
        }
        self.activity.last.store(self.port.now(), Ordering::Relaxed);
        self.activity.has_worked.store(true, Ordering::Relaxed);
    }

    /// Notes that the client is no stranger: it has shown that it may do something.
    pub(crate) fn admit(&self) {
        if !self.activity.is_admitted.load(Ordering::Relaxed) {
            self.activity.is_admitted.store(true, Ordering::Relaxed);
            self.touch();
        }
    }

    /// Waits until the connection must end.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Returns true if the connection must end.
    #[cfg(test)]
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
        let (port, cut) = (Port::new("test", 3, Clients::Any), CancellationToken::new());
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
    async fn a_connection_that_was_never_used_leaves_before_an_older_one_that_was() {
        let (port, cut) = (Port::new("test", 2, Clients::Any), CancellationToken::new());
        let used = port.seat(&cut).unwrap();
        used.touch();
        advance(60 * SILENT).await;
        let mut unused = port.seat(&cut).unwrap();
        for _ in 0..10 {
            assert!(port.seat(&cut).is_none(), "the newest one has had no time to begin");
            advance(SILENT).await;
            let next = port.seat(&cut).unwrap();
            assert!(unused.is_cut() && !used.is_cut());
            unused = next;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_stranger_does_keeps_no_seat() {
        let (port, cut) = (Port::new("test", 4, Clients::Strangers), CancellationToken::new());
        let mut strangers: Vec<Seat> = (0..4).map(|_| port.seat(&cut).unwrap()).collect();
        advance(SILENT).await;
        strangers.iter().for_each(Seat::touch);
        let known = port.seat(&cut).unwrap();
        known.admit();
        known.touch();
        for _ in 0..10 {
            advance(SILENT).await;
            strangers.retain(|stranger| !stranger.is_cut());
            strangers.iter().for_each(Seat::touch);
            strangers.push(port.seat(&cut).unwrap());
            assert!(!known.is_cut());
        }
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
