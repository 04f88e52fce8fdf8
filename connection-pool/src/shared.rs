//! One connection, many users.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use crate::BoxError;

/// Makes and ends the connections that are shared.
pub trait Dial: Send + Sync + 'static {
    /// What a connection leads to: a URL, or an endpoint.
    type Remote: Clone + Eq + Hash + fmt::Display + fmt::Debug + Send + Sync;
    /// The connection. Users share it, so it works through `&self`.
    type Connection: Send + Sync + 'static;

    /// Connects.
    ///
    /// # Errors
    ///
    /// Any; every user who asks dials anew.
    fn dial(
        &self,
        remote: &Self::Remote,
    ) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;

    /// Says whether a connection can still be used. One that cannot is replaced for the next who
    /// asks.
    fn is_alive(&self, connection: &Self::Connection) -> bool;

    /// Ends a connection that nobody uses any more.
    ///
    /// # Errors
    ///
    /// Any; it is reported, and does not keep others from being closed.
    fn close(
        &self,
        connection: Arc<Self::Connection>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        drop(connection);
        async { Ok(()) }
    }
}

/// Connections that many users share, one for each remote.
///
/// A user opens a [`SharedHandle`], which counts; opening twice leads to the same connection. It is
/// dialled by the first who wants to use it, and anew after it died or was
/// [retired](SharedHandle::retire). The last user to leave closes it.
pub struct SharedConnections<D: Dial> {
    shared: Arc<Shared<D>>,
}

struct Shared<D: Dial> {
    dialer: D,
    dial_timeout: Duration,
    entries: Mutex<HashMap<D::Remote, Arc<Entry<D>>>>,
}

struct Entry<D: Dial> {
    remote: D::Remote,
    live: Mutex<Live<D>>,
    /// Held while dialling, so that one dials and the others wait for it.
    dialling: tokio::sync::Mutex<()>,
}

struct Live<D: Dial> {
    users: usize,
    connection: Option<Arc<D::Connection>>,
}

/// Tells why a shared connection could not be had.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The connection did not come about in time.
    #[error("no connection to {remote} within {limit:?}")]
    Timeout {
        /// What it leads to.
        remote: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection did not come about.
    #[error("no connection to {remote}")]
    Dial {
        /// What it leads to.
        remote: String,
        /// Why.
        source: BoxError,
    },
}

/// A connection that could not be closed properly. It is gone all the same.
#[derive(Debug)]
pub struct CloseFailure {
    /// What it led to.
    pub remote: String,
    /// Why.
    pub reason: BoxError,
}

impl<D: Dial> SharedConnections<D> {
    /// Dials with `dialer`, each time for at most `dial_timeout`.
    pub fn new(dialer: D, dial_timeout: Duration) -> Self {
        Self { shared: Arc::new(Shared { dialer, dial_timeout, entries: Mutex::default() }) }
    }

    /// Becomes a user of the connection to `remote`. Nothing is dialled yet.
    #[must_use]
    pub fn open(&self, remote: &D::Remote) -> SharedHandle<D> {
        let mut entries = lock(&self.shared.entries);
        let entry = entries.entry(remote.clone()).or_insert_with(|| {
            Arc::new(Entry {
                remote: remote.clone(),
                live: Mutex::new(Live { users: 0, connection: None }),
                dialling: tokio::sync::Mutex::default(),
            })
        });
        lock(&entry.live).users += 1;
        SharedHandle { entry: Arc::clone(entry), shared: Arc::clone(&self.shared), has_left: false }
    }

    /// What is connected to, and how many use each.
    #[must_use]
    pub fn users(&self) -> Vec<(D::Remote, usize)> {
        let entries = lock(&self.shared.entries);
        entries.values().map(|entry| (entry.remote.clone(), lock(&entry.live).users)).collect()
    }

