//! A bounded cache in which all waiters for a value share one fetch.
//!
//! A fetch is a task of its own. A waiter that is dropped or not polled holds up no other, and the
//! value is as old as its arrival, however late a caller takes it.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use crate::ControllerError;

/// How a cached value of a given age is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The value is used as it is.
    Fresh,
    /// The value is used, and a new one is fetched in the background.
    Ageing,
    /// The value is not used.
    Expired,
}

impl Freshness {
    /// Judges a token that is valid for `lifetime` after its receipt.
    pub(crate) fn of_token(lifetime: Duration, age: Duration) -> Self {
        let margin = (lifetime / 5).min(MAX_MARGIN);
        let left = lifetime.saturating_sub(age);
        if left > margin {
            Self::Fresh
        } else if left > margin / LAST_SHARE {
            Self::Ageing
        } else {
            Self::Expired
        }
    }
}

const MAX_MARGIN: Duration = Duration::from_secs(30);
/// With this share of the margin left, a caller waits for the new token: the old one might expire
/// in flight.
const LAST_SHARE: u32 = 6;

type Fetched<V> = Result<V, ControllerError>;
/// The end of a fetch. It is canceled if the runtime of the fetch ends first.
type Flight<V> = Shared<oneshot::Receiver<Fetched<V>>>;
type Fetch<K, V> = Arc<dyn Fn(K) -> BoxFuture<'static, Fetched<V>> + Send + Sync>;
type Judge<V> = fn(&V, Duration) -> Freshness;

/// The time since any fixed moment, by a clock that goes on while the machine is suspended.
pub(crate) type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The pause after a failed refresh in the background.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// A fetch that has not ended after this time stands still, as its runtime or what it asks does,
/// and another one is begun.
const STALLED: Duration = Duration::from_secs(60);

/// A cache whose values age. Waiters for the same key share one fetch, which goes on without them.
pub(crate) struct SingleFlightCache<K, V> {
    shared: Arc<CacheState<K, V>>,
    fetch: Fetch<K, V>,
    judge: Judge<V>,
}

struct CacheState<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
    capacity: usize,
    /// `None` means that values age by the steady clock alone.
    wall: Option<WallClock>,
}

struct Entry<V> {
    value: Option<(V, Moment)>,
    in_flight: Option<(u64, Flight<V>)>,
    /// When the last fetch began.
    begun: Option<Instant>,
    /// Counts the fetches, so that an overtaken one stores nothing.
    fetches: u64,
    quiet_until: Option<Instant>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { value: None, in_flight: None, begun: None, fetches: 0, quiet_until: None }
    }
}

/// A moment by both clocks. The steady one may stand still while the machine is suspended; the
/// other one may be set back.
#[derive(Debug, Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: Duration,
}

impl Moment {
    /// Returns the time since `earlier`, by the clock that shows more.
    fn since(self, earlier: Self) -> Duration {
        let by_wall = self.wall.saturating_sub(earlier.wall);
        self.steady.saturating_duration_since(earlier.steady).max(by_wall)
    }
}

/// What a caller gets at once.
enum Found<V> {
    Value(V),
    Flight(u64, Flight<V>),
}

