//! Turns: the work of one client never delays that of another by more than a slice.
//!
//! All work for a client is futures that are [metered](Account::meter): each poll is a slice of
//! work, which ends soon, and its time is on the account of the client. A client that has used
//! little is served at once. One that has used much takes a turn for each slice, and waits while
//! others have theirs. There are fewer turns than threads and cores, so however much all of them
//! want, a thread is left for the clients with little work, and their wait is one slice at most.
//!
//! If those with little work are too many for that, the oldest of them are served at once, and the
//! others take turns too: a client gets no more by coming with many connections.
//!
//! While no other client waits a turn is free, so a client alone is as fast as the server.
//!
//! Threads that have slices with turns one after the other have always something to do: a runtime
//! whose threads are busy seldom checks its sockets, and the system lets a busy thread go on for
//! milliseconds while others wait for its processor. So before the next of these slices, once in a
//! while, whichever thread has it leaves the processor to others, and does all else that is ready,
//! and what its sockets make ready.

mod apart;
mod machine;

use std::{
    cell::Cell,
    future::poll_fn,
    num::NonZero,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, task::yield_now, time::Instant};

use self::machine::{Admission, Line, Place, Rank, Usage};

use crate::locks::lock;

/// The time after which a slice of work should end.
const SLICE: Duration = Duration::from_micros(500);
/// The time of slices with turns after which a thread does first what else is ready.
const OTHERS_WAIT: Duration = Duration::from_micros(100);
/// The most of a slice that counts: what is longer was most likely stopped by the system, which had
/// other work for the processor.
const COUNTED: Duration = Duration::from_millis(5);

thread_local! {
    /// When the slice of this thread began; `None` outside of slices.
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The time of this slice that does not count.
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// The turn that this slice has.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
    /// Others wait for what the work of this slice does next.
    static IS_WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Returns true if the work of this slice has taken long enough: the task should yield.
pub(crate) fn slice_is_over() -> bool {
    BEGUN.get().is_some_and(|begun| begun.elapsed() >= SLICE)
}

/// Notes time of this slice in which the thread waited for others: it is not on the account of the
/// client.
pub(crate) fn waited(time: Duration) {
    WAITED.set(WAITED.get().saturating_add(time));
}

/// The time of this slice that does not count.
#[cfg(test)]
pub(crate) fn time_waited() -> Duration {
    WAITED.get()
}

/// Does work that other clients wait for, such as that under a lock: until it is done, each of its
/// slices has the next turn, whatever its client has used. They would wait for all others else.
pub(crate) async fn wanted<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    let poll = |cx: &mut Context<'_>| {
        let polled = work.as_mut().poll(cx);
        IS_WANTED.set(polled.is_pending());
        polled
    };
    poll_fn(poll).await
}

/// A slice of work on this thread, which ends when this is dropped.
struct Slice {
    begun: Instant,
    has_turn: bool,
}

impl Slice {
    fn begin(now: Instant, turn: Option<Turn>) -> Self {
        BEGUN.set(Some(now));
        WAITED.set(Duration::ZERO);
        IS_WANTED.set(false);
        let has_turn = turn.is_some();
        TURN.set(turn);
        Self { begun: now, has_turn }
    }

    /// Ends it, and returns how long the work took.
    fn end(self, now: Instant, turns: &Turns) -> Duration {
        let took = now.saturating_duration_since(self.begun);
        if self.has_turn {
            turns.0.others_waited.add(took);
        }
        took.saturating_sub(WAITED.get())
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        BEGUN.set(None);
        drop(TURN.take());
    }
}

/// The turns of a server.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    opened: Instant,
    line: Mutex<Line<oneshot::Sender<Turn>>>,
    admission: Mutex<Admission>,
    others_waited: OthersWaited,
}

/// The time of slices with turns, on whichever threads, since one of them did first what else was
/// ready.
#[derive(Debug)]
struct OthersWaited {
    nanos: AtomicU64,
    /// A time that is long, in nanoseconds.
    long: u64,
}

impl OthersWaited {
    /// The time of as many slices at once as there are turns.
    fn new(turns: usize) -> Self {
        let long = OTHERS_WAIT.as_nanos() as u64 * turns.max(1) as u64;
        Self { nanos: AtomicU64::new(0), long }
    }

    fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Returns true after a long time, which begins again then.
    fn take_if_long(&self) -> bool {
        let is_long = self.nanos.load(Ordering::Relaxed) >= self.long;
        is_long && self.nanos.swap(0, Ordering::Relaxed) >= self.long
    }
}

/// A turn, which goes to the next client when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Turns);

/// What a client has used, for all of its tasks.
#[derive(Debug)]
pub(crate) struct Account {
    turns: Turns,
    /// When the client came.
    born: Duration,
    usage: Mutex<Usage>,
    /// The number of its tasks in the line.
    waiting: AtomicU32,
    standing: Standing,
}

/// Where in the line a client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Where its usage puts it.
    ByUsage,
    /// Before all others.
    First,
}

/// A place in the line, until it is dropped.
#[derive(Debug)]
struct Waiting {
    account: Arc<Account>,
    place: Place,
    turn: oneshot::Receiver<Turn>,
}

/// A future whose polls are on an account.
#[derive(Debug)]
pub(crate) struct Metered<F> {
    future: Pin<Box<F>>,
    account: Arc<Account>,
    waiting: Option<Waiting>,
    /// The turn of a slice that begins after what else is ready.
    granted: Option<Turn>,
    /// Where its next slice waits in the line.
    standing: Standing,
}

