//! The handle of a shared state.

use std::{fmt, time::Duration};

use pravega_sdk_controller_client::Creation;
use pravega_sdk_segment_client::{
    context::SegmentContext, runtime::runtime, seeded_bugs::SeededBug,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedSegment, ScopedStream};
use tokio::time::{Instant, timeout};

use super::{
    config::StateConfig,
    driver::{Content, Driver},
    error::StateError,
    shared_state::{SharedState, StateSerializer},
};
use crate::revisioned::{Revision, RevisionedStream, RevisionedStreamError};

/// A state on which many clients agree, as the entries of a revisioned stream.
///
/// Each client has a copy of the state. An [update](Self::update) is made of the copy, and written
/// on the condition that the copy is the latest state; if another client was faster, its entries
/// are read and the update is made again. So all copies go through the same states. The entries are
/// those of Java's `StateSynchronizer`, and clients of both languages can share a state.
///
/// | | Java's client | this client |
/// |---|---|---|
/// | conflicts | tries again forever, at once | [bounded](StateConfig::with_max_conflicts), with pauses of full jitter |
/// | a call without an answer | waits | [ends](StateConfig::with_timeout) |
/// | entry longer than 8 MiB | written if it is conditional | refused |
/// | the initial state | written with zero bytes after it | written as it is |
/// | an entry that cannot be decoded | an exception without a place | an error with the [offset](StateError::offset) |
/// | after a compaction | its copy is the one before, so that its next update runs twice | its copy is the new initial state |
/// | several threads | each call is locked | calls need `&mut self`; a program may open one for each task |
///
/// A client that was faster knows the latest state already, and one that was slower has to read it
/// first; so a client that changes a state without a pause keeps others from changing it.
///
/// # Cancel safety
///
/// In all calls a future that is dropped leaves a copy that is a state of the stream. The entry
/// that it was about to write may or may not be written, and is read by the next call.
///
/// # Examples
///
/// ```no_run
/// use std::error::Error;
///
/// use bytes::Bytes;
/// use pravega_sdk_segment_client::context::SegmentContext;
/// use pravega_sdk_table_synchronizer::{
///     Revision, SharedState, StateConfig, StateSerializer, StateSynchronizer,
/// };
///
/// /// A sum, to which each update adds.
/// struct Sum(i64);
///
/// impl SharedState for Sum {
///     type Initial = i64;
///     type Update = i64;
///
///     fn create(sum: i64, _: &Revision) -> Self {
///         Self(sum)
///     }
///
///     fn apply(&mut self, add: i64, _: &Revision) -> Result<(), Box<dyn Error + Send + Sync>> {
///         self.0 = self.0.checked_add(add).ok_or("the sum is too large")?;
///         Ok(())
///     }
/// }
///
/// struct Numbers;
///
/// impl StateSerializer<Sum> for Numbers {
///     fn encode_initial(&self, sum: &i64) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
///         Ok(Bytes::copy_from_slice(&sum.to_be_bytes()))
///     }
///
///     fn decode_initial(&self, bytes: Bytes) -> Result<i64, Box<dyn Error + Send + Sync>> {
///         let (sum, _padding) = bytes.split_first_chunk().ok_or("fewer than 8 bytes")?;
///         Ok(i64::from_be_bytes(*sum))
///     }
///
///     fn encode_update(&self, add: &i64) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
///         self.encode_initial(add)
///     }
///
///     fn decode_update(&self, bytes: Bytes) -> Result<i64, Box<dyn Error + Send + Sync>> {
///         self.decode_initial(bytes)
///     }
/// }
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn Error>> {
/// let name = "shop/sold".parse()?;
/// let config = StateConfig::default();
/// let mut sold = StateSynchronizer::open(context, &name, Numbers, config).await?;
/// sold.initialize(0).await?;
/// // Sells one if there are any left, whatever other clients sell meanwhile.
/// let is_sold = sold
///     .update(|sum, updates| {
///         let is_left = sum.0 < 100;
///         if is_left {
///             updates.push(1);
///         }
///         is_left
///     })
///     .await?;
/// println!("{is_sold}");
/// if sold.bytes_since_compaction().await? > 512 * 1024 {
///     sold.compact(|sum| Some(sum.0)).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct StateSynchronizer<S, C> {
    driver: Driver<S, C>,
}

