//! A bounded cache in which all waiters for a value share one fetch.

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
use tokio::time::Instant;

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

type Fetched<V> = Result<V, ControllerError>;
type SharedFetch<V> = Shared<BoxFuture<'static, Fetched<V>>>;
type Fetch<K, V> = Arc<dyn Fn(K) -> BoxFuture<'static, Result<V, ControllerError>> + Send + Sync>;
type Judge<V> = fn(&V, Duration) -> Freshness;

/// The pause after a failed refresh in the background.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// A cache whose values age. Waiters for the same key share one fetch; if a waiter is dropped, the
/// others continue it.
pub(crate) struct SingleFlightCache<K, V> {
    shared: Arc<CacheState<K, V>>,
    fetch: Fetch<K, V>,
    judge: Judge<V>,
}

struct CacheState<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
    capacity: usize,
}

struct Entry<V> {
    value: Option<(V, Instant)>,
    in_flight: Option<(u64, SharedFetch<V>)>,
    /// Counts the fetches, so that an overtaken one stores nothing.
    fetches: u64,
    quiet_until: Option<Instant>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { value: None, in_flight: None, fetches: 0, quiet_until: None }
    }
}

impl<K, V> SingleFlightCache<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    pub(crate) fn new<F>(capacity: usize, judge: Judge<V>, fetch: F) -> Self
    where
        F: Fn(K) -> BoxFuture<'static, Result<V, ControllerError>> + Send + Sync + 'static,
    {
        let state = CacheState { entries: Mutex::default(), capacity: capacity.max(1) };
        Self { shared: Arc::new(state), fetch: Arc::new(fetch), judge }
    }

    /// Returns the value of `key`, from the cache if it is fresh, otherwise fetched.
    pub(crate) async fn get(&self, key: &K) -> Result<V, ControllerError> {
        let in_flight = {
            let mut entries = self.shared.lock();
            let now = Instant::now();
            let entry = entries.entry(key.clone()).or_default();
            let judged = entry
                .value
                .as_ref()
                .map(|(value, at)| (value.clone(), (self.judge)(value, now - *at)));
            match judged {
                Some((value, Freshness::Fresh)) => return Ok(value),
                Some((value, Freshness::Ageing)) => {
                    let quiet = entry.quiet_until.is_some_and(|until| now < until);
                    if entry.in_flight.is_none() && !quiet {
                        let in_flight = self.start_fetch(key, entry);
                        // In the caller's runtime; it ends with that, or at the call's deadline.
                        tokio::spawn(in_flight);
                    }
                    return Ok(value);
                }
                Some((_, Freshness::Expired)) | None => match &entry.in_flight {
                    Some((_, in_flight)) => in_flight.clone(),
                    None => self.start_fetch(key, entry),
                },
            }
        };
        self.shared.evict();
        in_flight.await
    }

    /// Removes the value of `key` if it is still `bad`, so that the next call fetches.
    pub(crate) fn invalidate(&self, key: &K, bad: &V) {
        let mut entries = self.shared.lock();
        if let Some(entry) = entries.get_mut(key)
            && entry.value.as_ref().is_some_and(|(value, _)| value == bad)
        {
            entry.value = None;
            // A fetch that began before this may return the same value.
            entry.in_flight = None;
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

    fn start_fetch(&self, key: &K, entry: &mut Entry<V>) -> SharedFetch<V> {
        entry.fetches += 1;
        let (number, state, key) = (entry.fetches, Arc::clone(&self.shared), key.clone());
        let fetched = (self.fetch)(key.clone());
        let in_flight = async move {
            let fetched = fetched.await;
            state.finish_fetch(&key, number, &fetched);
            fetched
        }
        .boxed()
        .shared();
        entry.in_flight = Some((number, in_flight.clone()));
        in_flight
    }
}

impl<K: Eq + Hash + Clone, V: Clone> CacheState<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        // Nothing panics while the lock is held. If it did, the map would still be consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish_fetch(&self, key: &K, number: u64, fetched: &Fetched<V>) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else {
            return;
        };
        if entry.in_flight.as_ref().is_none_or(|(current, _)| *current != number) {
            return;
        }
        entry.in_flight = None;
        match fetched {
            Ok(value) => {
                entry.value = Some((value.clone(), Instant::now()));
                entry.quiet_until = None;
            }
            Err(_) if entry.value.is_some() => {
                entry.quiet_until = Some(Instant::now() + REFRESH_PAUSE);
            }
            Err(_) => {
                entries.remove(key);
            }
        }
    }

    /// Removes the oldest values beyond the capacity; fetches in flight stay.
    fn evict(&self) {
        let mut entries = self.lock();
        while entries.len() > self.capacity {
            let oldest = entries.iter().filter(|(_, entry)| entry.in_flight.is_none());
            let oldest = oldest.min_by_key(|(_, entry)| entry.value.as_ref().map(|(_, at)| *at));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            entries.remove(&key);
        }
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

    use pravega_sdk_types::{ErrorKind, Outcome};

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
}