impl Turns {
    /// One turn less than the runtime has threads, and than there are cores, but one at least.
    pub(crate) fn of_runtime() -> Self {
        let threads = Handle::try_current().map_or(1, |handle| handle.metrics().num_workers());
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(threads.min(cores).saturating_sub(1))
    }

    fn new(turns: usize) -> Self {
        let (line, admission) = (Line::new(turns), Admission::new(Duration::ZERO));
        let (line, admission) = (Mutex::new(line), Mutex::new(admission));
        let others_waited = OthersWaited::new(turns);
        Self(Arc::new(Shared { opened: Instant::now(), line, admission, others_waited }))
    }

    fn line(&self) -> MutexGuard<'_, Line<oneshot::Sender<Turn>>> {
        lock(&self.0.line)
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        lock(&self.0.admission)
    }

    fn now(&self) -> Duration {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.0.opened)
    }

    /// The account of a new client.
    pub(crate) fn account(&self) -> Arc<Account> {
        self.open(Standing::ByUsage)
    }

    /// The account of work for all clients, such as to accept their connections: it takes turns if
    /// it is much, and the next one each time.
    pub(crate) fn common_account(&self) -> Arc<Account> {
        self.open(Standing::First)
    }

    /// Lets this thread do first what else is ready, and check its sockets, if it is time for that;
    /// wakes the task after it.
    fn others_are_first(&self, cx: &mut Context<'_>) -> bool {
        if !self.0.others_waited.take_if_long() {
            return false;
        }
        // To other threads and processes of this processor, such as those of the clients.
        thread::yield_now();
        // The runtime wakes a task that yields after it has checked the sockets.
        pin!(yield_now()).poll(cx).is_pending()
    }

    fn open(&self, standing: Standing) -> Arc<Account> {
        let born = self.now();
        Arc::new(Account {
            turns: self.clone(),
            born,
            usage: Mutex::new(Usage::new(born)),
            waiting: AtomicU32::new(0),
            standing,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.line().give_back();
        if let Some(next) = next {
            // A client that has left gives its turn to the next one by this.
            next.send(Self(self.0.clone())).ok();
        }
    }
}

impl Account {
    /// The same future, with its polls on this account. Metered futures must not be inside of each
    /// other.
    pub(crate) fn meter<F: Future>(self: &Arc<Self>, future: F) -> Metered<F> {
        Metered {
            future: Box::pin(future),
            account: Arc::clone(self),
            waiting: None,
            granted: None,
            standing: self.standing,
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        lock(&self.usage)
    }

    fn is_free(&self, now: Duration) -> bool {
        let has_used_little = self.usage().is_free(now);
        has_used_little && self.turns.admission().admits(now, now.saturating_sub(self.born))
    }

    fn spend(&self, now: Duration, time: Duration) {
        self.usage().spend(now, time);
    }

    /// Counts work of a client that is about to begin, so that it takes a turn for it.
    pub(crate) fn owe(&self) {
        let now = self.turns.now();
        self.usage().owe(now);
    }

    /// Where the work of the slice that has ended waits next.
    fn next_standing(&self) -> Standing {
        if IS_WANTED.take() { Standing::First } else { self.standing }
    }

    /// Takes a turn, or waits for it at a place in the line.
    fn poll_turn(
        self: &Arc<Self>,
        standing: Standing,
        waiting: &mut Option<Waiting>,
        cx: &mut Context<'_>,
    ) -> Poll<Turn> {
        let place = match waiting {
            Some(place) => place,
            None => match self.take(standing) {
                Ok(turn) => return Poll::Ready(turn),
                Err(place) => waiting.insert(place),
            },
        };
        let turn = ready!(Pin::new(&mut place.turn).poll(cx));
        *waiting = None;
        // A sender is only dropped with the place of this future.
        turn.map_or(Poll::Pending, Poll::Ready)
    }

    fn take(self: &Arc<Self>, standing: Standing) -> Result<Turn, Waiting> {
        let (turns, now) = (&self.turns, self.turns.now());
        let mut line = turns.line();
        if line.take() {
            return Ok(Turn(turns.clone()));
        }
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let rank = match standing {
            Standing::ByUsage => self.usage().rank(now, SLICE.saturating_mul(others)),
            Standing::First => Rank::FIRST,
        };
        let (sender, turn) = oneshot::channel();
        let place = line.wait(rank, self.born, sender);
        drop(line);
        Err(Waiting { account: Arc::clone(self), place, turn })
    }
}

impl Waiting {
    /// The turn that has come; leaves the line if there is none.
    fn granted(mut self) -> Option<Turn> {
        self.turn.try_recv().ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.account.waiting.fetch_sub(1, Ordering::Relaxed);
        self.account.turns.line().leave(self.place);
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, account, waiting, granted, standing } = &mut *self;
        let begun = Instant::now();
        let turn = if account.is_free(account.turns.at(begun)) {
            // The work may need the turn for which it has waited: until then much no longer counts.
            granted.take().or_else(|| waiting.take().and_then(Waiting::granted))
        } else if let Some(turn) = granted.take() {
            Some(turn)
        } else {
            let turn = ready!(account.poll_turn(*standing, waiting, cx));
            if account.turns.others_are_first(cx) {
                *granted = Some(turn);
                return Poll::Pending;
            }
            Some(turn)
        };
        let is_free = turn.is_none();
        let slice = Slice::begin(begun, turn);
        let polled = future.as_mut().poll(cx);
        *standing = account.next_standing();
        let ended = Instant::now();
        let (now, time) = (account.turns.at(ended), slice.end(ended, &account.turns).min(COUNTED));
        account.spend(now, time);
        if is_free {
            account.turns.admission().spend(now, time);
        }
        polled
    }
}

#[cfg(test)]
mod tests;
