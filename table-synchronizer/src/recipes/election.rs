//! One leader among many programs.

use std::{fmt, time::Duration};

use bytes::Bytes;
use pravega_sdk_codec::Raw;
use pravega_sdk_segment_client::machine::Now;

use super::{
    lease::{FencingToken, LeaseConfig},
    lock::{Attempt, Lock},
};
use crate::{error::TableError, synchronizer::TableSynchronizer};

/// Elects one leader among the programs that take part.
///
/// A program takes part by a [`round`](Self::round) every now and then: it renews its leadership,
/// or becomes the leader if there is none. When the leader ends without [`resign`](Self::resign),
/// another one is elected after the lease. One program alone can be the leader; no majority is
/// needed, as the table decides. See the [module](super) for what that guarantees.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_codec::Raw;
/// use pravega_sdk_table_synchronizer::{
///     TableSynchronizer,
///     recipes::{Election, LeaseConfig, Role},
/// };
///
/// # type Done = Result<(), Box<dyn std::error::Error>>;
/// # async fn example(table: TableSynchronizer<Raw, Raw>) -> Done {
/// let config = LeaseConfig::default().with_name("node-7");
/// let mut election = Election::new(table, "leader", config);
/// loop {
///     match election.round().await {
///         Ok(Role::Leader { token }) => println!("leading, with token {token}"),
///         Ok(Role::Follower { leader }) => println!("following {leader:?}"),
///         // It leads until its lease ends.
///         Err(error) => println!("{error}; {:?}", election.role()),
///     }
///     tokio::time::sleep(election.pause()).await;
/// }
/// # }
/// ```
pub struct Election {
    lock: Lock,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Leading { token: FencingToken, until: Now },
    Following { leader: Option<String> },
}

/// The part of a program in an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It is the leader.
    Leader {
        /// Rises with each new leader; see [`FencingToken`].
        token: FencingToken,
    },
    /// It is not.
    Follower {
        /// The name of the program that was the leader in the last round; `None` if none is known.
        leader: Option<String>,
    },
}

impl Election {
    /// Creates the handle of an election, which is stored under a key. Nothing is sent.
    pub fn new(
        table: TableSynchronizer<Raw, Raw>,
        key: impl Into<Bytes>,
        config: LeaseConfig,
    ) -> Self {
        let state = State::Following { leader: None };
        Self { lock: Lock::new(table, key, config), state }
    }

    /// Takes part for one round, and returns the role of this program.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`], and of the kind
    /// [`Corrupt`](pravega_sdk_types::ErrorKind::Corrupt) if the key has a value that is no lease.
    /// A leader stays the leader until its lease ends: see [`role`](Self::role).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, this program may be the leader for others, until the lease ends or
    /// the next round.
    pub async fn round(&mut self) -> Result<Role, TableError> {
        if let State::Leading { token, .. } = self.state
            && let Some(until) = self.lock.renew(token).await?
        {
            self.state = State::Leading { token, until };
            return Ok(self.role());
        }
        self.state = State::Following { leader: None };
        self.state = match self.lock.attempt().await? {
            Attempt::Taken { token, until } => State::Leading { token, until },
            Attempt::HeldBy(holder) => State::Following { leader: Some(holder.name) },
        };
        Ok(self.role())
    }

    /// Returns the role of this program now: a leader whose lease has ended is none.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.state {
            State::Leading { token, until } if !self.lock.left(*until).is_zero() => {
                Role::Leader { token: *token }
            }
            State::Leading { .. } => Role::Follower { leader: None },
            State::Following { leader } => Role::Follower { leader: leader.clone() },
        }
    }

    /// Returns the time between two rounds: a third of the lease.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.lock.lease() / 3
    }

    /// Gives the leadership up, if this program has it, so that another can be elected at once.
    ///
    /// # Errors
    ///
    /// [`TableError`] as of [`TableSynchronizer::update`]. This program is not the leader any more;
    /// for others it may be until the lease ends.
    ///
    /// # Cancel safety
    ///
    /// As of an error.
    pub async fn resign(&mut self) -> Result<(), TableError> {
        let State::Leading { token, .. } = self.state else { return Ok(()) };
        self.state = State::Following { leader: None };
        self.lock.release(token).await
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Election").field("state", &self.state).finish_non_exhaustive()
    }
}
