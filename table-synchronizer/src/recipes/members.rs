//! Which programs are alive.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use pravega_sdk_codec::Raw;
use pravega_sdk_segment_client::{machine::Now, runtime::rng};
use tokio::time::Instant;

use super::lease::{Holder, Lease, LeaseConfig, LeaseWatch, Session};
use crate::{
    error::TableError,
    synchronizer::{MAX_CHANGES, TableSynchronizer, Update},
};

/// The programs of a group that are alive.
///
/// A program is a member by a [`round`](Self::round) every now and then: it renews its membership,
/// and removes members that have not renewed theirs for the time of their lease. See the
/// [module](super) for how that time is measured.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::Raw;
/// use pravega_sdk_table_synchronizer::{
///     TableSynchronizer,
///     recipes::{LeaseConfig, Members},
/// };
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(table: TableSynchronizer<Raw, Raw>) -> Done {
/// let config = LeaseConfig::default().with_name("node-7");
/// let mut members = Members::new(table, "members/", config);
/// for _ in 0..10 {
///     let standing = members.round().await?;
///     println!("{standing:?}: {:?}", members.names()?);
///     tokio::time::sleep(members.pause()).await;
/// }
/// members.leave().await?;
/// # Ok(())
/// # }
/// ```
pub struct Members {
    table: TableSynchronizer<Raw, Raw>,
    prefix: Bytes,
    key: Bytes,
    config: LeaseConfig,
    session: Session,
    started: Instant,
    watches: BTreeMap<Bytes, LeaseWatch>,
    has_joined: bool,
    /// The number of rounds: a membership that ended is never like a later one, so that others
    /// count the time of each from its own begin.
    rounds: u64,
}

/// What a round has done for the member itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has joined.
    Joined,
    /// Its membership was renewed.
    Renewed,
    /// Others had removed it, as it was too late, and it has joined again.
    Rejoined,
}

impl Members {
    /// Creates the handle of a member, which is stored under a key that begins with a prefix.
    /// Nothing is sent.
    pub fn new(
        table: TableSynchronizer<Raw, Raw>,
        prefix: impl Into<Bytes>,
        config: LeaseConfig,
    ) -> Self {
        let (prefix, session) = (prefix.into(), Session(rng(None).u128(..)));
        let mut key = BytesMut::from(&prefix[..]);
        key.put_u128(session.0);
        let (key, started, watches) = (key.freeze(), Instant::now(), BTreeMap::new());
        let (has_joined, rounds) = (false, 0);
        Self { table, prefix, key, config, session, started, watches, has_joined, rounds }
    }

    /// Joins, or renews the membership, and removes members whose leases have ended.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`], and of the kind
    /// [`Corrupt`](pravega_sdk_types::ErrorKind::Corrupt) if a key with the prefix has a value that
    /// is no lease.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the membership may or may not be renewed.
    pub async fn round(&mut self) -> Result<Standing, TableError> {
        self.table.fetch().await?;
        let ended = self.ended(self.started.elapsed())?;
        self.rounds += 1;
        let Self { table, key, config, session, rounds, .. } = self;
        let renewed = table.update(|changes| {
            let lease = Lease::read(changes.get(key.clone())?)?;
            let (renewed, is_new) = match lease.renewed(*session) {
                Some(renewed) => (renewed, false),
                None => {
                    let (name, lease_time) = (config.name.clone(), config.lease);
                    let (session, beat) = (*session, *rounds);
                    let holder = Holder { session, name, lease: lease_time, beat };
                    (lease.taken(holder, config.bugs), true)
                }
            };
            changes.put(key.clone(), renewed.to_bytes())?;
            for (member, seen) in &ended {
                // One that has renewed its membership meanwhile stays.
                if Lease::read(changes.get(member.clone())?)? == *seen {
                    changes.remove(member.clone())?;
                }
            }
            Ok(is_new)
        });
        let is_new = renewed.await.map(Update::into_inner)?;
        let had_joined = std::mem::replace(&mut self.has_joined, true);
        Ok(match (is_new, had_joined) {
            (false, _) => Standing::Renewed,
            (true, false) => Standing::Joined,
            (true, true) => Standing::Rejoined,
        })
    }

    /// The other members whose leases have ended, as many as one round removes.
    fn ended(&mut self, now: Now) -> Result<Vec<(Bytes, Lease)>, TableError> {
        let mut watches = std::mem::take(&mut self.watches);
        let mut ended = Vec::new();
        for entry in self.table.state().entries_with_prefix(&self.prefix) {
            let (key, stored) = entry?;
            if key == self.key {
                continue;
            }
            let lease = Lease::read(Some(stored))?;
            let watch = watches.remove(&key);
            let mut watch = watch.unwrap_or_else(|| LeaseWatch::new(self.config.bugs));
            if watch.handle_seen(&lease, now) && ended.len() + 1 < MAX_CHANGES {
                ended.push((key.clone(), lease));
            }
            self.watches.insert(key, watch);
        }
        Ok(ended)
    }

    /// Returns the names of the members as of the last round, sorted.
    ///
    /// # Errors
    ///
    /// [`TableError`] of the kind [`Corrupt`](pravega_sdk_types::ErrorKind::Corrupt) if a key with
    /// the prefix has a value that is no lease.
    pub fn names(&self) -> Result<Vec<String>, TableError> {
        let mut names = Vec::new();
        for entry in self.table.state().entries_with_prefix(&self.prefix) {
            names.extend(Lease::read(Some(entry?.1))?.holder.map(|holder| holder.name));
        }
        names.sort();
        Ok(names)
    }

    /// Returns the time between two rounds: a third of the lease.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.config.lease / 3
    }

    /// Leaves the group, so that other members need not wait for the end of the lease.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`]. Others remove this member when its lease
    /// ends.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, this program may or may not be a member.
    pub async fn leave(&mut self) -> Result<(), TableError> {
        self.has_joined = false;
        let key = &self.key;
        let left = self.table.update(|changes| changes.remove(key.clone()).map(drop));
        left.await.map(Update::into_inner)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("config", &self.config).finish_non_exhaustive()
    }
}