impl<K, V> SingleFlightCache<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    pub(crate) fn new<F>(capacity: usize, judge: Judge<V>, fetch: F) -> Self
    where
        F: Fn(K) -> BoxFuture<'static, Fetched<V>> + Send + Sync + 'static,
    {
        Self::with_clock(capacity, judge, None, fetch)
    }

    /// As [`Self::new`], with values that also age by `wall`.
    pub(crate) fn with_clock<F>(
        capacity: usize,
        judge: Judge<V>,
        wall: Option<WallClock>,
        fetch: F,
    ) -> Self
    where
        F: Fn(K) -> BoxFuture<'static, Fetched<V>> + Send + Sync + 'static,
    {
        let state = CacheState { entries: Mutex::default(), capacity: capacity.max(1), wall };
        Self { shared: Arc::new(state), fetch: Arc::new(fetch), judge }
    }

    /// Returns the value of `key`, from the cache if it is fresh, otherwise fetched.
    pub(crate) async fn get(&self, key: &K) -> Result<V, ControllerError> {
        // A fetch that ends with its runtime is begun once more, on the caller's.
        for _ in 0..2 {
            let (number, flight) = match self.find(key)? {
                Found::Value(value) => return Ok(value),
                Found::Flight(number, flight) => (number, flight),
            };
            self.shared.evict();
            match flight.await {
                Ok(fetched) => return fetched,
                Err(_) => self.shared.lose(key, number),
            }
        }
        Err(no_runtime("the runtime of the call was shut down"))
    }

    /// Returns the cached value of `key`, unless it has expired, without waiting. A fetch that is
    /// due begins, as in [`Self::get`].
    pub(crate) fn cached(&self, key: &K) -> Option<V> {
        match self.find(key) {
            Ok(Found::Value(value)) => Some(value),
            Ok(Found::Flight(..)) | Err(_) => None,
        }
    }

    /// Removes the value of `key` if it is still `bad`, so that the next call fetches.
    pub(crate) fn invalidate(&self, key: &K, bad: &V) {
        if let Some(entry) = self.shared.lock().get_mut(key) {
            entry.remove(bad);
        }
    }

    /// Removes `bad` as the value of every key.
    pub(crate) fn invalidate_everywhere(&self, bad: &V) {
        for entry in self.shared.lock().values_mut() {
            entry.remove(bad);
        }
    }

    /// Returns the cached values, of any age.
    pub(crate) fn values(&self) -> Vec<V> {
        let entries = self.shared.lock();
        entries.values().filter_map(|entry| entry.value.as_ref()).map(|(v, _)| v.clone()).collect()
    }

    /// Returns the number of cached values.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shared.lock().len()
    }

    fn find(&self, key: &K) -> Result<Found<V>, ControllerError> {
        let mut entries = self.shared.lock();
        let now = self.shared.now();
        let entry = match entries.get_mut(key) {
            Some(entry) => entry,
            None => entries.entry(key.clone()).or_default(),
        };
        let is_stalled = |begun: Instant| now.steady.saturating_duration_since(begun) >= STALLED;
        if entry.begun.is_some_and(is_stalled) {
            entry.in_flight = None;
        }
        let judged = entry
            .value
            .as_ref()
            .map(|(value, at)| (value.clone(), (self.judge)(value, now.since(*at))));
        match judged {
            Some((value, Freshness::Fresh)) => Ok(Found::Value(value)),
            Some((value, Freshness::Ageing)) => {
                let is_quiet = entry.quiet_until.is_some_and(|until| now.steady < until);
                if entry.in_flight.is_none() && !is_quiet {
                    // Without a runtime the value is used until it expires.
                    self.start_fetch(key, entry).ok();
                }
                Ok(Found::Value(value))
            }
            Some((_, Freshness::Expired)) | None => {
                let (number, flight) = match &entry.in_flight {
                    Some(in_flight) => in_flight.clone(),
                    None => self.start_fetch(key, entry)?,
                };
                Ok(Found::Flight(number, flight))
            }
        }
    }

    /// Starts a fetch on the caller's runtime.
    fn start_fetch(
        &self,
        key: &K,
        entry: &mut Entry<V>,
    ) -> Result<(u64, Flight<V>), ControllerError> {
        let runtime = Handle::try_current().map_err(no_runtime)?;
        entry.fetches += 1;
        entry.begun = Some(Instant::now());
        let (number, state, key) = (entry.fetches, Arc::clone(&self.shared), key.clone());
        let fetching = (self.fetch)(key.clone());
        let (sender, flight) = oneshot::channel();
        // It ends at the deadline of the controller's call.
        runtime.spawn(async move {
            let fetched = fetching.await;
            state.finish_fetch(&key, number, &fetched);
            sender.send(fetched).ok();
        });
        let flight = flight.shared();
        entry.in_flight = Some((number, flight.clone()));
        Ok((number, flight))
    }
}

fn no_runtime(reason: impl fmt::Display) -> ControllerError {
    ControllerError::new(ErrorKind::NoRuntime, Outcome::NotApplied, reason)
}