impl<S: SharedState, C: StateSerializer<S>> StateSynchronizer<S, C> {
    /// Opens the stream of a state, with a task on the caller's runtime that writes to it. Nothing
    /// is read yet.
    ///
    /// # Errors
    ///
    /// [`StateError`], of the kinds of [`RevisionedStream::open`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        serializer: C,
        config: StateConfig,
    ) -> Result<Self, StateError> {
        let settings = config.stream.clone().limit_delivery(config.timeout / 2);
        let stream = RevisionedStream::open(context, stream, settings).await?;
        Ok(Self { driver: Driver::new(stream, serializer, config) })
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> ScopedStream {
        self.driver.stream.stream()
    }

    /// Returns the segment of the stream.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        self.driver.stream.segment()
    }

    /// Returns this client's copy of the state, which other clients may have changed since. `None`
    /// means that no initial state was read yet, or that there is none.
    #[must_use]
    pub fn state(&self) -> Option<&S> {
        self.driver.replica.state()
    }

    /// Returns the revision of this client's copy: that of the last update that was applied to it,
    /// or of its initial state.
    #[must_use]
    pub fn revision(&self) -> Option<&Revision> {
        self.driver.replica.revision()
    }

    /// Returns the length of the entries in this client's copy since the initial state with which
    /// it began: that of the newest compaction that was read. No server is asked.
    #[must_use]
    pub fn bytes_since_initial(&self) -> u64 {
        self.driver.replica.bytes_since_initial()
    }

    /// Writes the initial state, if the stream has no entry. If it has, the state is read.
    ///
    /// After a lost reply a state that this call created may be reported as one that existed.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`], and of the kind [`ConditionFailed`](ErrorKind::ConditionFailed) if the
    /// stream has entries and none of them is an initial state.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may or may not be written.
    pub async fn initialize(&mut self, initial: S::Initial) -> Result<Creation, StateError> {
        let (limit, mut in_doubt) = (self.driver.config.timeout, false);
        let done = within(limit, self.driver.initialize(&mut in_doubt, initial)).await;
        let is_created = self.finish("initializing", limit, in_doubt, done)?;
        Ok(if is_created { Creation::Created } else { Creation::AlreadyExisted })
    }

    /// Reads the entries of other clients, so that the copy is the state as of this call or later.
    ///
    /// # Errors
    ///
    /// [`StateError`] if entries cannot be read, decoded or applied. The copy is the state before
    /// the entry then; an update that cannot be applied is left out, and the next call goes on
    /// after its entry.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the copy has some of the entries.
    pub async fn fetch(&mut self) -> Result<(), StateError> {
        let limit = self.driver.config.timeout;
        let done = within(limit, self.driver.fetch()).await;
        self.finish("reading", limit, false, done)
    }

    /// Changes the state: `generate` looks at the latest state and pushes the updates to make, all
    /// of which are made together or not at all. It may be called several times, each time with a
    /// newer state, and the result of the last call is returned. If it pushes none, nothing is
    /// written; the state that it saw may be older than that of other clients.
    ///
    /// # Errors
    ///
    /// [`StateError`], whose outcome is that of the updates: [`LimitReached`] if other clients were
    /// faster as often as is allowed, [`Timeout`] when the time is over, [`NotFound`] if there is
    /// no initial state, and [`Corrupt`] if an update does not fit the state. After a lost reply
    /// the outcome is [`Unknown`](Outcome::Unknown) if the stream has an entry with the same
    /// updates at the place of this one: another client may have written it. Updates that name
    /// their client and a number are never the same.
    ///
    /// [`Corrupt`]: ErrorKind::Corrupt
    /// [`LimitReached`]: ErrorKind::LimitReached
    /// [`Timeout`]: ErrorKind::Timeout
    /// [`NotFound`]: ErrorKind::NotFound
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the updates may or may not be made.
    pub async fn update<R>(
        &mut self,
        mut generate: impl FnMut(&S, &mut Vec<S::Update>) -> R,
    ) -> Result<R, StateError> {
        let (limit, mut in_doubt) = (self.driver.config.timeout, false);
        let prepare = |state: &S| {
            let mut updates = Vec::new();
            let result = generate(state, &mut updates);
            (Some(updates).filter(|updates| !updates.is_empty()).map(Content::Updates), result)
        };
        let done = within(limit, self.driver.change(&mut in_doubt, prepare)).await;
        Ok(self.finish("updating", limit, in_doubt, done)?.result)
    }

    /// Writes updates whatever the state is. The copy has them after the next [fetch](Self::fetch).
    ///
    /// # Errors
    ///
    /// [`StateError`], whose outcome is that of the updates.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the updates may or may not be made.
    pub async fn update_unconditionally(
        &mut self,
        updates: Vec<S::Update>,
    ) -> Result<(), StateError> {
        if updates.is_empty() {
            return Ok(());
        }
        let bytes = self.driver.encode(&Content::Updates(updates));
        let bytes = bytes.map_err(|error| error.of("updating", &self.stream()))?;
        let limit = self.driver.config.timeout;
        let writing = async { Ok(self.driver.stream.write(bytes).await.map(|_| ())?) };
        let done = within(limit, writing).await;
        self.finish("updating", limit, true, done)
    }

    /// Replaces the entries before the latest state by the state itself: `compactor` returns the
    /// content of an initial state that is the same, or `None` to leave all as it is. Clients read
    /// on from there, and the entries before the compaction before this one are truncated.
    ///
    /// Returns the revision of the new initial state.
    ///
    /// # Errors
    ///
    /// As [`Self::update`]. The outcome is [`Applied`](Outcome::Applied) if the state is written
    /// and the mark could not be set or the stream not be truncated; the next compaction does it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the state may be compacted or not.
    pub async fn compact(
        &mut self,
        mut compactor: impl FnMut(&S) -> Option<S::Initial>,
    ) -> Result<Option<Revision>, StateError> {
        let (limit, mut in_doubt) = (self.driver.config.timeout, false);
        let begun = Instant::now();
        let prepare = |state: &S| (compactor(state).map(Content::Initial), ());
        let done = within(limit, self.driver.change(&mut in_doubt, prepare)).await;
        let changed = self.finish("compacting", limit, in_doubt, done)?;
        let Some((before, revision)) = changed.written else { return Ok(None) };
        let left = limit.saturating_sub(begun.elapsed());
        let is_late = self.driver.config.bugs.has(SeededBug::MarksTooLate);
        let mark = if is_late { &revision } else { &before };
        let marked = within(left, self.driver.mark(mark)).await;
        let marked = self.finish("compacting", limit, false, marked);
        marked.map_err(|error| error.with_outcome(Outcome::Applied))?;
        Ok(Some(revision))
    }

    /// Returns the length of the entries that this client has read since the newest compaction,
    /// with that of the compaction's own initial state.
    ///
    /// Right after a compaction it is the length of the initial state. Java's client returns 0
    /// then, as it does not know the entry that it has written, and after its next read the same
    /// as this client. [`bytes_since_initial`](Self::bytes_since_initial) leaves the initial state
    /// out.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the stream was deleted, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn bytes_since_compaction(&mut self) -> Result<u64, StateError> {
        let stream = self.stream();
        let marked = self.driver.stream.mark().await;
        let mark = marked.map_err(|error| StateError::from(error).of("reading", &stream))?;
        let offset = |revision: Option<&Revision>| revision.map_or(0, |at| at.offset().0);
        let bytes = offset(self.revision()).saturating_sub(offset(mark.as_ref()));
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Names the call and the stream in an error, also in that of a call without time left.
    fn finish<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        in_doubt: bool,
        done: Option<Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let outcome = if in_doubt { Outcome::Unknown } else { Outcome::NotApplied };
        let done = done.unwrap_or_else(|| Err(over(limit, outcome)));
        done.map_err(|error| error.of(operation, &self.stream()))
    }
}

/// Returns the end of a call; `None` if its time is over before.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StateError>>,
) -> Option<Result<T, StateError>> {
    if let Err(error) = runtime() {
        return Some(Err(RevisionedStreamError::from(error).into()));
    }
    timeout(limit, work).await.ok()
}

fn over(limit: Duration, outcome: Outcome) -> StateError {
    let detail = format_args!("it was not done within {limit:?}");
    StateError::new(ErrorKind::Timeout, outcome, detail)
}

impl<S, C> fmt::Debug for StateSynchronizer<S, C> {
    /// Shows the stream and the revision: a state may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateSynchronizer")
            .field("segment", self.driver.stream.segment())
            .finish_non_exhaustive()
    }
}