    /// Closes every connection, and reports those that could not be closed properly. Handles that
    /// are still open dial anew when they are used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest of the connections to be closed by being dropped.
    pub async fn close_all(&self) -> Vec<CloseFailure> {
        let entries: Vec<Arc<Entry<D>>> = lock(&self.shared.entries).values().cloned().collect();
        let mut failures = Vec::new();
        for entry in entries {
            let connection = lock(&entry.live).connection.take();
            if let Some(connection) = connection
                && let Err(reason) = self.shared.dialer.close(connection).await
            {
                tracing::warn!(remote = %entry.remote, %reason, "a shared connection could not be closed");
                failures.push(CloseFailure { remote: entry.remote.to_string(), reason });
            }
        }
        failures
    }
}

impl<D: Dial> Clone for SharedConnections<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D: Dial> fmt::Debug for SharedConnections<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.users()).finish()
    }
}

/// A user's share in a connection. Dropping it leaves; the last one to leave ends the connection.
pub struct SharedHandle<D: Dial> {
    entry: Arc<Entry<D>>,
    shared: Arc<Shared<D>>,
    has_left: bool,
}

impl<D: Dial> SharedHandle<D> {
    /// The connection, dialled if there is none that lives.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if it does not come about.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up a dial that it began; whoever waits dials then.
    pub async fn connection(&self) -> Result<Arc<D::Connection>, SharedError> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let _dialling = self.entry.dialling.lock().await;
        // Somebody else may have dialled meanwhile.
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let (remote, limit) = (self.entry.remote.to_string(), self.shared.dial_timeout);
        let connection = match timeout(limit, self.shared.dialer.dial(&self.entry.remote)).await {
            Ok(Ok(connection)) => Arc::new(connection),
            Ok(Err(source)) => return Err(SharedError::Dial { remote, source }),
            Err(_) => return Err(SharedError::Timeout { remote, limit }),
        };
        lock(&self.entry.live).connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Retires `connection` for every user, if it is still the one in use: the next who asks dials
    /// anew.
    pub fn retire(&self, connection: &Arc<D::Connection>) {
        let mut live = lock(&self.entry.live);
        if live.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            live.connection = None;
        }
    }

    /// Leaves, and closes the connection if nobody else uses it.
    ///
    /// # Errors
    ///
    /// [`CloseFailure`] if the connection could not be closed properly. It is gone all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves, and ends the connection by dropping it.
    pub async fn leave(mut self) -> Result<(), CloseFailure> {
        let last = self.leave_now();
        self.has_left = true;
        match last {
            Some(connection) => {
                self.shared.dialer.close(connection).await.map_err(|reason| CloseFailure {
                    remote: self.entry.remote.to_string(),
                    reason,
                })
            }
            None => Ok(()),
        }
    }

    fn live(&self) -> Option<Arc<D::Connection>> {
        let mut live = lock(&self.entry.live);
        if live
            .connection
            .as_ref()
            .is_some_and(|connection| !self.shared.dialer.is_alive(connection))
        {
            live.connection = None;
        }
        live.connection.clone()
    }

    /// Counts this user out; gives the connection to whoever was the last.
    fn leave_now(&self) -> Option<Arc<D::Connection>> {
        let mut entries = lock(&self.shared.entries);
        let mut live = lock(&self.entry.live);
        live.users = live.users.saturating_sub(1);
        if live.users > 0 {
            return None;
        }
        entries.remove(&self.entry.remote);
        live.connection.take()
    }
}

impl<D: Dial> Drop for SharedHandle<D> {
    fn drop(&mut self) {
        if !self.has_left {
            // There may be no runtime to close it properly on.
            drop(self.leave_now());
        }
    }
}

impl<D: Dial> fmt::Debug for SharedHandle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedHandle").field("remote", &self.entry.remote).finish_non_exhaustive()
    }
}