impl<V: PartialEq> Entry<V> {
    /// Removes the value if it is `bad`.
    fn remove(&mut self, bad: &V) {
        if self.value.as_ref().is_some_and(|(value, _)| value == bad) {
            self.value = None;
            // A fetch that began before this may return the same value.
            self.in_flight = None;
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> CacheState<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        // Nothing panics while the lock is held. If it did, the map would still be consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        let wall = self.wall.as_ref().map_or(Duration::ZERO, |wall| wall());
        Moment { steady: Instant::now(), wall }
    }

    fn finish_fetch(&self, key: &K, number: u64, fetched: &Fetched<V>) {
        let now = self.now();
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key).filter(|entry| entry.is_current(number)) else {
            return;
        };
        entry.in_flight = None;
        match fetched {
            Ok(value) => {
                entry.value = Some((value.clone(), now));
                entry.quiet_until = None;
            }
            Err(_) if entry.value.is_some() => {
                entry.quiet_until = Some(now.steady + REFRESH_PAUSE);
            }
            Err(_) => drop(entries.remove(key)),
        }
    }

    /// Forgets a fetch that ended without a result.
    fn lose(&self, key: &K, number: u64) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(key).filter(|entry| entry.is_current(number)) {
            entry.in_flight = None;
        }
    }

    /// Removes the oldest values beyond the capacity; fetches in flight stay.
    fn evict(&self) {
        let mut entries = self.lock();
        while entries.len() > self.capacity {
            let oldest = entries.iter().filter(|(_, entry)| entry.in_flight.is_none());
            let oldest =
                oldest.min_by_key(|(_, entry)| entry.value.as_ref().map(|(_, at)| at.steady));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            entries.remove(&key);
        }
    }
}

impl<V> Entry<V> {
    /// Returns true if the fetch of that number is in flight.
    fn is_current(&self, number: u64) -> bool {
        self.in_flight.as_ref().is_some_and(|(current, _)| *current == number)
    }
}

