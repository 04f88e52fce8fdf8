//! A lock with a fencing token.

use std::{fmt, time::Duration};

use bytes::Bytes;
use pravega_sdk_codec::Raw;
use pravega_sdk_segment_client::{
    machine::{Now, Random, delay},
    runtime::{random_bits, rng},
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{Backoff, ErrorKind, Outcome};
use tokio::time::{Instant, sleep};

use super::lease::{FencingToken, Holder, Lease, LeaseConfig, LeaseWatch, MIN_LEASE, Session};
use crate::{
    error::TableError,
    synchronizer::{TableChanges, TableSynchronizer, Update},
};

/// The longest wait for a lock: far enough to be never.
const FAR: Duration = Duration::from_secs(86400 * 365);

/// Work that one program does at a time.
///
/// The lock is a lease: its holder [renews](LockGuard::renew) it, and other programs take it over
/// if it does not. See the [module](super) for what that guarantees.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use pravega_sdk_codec::Raw;
/// use pravega_sdk_table_synchronizer::{
///     TableSynchronizer,
///     recipes::{Lock, LeaseConfig},
/// };
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(table: TableSynchronizer<Raw, Raw>) -> Done {
/// let config =
///     LeaseConfig::default().with_name("cleaner-7").with_lease(Duration::from_secs(10));
/// let mut lock = Lock::new(table, "cleaner", config);
/// let mut held = lock.acquire(Duration::from_secs(60)).await?;
/// println!("cleaning with token {}", held.token());
/// if !held.renew().await? {
///     println!("another program has the lock now");
/// }
/// held.release().await?;
/// # Ok(())
/// # }
/// ```
pub struct Lock {
    table: TableSynchronizer<Raw, Raw>,
    key: Bytes,
    config: LeaseConfig,
    session: Session,
    started: Instant,
    watch: LeaseWatch,
    random: Random,
}

/// What an attempt to take a lease has found.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It was taken, and is held until then.
    Taken { token: FencingToken, until: Now },
    /// Another program holds it.
    HeldBy(Holder),
}

impl Lock {
    /// Creates the handle of a lock, which is stored under a key. Nothing is sent.
    pub fn new(
        table: TableSynchronizer<Raw, Raw>,
        key: impl Into<Bytes>,
        config: LeaseConfig,
    ) -> Self {
        Self {
            table,
            key: key.into(),
            session: Session(rng(None).u128(..)),
            started: Instant::now(),
            watch: LeaseWatch::new(config.bugs),
            config,
            random: random_bits(rng(None)),
        }
    }

    /// Takes the lock if no other program holds it; `None` if one does.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`], and of the kind
    /// [`Corrupt`](ErrorKind::Corrupt) if the key has a value that is no lock.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock may be taken, until its lease ends.
    pub async fn try_acquire(&mut self) -> Result<Option<LockGuard<'_>>, TableError> {
        match self.attempt().await? {
            Attempt::Taken { token, until } => Ok(Some(LockGuard { lock: self, token, until })),
            Attempt::HeldBy(_) => Ok(None),
        }
    }

    /// Takes the lock, and waits until it can.
    ///
    /// # Errors
    ///
    /// As of [`try_acquire`](Self::try_acquire), and of the kind [`Timeout`](ErrorKind::Timeout) if
    /// other programs hold the lock for longer than `limit`.
    ///
    /// # Cancel safety
    ///
    /// As of [`try_acquire`](Self::try_acquire).
    pub async fn acquire(&mut self, limit: Duration) -> Result<LockGuard<'_>, TableError> {
        let ends = Instant::now() + limit.min(FAR);
        // Often enough to see each renewal.
        let backoff = Backoff::new(MIN_LEASE / 2, self.config.lease / 4);
        let mut failures = 0;
        loop {
            if let Attempt::Taken { token, until } = self.attempt().await? {
                return Ok(LockGuard { lock: self, token, until });
            }
            failures += 1;
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let detail = "another program holds the lock";
                let error = TableError::new(ErrorKind::Timeout, Outcome::NotApplied, detail);
                return Err(self.table.name("acquiring a lock of", error));
            }
            let pause = delay(&backoff, failures, &mut self.random).max(MIN_LEASE / 10);
            // The last attempt is at the limit, and never before it.
            sleep(pause.min(left)).await;
        }
    }

    /// Reads the lease, and takes it if it is free or this lock has it.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, TableError> {
        self.table.fetch().await?;
        let Self { table, key, config, session, watch, started, .. } = self;
        let taken = table.update(|changes| {
            // Before this run is sent, and after what it sees was read.
            let now = started.elapsed();
            let lease = Lease::read(changes.get(key.clone())?)?;
            let is_own = lease.held_by(*session).is_some();
            let is_free = watch.handle_seen(&lease, now);
            match lease.holder.clone() {
                Some(holder) if !(is_own || is_free) => Ok(Attempt::HeldBy(holder)),
                _ => {
                    let (name, lease_time) = (config.name.clone(), config.lease);
                    let holder = Holder { session: *session, name, lease: lease_time, beat: 0 };
                    let taken = lease.taken(holder, config.bugs);
                    changes.put(key.clone(), taken.to_bytes())?;
                    Ok(Attempt::Taken { token: taken.token, until: now + lease_time })
                }
            }
        });
        let taken = taken.await.map(Update::into_inner)?;
        Ok(match taken {
            Attempt::Taken { token, until } => Attempt::Taken { token, until: self.until(until) },
            held => held,
        })
    }

    /// Returns the time until which a lease is held that was just taken or renewed.
    fn until(&self, until: Now) -> Now {
        if self.config.bugs.has(SeededBug::CountsLeasesFromAnswers) {
            self.started.elapsed() + self.config.lease
        } else {
            until
        }
    }

    /// Renews the lease that was taken with a token. Returns the time until which it is held;
    /// `None` if another program has it, or it was released.
    pub(super) async fn renew(&mut self, token: FencingToken) -> Result<Option<Now>, TableError> {
        let Self { table, key, config, session, started, .. } = self;
        let mut renew = |changes: &mut TableChanges<'_, Raw, Raw>| {
            let now = started.elapsed();
            let lease = Lease::read(changes.get(key.clone())?)?;
            match lease.renewed(*session).filter(|lease| lease.token == token) {
                Some(renewed) => {
                    changes.put(key.clone(), renewed.to_bytes())?;
                    Ok(Some(now + config.lease))
                }
                None => Ok(None),
            }
        };
        let mut renewed = table.update(&mut renew).await?.into_inner();
        if renewed.is_none() {
            // Nothing was sent, so what it has seen may be from before the lease was taken.
            table.fetch().await?;
            renewed = table.update(&mut renew).await?.into_inner();
        }
        Ok(renewed.map(|until| self.until(until)))
    }

    /// Releases the lease that was taken with a token, if it is still held.
    pub(super) async fn release(&mut self, token: FencingToken) -> Result<(), TableError> {
        let (key, session) = (&self.key, self.session);
        let released = self.table.update(|changes| {
            let lease = Lease::read(changes.get(key.clone())?)?;
            match lease.released(session).filter(|lease| lease.token == token) {
                Some(released) => changes.put(key.clone(), released.to_bytes()),
                None => Ok(()),
            }
        });
        released.await.map(Update::into_inner)
    }

    pub(super) fn left(&self, until: Now) -> Duration {
        until.saturating_sub(self.started.elapsed())
    }

    pub(super) fn lease(&self) -> Duration {
        self.config.lease
    }

    /// Returns the table, for other uses.
    #[must_use]
    pub fn into_table(self) -> TableSynchronizer<Raw, Raw> {
        self.table
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A lock that is held. Dropping it does not release the lock before its lease ends: call
/// [`release`](Self::release).
#[derive(Debug)]
#[must_use = "the lock is held until its lease ends"]
pub struct LockGuard<'l> {
    lock: &'l mut Lock,
    token: FencingToken,
    until: Now,
}

impl LockGuard<'_> {
    /// Returns the token of this holder, which rises with each new one.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Returns the time for which the lock is held without another renewal; zero if it may be held
    /// by another program.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.lock.left(self.until)
    }

    /// Renews the lease. Returns false if another program has the lock, so that this one must stop
    /// at once. Call it about every third of the lease.
    ///
    /// # Errors
    ///
    /// As of [`TableSynchronizer::update`]. The lock is held as long as [`left`](Self::left)
    /// returns.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lease may be renewed; [`left`](Self::left) does not count it.
    pub async fn renew(&mut self) -> Result<bool, TableError> {
        let until = self.lock.renew(self.token).await?;
        self.until = until.unwrap_or(Now::ZERO);
        Ok(until.is_some())
    }

    /// Releases the lock, so that other programs need not wait for the end of the lease.
    ///
    /// # Errors
    ///
    /// As of [`TableSynchronizer::update`]. The lease ends by itself.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock may or may not be released.
    pub async fn release(self) -> Result<(), TableError> {
        self.lock.release(self.token).await
    }
}