/// Locks are held for a few instructions, none of which panics; were one to, the maps are whole all
/// the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counted {
        dials: AtomicUsize,
        closes: AtomicUsize,
        fails_to_close: AtomicBool,
    }

    struct Connection {
        number: usize,
        is_dead: AtomicBool,
    }

    impl Dial for Arc<Counted> {
        type Remote = String;
        type Connection = Connection;

        async fn dial(&self, remote: &String) -> Result<Connection, BoxError> {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match remote.as_str() {
                "down" => Err("refused".into()),
                "silent" => std::future::pending().await,
                _ => Ok(Connection {
                    number: self.dials.fetch_add(1, Ordering::SeqCst),
                    is_dead: AtomicBool::new(false),
                }),
            }
        }

        fn is_alive(&self, connection: &Connection) -> bool {
            !connection.is_dead.load(Ordering::SeqCst)
        }

        async fn close(&self, _: Arc<Connection>) -> Result<(), BoxError> {
            self.closes.fetch_add(1, Ordering::SeqCst);
            if self.fails_to_close.load(Ordering::SeqCst) { Err("stuck".into()) } else { Ok(()) }
        }
    }

    fn counted() -> (Arc<Counted>, SharedConnections<Arc<Counted>>) {
        let counted = Arc::new(Counted::default());
        (Arc::clone(&counted), SharedConnections::new(counted, Duration::from_secs(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn many_users_share_one_dial_and_one_who_gives_up_does_not_end_it() {
        let (counted, shared) = counted();
        let handles: Vec<_> = (0..10).map(|_| shared.open(&"a".to_owned())).collect();
        let gave_up = timeout(Duration::from_millis(50), handles[0].connection()).await;
        assert!(gave_up.is_err());
        let (a, b) = tokio::join!(handles[1].connection(), handles[2].connection());
        assert!(Arc::ptr_eq(&a.unwrap(), &b.unwrap()));
        assert_eq!(counted.dials.load(Ordering::SeqCst), 1);
        assert_eq!(shared.users(), [("a".to_owned(), 10)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_to_leave_closes_and_a_failure_is_reported() {
        let (counted, shared) = counted();
        let (one, two) = (shared.open(&"a".to_owned()), shared.open(&"a".to_owned()));
        one.connection().await.unwrap();
        one.leave().await.unwrap();
        assert_eq!(counted.closes.load(Ordering::SeqCst), 0);
        counted.fails_to_close.store(true, Ordering::SeqCst);
        let failure = two.leave().await.unwrap_err();
        assert_eq!((failure.remote.as_str(), counted.closes.load(Ordering::SeqCst)), ("a", 1));
        assert!(shared.users().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_retired_connection_is_gone_for_every_user_and_dialled_anew_once() {
        let (counted, shared) = counted();
        let (one, two) = (shared.open(&"a".to_owned()), shared.open(&"a".to_owned()));
        let first = one.connection().await.unwrap();
        two.retire(&first);
        let second = one.connection().await.unwrap();
        assert_ne!(first.number, second.number);
        // Whoever comes late with the old one does no harm.
        one.retire(&first);
        assert!(Arc::ptr_eq(&two.connection().await.unwrap(), &second));
        second.is_dead.store(true, Ordering::SeqCst);
        assert_eq!(two.connection().await.unwrap().number, 2);
        assert_eq!(counted.dials.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_silence_end_in_time_and_closing_all_goes_on_after_a_failure() {
        let (counted, shared) = counted();
        let (down, silent) = (shared.open(&"down".to_owned()), shared.open(&"silent".to_owned()));
        assert!(matches!(down.connection().await, Err(SharedError::Dial { .. })));
        assert!(matches!(silent.connection().await, Err(SharedError::Timeout { .. })));
        let open: Vec<_> =
            ["a", "b", "c"].map(|name| shared.open(&name.to_owned())).into_iter().collect();
        for handle in &open {
            handle.connection().await.unwrap();
        }
        counted.fails_to_close.store(true, Ordering::SeqCst);
        assert_eq!(shared.close_all().await.len(), 3);
        assert_eq!(counted.closes.load(Ordering::SeqCst), 3);
    }
}