impl<K, V> fmt::Debug for SingleFlightCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlightCache")
            .field("capacity", &self.shared.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn judge(_: &u32, age: Duration) -> Freshness {
        match age.as_secs() {
            0..10 => Freshness::Fresh,
            10..20 => Freshness::Ageing,
            _ => Freshness::Expired,
        }
    }

    /// Counts its fetches, each of which takes a second and returns the count; fetches from
    /// `fail_from` on fail.
    fn counting(fail_from: u32) -> (SingleFlightCache<u32, u32>, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let cache = SingleFlightCache::new(3, judge, move |_| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if number >= fail_from {
                    return Err(ControllerError::new(
                        ErrorKind::Unavailable,
                        Outcome::NotApplied,
                        "down",
                    ));
                }
                Ok(number)
            }
            .boxed()
        });
        (cache, count)
    }

    #[tokio::test(start_paused = true)]
    async fn many_waiters_share_one_fetch_and_a_dropped_waiter_does_not_end_it() {
        let (cache, count) = counting(u32::MAX);
        let cache = Arc::new(cache);
        let first = tokio::time::timeout(Duration::from_millis(500), cache.get(&1)).await;
        assert!(first.is_err(), "the first waiter leaves early");
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let cache = Arc::clone(&cache);
                tokio::spawn(async move { cache.get(&1).await.unwrap() })
            })
            .collect();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 1);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ageing_value_is_served_while_another_is_fetched() {
        let (cache, _) = counting(u32::MAX);
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(12)).await;
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(cache.get(&1).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_not_waited_for_is_fetched_all_the_same() {
        let (cache, count) = counting(u32::MAX);
        let second = Duration::from_secs(1);
        for (passed, cached) in [(0, None), (0, None), (2, Some(1)), (11, Some(1)), (2, Some(2))] {
            tokio::time::sleep(passed * second).await;
            assert_eq!(cache.cached(&1), cached);
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
        tokio::time::sleep(25 * second).await;
        assert_eq!((cache.cached(&1), cache.get(&1).await.unwrap()), (None, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_fails_keeps_the_value_and_does_not_spin() {
        let (cache, count) = counting(2);
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        tokio::time::advance(Duration::from_secs(11)).await;
        for _ in 0..80 {
            assert_eq!(cache.get(&1).await.unwrap(), 1);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let fetches = count.load(Ordering::SeqCst);
        assert!((3..=6).contains(&fetches), "{fetches} fetches in 8 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_fetch_fails_every_waiter_and_is_not_cached() {
        let (cache, count) = counting(1);
        let (a, b) = tokio::join!(cache.get(&1), cache.get(&1));
        assert_eq!(a.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(b.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(cache.get(&1).await.is_err());
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_stands_still_is_begun_again_after_a_minute() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let cache = SingleFlightCache::new(3, judge, move |_: u32| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                if number == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(number)
            }
            .boxed()
        });
        for _ in 0..2 {
            let late = tokio::time::timeout(Duration::from_secs(29), cache.get(&1)).await;
            assert!(late.is_err());
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(cache.get(&1).await.unwrap(), 2);
        assert_eq!(cache.get(&1).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_bad_value_is_invalidated() {
        let (cache, _) = counting(u32::MAX);
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        cache.invalidate(&1, &7);
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        assert_eq!(cache.values(), [1]);
        cache.invalidate(&1, &1);
        assert!(cache.values().is_empty());
        assert_eq!(cache.get(&1).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_stays_within_its_capacity() {
        let (cache, _) = counting(u32::MAX);
        for key in 0..10 {
            cache.get(&key).await.unwrap();
        }
        assert!(cache.len() <= 4, "{} entries", cache.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_as_old_as_its_arrival_if_its_waiter_left_or_is_not_polled() {
        let (cache, count) = counting(u32::MAX);
        let mut stalled = Box::pin(cache.get(&1));
        assert!(stalled.as_mut().now_or_never().is_none());
        let left = tokio::time::timeout(Duration::from_millis(1), cache.get(&2)).await;
        assert!(left.is_err());
        tokio::time::sleep(Duration::from_secs(30)).await;
        // Both arrived 29 s ago, which is too old for a caller that asks now.
        assert_eq!((cache.get(&1).await.unwrap(), cache.get(&2).await.unwrap()), (3, 4));
        assert_eq!(stalled.await.unwrap(), 1);
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_ages_while_the_machine_is_suspended_and_not_when_the_clock_is_set_back() {
        let wall = Arc::new(AtomicU32::new(1000));
        let clock = Arc::clone(&wall);
        let clock: WallClock =
            Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst).into()));
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let cache = SingleFlightCache::with_clock(3, judge, Some(clock), move |_: u32| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(number) }.boxed()
        });
        assert_eq!(cache.get(&1).await.unwrap(), 1);
        // The steady clock stands still in a suspend of a minute.
        wall.store(1060, Ordering::SeqCst);
        assert_eq!(cache.get(&1).await.unwrap(), 2);
        wall.store(0, Ordering::SeqCst);
        assert_eq!(cache.get(&1).await.unwrap(), 2);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(cache.get(&1).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_removed_everywhere_at_once() {
        let cache = SingleFlightCache::new(3, judge, |_: u32| async { Ok(7) }.boxed());
        cache.get(&1).await.unwrap();
        cache.get(&2).await.unwrap();
        cache.invalidate_everywhere(&8);
        assert_eq!(cache.values(), [7, 7]);
        cache.invalidate_everywhere(&7);
        assert!(cache.values().is_empty());
    }

    #[test]
    fn a_fetch_whose_runtime_ends_is_begun_again_on_the_next() {
        let (cache, count) = counting(u32::MAX);
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().unwrap()
        };
        let first = runtime();
        let mut waiting = Box::pin(cache.get(&1));
        first.block_on(async { assert!(waiting.as_mut().now_or_never().is_none()) });
        drop(first);
        let second = runtime();
        assert_eq!(second.block_on(waiting).unwrap(), 2);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        drop(second);
        let outside = cache.get(&2).now_or_never().unwrap();
        assert_eq!(outside.unwrap_err().kind(), ErrorKind::NoRuntime);
    }
}
