//! A reader of events that shares the segments of streams with the other readers of its group.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError, runtime::runtime};
use pravega_sdk_types::{
    ErrorKind, Offset, Outcome, Position, ReaderId, ScopedReaderGroup, ScopedSegment, ScopedStream,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    super::{
        liveness::{ClaimError, Claimed, LeaseStore, LeasedGroup, claim},
        machine::LossReason,
        store::GroupStore,
    },
    config::GroupReaderConfig,
    driver::{GroupDriver, Step},
    error::GroupReaderError,
    event::{GroupEvent, GroupItem, Places},
    notices::GroupReaderNotices,
};
use crate::{
    codec::{Codec, Raw},
    reader::ReadEvent,
    time_window::{MarkFollower, TimeWindow},
};

/// Reads events as a member of a group: each segment of the group's streams has one reader.
///
/// Java's readers can be in the same group. The readers share the segments fairly, or by another
/// [assignment](GroupReaderConfig::with_assignment): one that joins takes its part, and one that
/// has too many gives some back. That happens right after a [checkpoint](GroupItem::Checkpoint),
/// and the successors of a segment that was scaled are read after a checkpoint too, so a group
/// needs checkpoints: by default its readers create one every 30 s. If each event is handled before
/// the next is asked for, it can happen [between events](GroupReaderConfig::with_hand_over).
///
/// The caller that polls it does the work, and nothing is read, answered or handed over while it is
/// not polled. A checkpoint waits for all readers, so a program that takes long for an event holds
/// up those of its group. An event is returned only if the reader was in the group when it was last
/// due to look. A task renews its [lease](GroupReaderConfig::with_lease), and ends with the reader.
///
/// After an error the reader goes on where it can, see [`GroupReaderError`]. Where it cannot, the
/// stream ends after the error.
///
/// # Each event at least once, or exactly once
///
/// A reader that [closes](Self::close) hands its segments over where it is, and every event is read
/// once. If it dies, its lease runs out, the other readers take it offline, and they read on from a
/// position that was recorded for it: that of its last checkpoint, unless a program takes it
/// offline at a later one. What it read after that position is read again, so each event is read
/// **at least once**.
///
/// To have each **exactly once**, store the [position](GroupEvent::position) of an event together
/// with the effects of the event, in one transaction of the program's own store. When a reader has
/// died, take it [offline](crate::group::ReaderGroup::reader_offline) at the position stored last;
/// then another reader begins with the first event whose effects are not stored. The effects of an
/// event should be stored before the next checkpoint is passed, that is, before the item after it
/// is asked for: from then on others may read on from there.
///
/// Open such readers [without a lease](GroupReaderConfig::with_lease). With one, the other readers
/// may be faster than the program that knows the position, and go on from the last checkpoint. Or
/// keep the lease, store the [end](GroupEvent::end_offset) of the last event of each *segment*
/// instead, and pass over events before it: then it does not matter from where others read on, nor
/// which of two readers is late.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{
///     SegmentContext,
///     codec::Utf8,
///     group::{GroupItem, GroupReader, GroupReaderConfig},
/// };
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let (group, id) = ("shop/billing".parse()?, "reader-1".parse()?);
/// let config = GroupReaderConfig::default();
/// let mut reader = GroupReader::open(context, &group, &id, Utf8, config).await?;
/// while let Some(item) = reader.next().await {
///     match item? {
///         GroupItem::Event(event) => println!("{}: {}", event.segment(), event.event()),
///         GroupItem::Checkpoint(name) => println!("checkpoint {name}"),
///     }
/// }
/// reader.close(std::time::Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
pub struct GroupReader<C = Raw> {
    driver: GroupDriver,
    id: ReaderId,
    codec: C,
    timeout: Duration,
    /// The watermarks of the streams whose windows were asked for.
    marks: BTreeMap<ScopedStream, MarkFollower>,
}

/// An item or an error of a reader.
type Item<E> = Result<GroupItem<E>, GroupReaderError>;
/// Several of them.
type Batch<E> = Result<Vec<GroupItem<E>>, GroupReaderError>;

/// Events of one segment that are returned together.
struct Run {
    segment: Arc<ScopedSegment>,
    /// The end of the last of them.
    end: Offset,
    others: Arc<Places>,
}

impl<C: Codec> GroupReader<C> {
    /// Joins a group under an id that no other reader of the group has.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such
    /// group, [`AlreadyExists`](ErrorKind::AlreadyExists) if a reader of that id is in it,
    /// [`Timeout`](ErrorKind::Timeout) if the [time](GroupReaderConfig::with_timeout) is over,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// server that failed. If its outcome is [`Unknown`](Outcome::Unknown), the id may be in the
    /// group.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, or fails after the reader has a
    /// [lease](GroupReaderConfig::with_lease), a task takes the reader out of the group and removes
    /// the lease. Without a lease the reader may or may not be in the group, as one that has died.
    pub async fn open(
        context: SegmentContext,
        group: &ScopedReaderGroup,
        id: &ReaderId,
        codec: C,
        config: GroupReaderConfig,
    ) -> Result<Self, GroupReaderError> {
        runtime()?;
        let limit = config.timeout;
        let joined = join(context, group, id, config).await;
        let driver = joined.map_err(|error| error.of("joining", group))?;
        Ok(Self { driver, id: id.clone(), codec, timeout: limit, marks: BTreeMap::new() })
    }

    /// Returns the group.
    #[must_use]
    pub fn group(&self) -> &ScopedReaderGroup {
        self.driver.group()
    }

    /// Returns the id of the reader.
    #[must_use]
    pub fn id(&self) -> &ReaderId {
        &self.id
    }

    /// Returns the next event or checkpoint; `None` when all streams of the group were read to
    /// their ends, which are those of the group's configuration or those of sealed streams.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`], whose documentation tells after which of them the reader goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call returns the item, and goes on with what was
    /// being done.
    pub async fn next(&mut self) -> Option<Item<C::Event>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Waits for an event, and returns it with those after it that have arrived, at most `max`; a
    /// checkpoint is returned alone. `None` and errors are those of [`Self::next`]; an error comes
    /// after the events before it.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Batch<C::Event>> {
        poll_fn(|cx| self.poll_batch(max, cx)).await
    }

    /// Returns the position of the reader, after the last event that was returned: the offset in
    /// each segment that it has, in the form that Java's readers have.
    #[must_use]
    pub fn position(&self) -> Position {
        self.driver.position()
    }

    /// Returns the times between which the group reads a stream, by the times that writers note.
    /// Other readers count where they have last reported to be, which they do every few seconds,
    /// this one with the last event that was returned, and segments without a reader with the
    /// offset from which they will be read. So a reader that takes over from one that has died
    /// finds no time complete whose events it reads again. The times of one reader never go back,
    /// also when another reader has died and its events are read again.
    ///
    /// It looks for newer watermarks at most once a second, with one request, and reads those up to
    /// the place of the group: the first call of a group that is far from the head may read many.
    /// While it waits, nothing else of the reader goes on but its lease.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for a stream
    /// that is none of the group's, [`Timeout`](ErrorKind::Timeout) after the
    /// [time of a request](GroupReaderConfig::with_timeout), and [`Closed`](ErrorKind::Closed) if
    /// the runtime on which the reader was opened has ended. It has no effect on reading.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on.
    pub async fn time_window(
        &mut self,
        stream: &ScopedStream,
    ) -> Result<TimeWindow, GroupReaderError> {
        let group = self.driver.group().clone();
        let of = |error: GroupReaderError| error.of("finding the time window", &group);
        runtime().map_err(|error| of(error.into()))?;
        let limit = self.timeout;
        let places = timeout(limit, poll_fn(|cx| self.driver.poll_places(stream, cx))).await;
        let places = places.map_err(|_| of(GroupReaderError::over(limit, Outcome::NotApplied)))?;
        let Some(places) = places.map_err(|error| of(error.into()))? else {
            let detail = format_args!("the group does not read the stream {stream}");
            return Err(of(GroupReaderError::invalid(detail)));
        };
        let marks = self.marks.entry(stream.clone());
        let marks = marks.or_insert_with(|| MarkFollower::new(stream, limit));
        let window = marks.window(self.driver.context(), places).await;
        window.map_err(|error| of(error.into()))
    }

    /// Returns what happens to the reader from now on: segments that it gains and loses,
    /// checkpoints, and times without the state of its group.
    #[must_use]
    pub fn notices(&self) -> GroupReaderNotices {
        self.driver.notices().subscribe()
    }

    /// Leaves the group, and gives the lease back. Other readers go on after the last event that
    /// was returned; an event or a checkpoint that was returned last counts as handled. From then
    /// on [`Self::next`] returns `None`.
    ///
    /// # Errors
    ///
    /// [`GroupReaderError`], of kind [`Timeout`](ErrorKind::Timeout) if it did not leave within
    /// `limit`. It can be called again; the reader returns nothing more in any case.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the reader may or may not have left. It can be called again.
    pub async fn close(&mut self, limit: Duration) -> Result<(), GroupReaderError> {
        self.leave(None, limit).await
    }

    /// As [`Self::close`], at an earlier position: that of an event that this reader has returned.
    /// Other readers go on after that event. In segments that the position does not have, and in
    /// those in which it is older, they go on from the reader's last checkpoint, or from where the
    /// reader has taken the segment since.
    ///
    /// # Errors
    ///
    /// As [`Self::close`], and of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for a
    /// position after that of the reader, which is in the group then.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::close`].
    pub async fn close_at(
        &mut self,
        position: &Position,
        limit: Duration,
    ) -> Result<(), GroupReaderError> {
        self.leave(Some(position), limit).await
    }

    async fn leave(
        &mut self,
        at: Option<&Position>,
        limit: Duration,
    ) -> Result<(), GroupReaderError> {
        let group = self.driver.group().clone();
        let of = |error: GroupReaderError| error.of("leaving", &group);
        runtime().map_err(|error| of(error.into()))?;
        self.driver.leave(at).map_err(of)?;
        let mut has_left = false;
        let leaving = async {
            poll_fn(|cx| self.driver.poll_left(cx)).await?;
            has_left = true;
            // The task goes on if the time is over.
            poll_fn(|cx| self.driver.poll_released(cx)).await;
            Ok(())
        };
        let left = timeout(limit, leaving).await;
        let left = left.unwrap_or_else(|_| {
            if has_left {
                return Ok(());
            }
            let failed = self.driver.last_failure();
            let over = failed.unwrap_or_else(|| GroupReaderError::over(limit, Outcome::Unknown));
            Err(over.with_outcome(Outcome::Unknown))
        });
        left.map_err(of)
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<C::Event>>> {
        let item = match std::task::ready!(self.driver.poll_next(cx)) {
            Step::Event { segment, offset, event } => self.decode(&segment, offset, event),
            Step::Checkpoint(name) => Ok(GroupItem::Checkpoint(name)),
            Step::Error(error) => Err(error.of("reading", self.driver.group())),
            Step::End | Step::Over => return Poll::Ready(None),
        };
        Poll::Ready(Some(item))
    }

    fn poll_batch(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Option<Batch<C::Event>>> {
        let mut batch = match std::task::ready!(self.poll_item(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(first)) => vec![first],
        };
        // The driver learns of the events of one segment once, at the end of the last.
        let mut run: Option<Run> = None;
        while batch.len() < max
            && matches!(batch.last(), Some(GroupItem::Event(_)))
            && let Some((segment, offset, event)) = self.driver.next_event()
        {
            let len = event.len();
            // One that is refused is the next item.
            let Ok(value) = self.codec.decode(event.clone()) else {
                self.driver.hold_back(segment, offset, event);
                break;
            };
            let event = ReadEvent::new(value, segment, offset.0, len);
            let others = self.extend(&mut run, &event);
            batch.push(GroupItem::Event(GroupEvent::new(event, others)));
        }
        self.end(run);
        self.driver.send_reads(cx);
        Poll::Ready(Some(Ok(batch)))
    }

    /// Adds an event to a run, or ends the run and begins one. Returns where the reader is in its
    /// other segments.
    fn extend(&mut self, run: &mut Option<Run>, event: &ReadEvent<C::Event>) -> Arc<Places> {
        let end = event.end_offset();
        if let Some(run) = run.as_mut().filter(|run| Arc::ptr_eq(&run.segment, event.shared())) {
            run.end = end;
            return Arc::clone(&run.others);
        }
        self.end(run.take());
        let segment = Arc::clone(event.shared());
        let others = self.driver.handle_read(&segment, end);
        *run = Some(Run { segment, end, others: Arc::clone(&others) });
        others
    }

    fn end(&mut self, run: Option<Run>) {
        if let Some(Run { segment, end, .. }) = run {
            self.driver.handle_read(&segment, end);
        }
    }

    fn decode(
        &mut self,
        segment: &Arc<ScopedSegment>,
        offset: Offset,
        event: Bytes,
    ) -> Item<C::Event> {
        let len = event.len();
        match self.codec.decode(event) {
            Ok(value) => Ok(self.read(segment, offset, len, value)),
            Err(error) => {
                // It is passed over.
                let end = ReadEvent::new((), Arc::clone(segment), offset.0, len).end_offset();
                self.driver.handle_read(segment, end);
                let failure = ReadError::new(ErrorKind::Corrupt, "the event cannot be decoded")
                    .with_stream(&segment.scoped_stream())
                    .with_segment(segment.id(), None, 0)
                    .with_offset(offset)
                    .with_source(Some(Arc::new(error)));
                Err(GroupReaderError::from(failure).of("reading", self.driver.group()))
            }
        }
    }

    /// An event that is returned.
    fn read(
        &mut self,
        segment: &Arc<ScopedSegment>,
        offset: Offset,
        len: usize,
        value: C::Event,
    ) -> GroupItem<C::Event> {
        let event = ReadEvent::new(value, Arc::clone(segment), offset.0, len);
        let others = self.driver.handle_read(segment, event.end_offset());
        GroupItem::Event(GroupEvent::new(event, others))
    }
}

/// Joins a group: reads its state, claims the id, and writes in the state that the reader is in it.
async fn join(
    context: SegmentContext,
    group: &ScopedReaderGroup,
    id: &ReaderId,
    config: GroupReaderConfig,
) -> Result<GroupDriver, GroupReaderError> {
    let limit = config.timeout;
    let over = |outcome| GroupReaderError::over(limit, outcome);
    let deadline = Instant::now() + limit;
    let opened = timeout_at(deadline, open_state(&context, group, &config)).await;
    let state = opened.unwrap_or_else(|_| Err(over(Outcome::NotApplied)))?;
    let claimed = claim_id(&context, group, id, state, &config, deadline).await?;
    let Claimed { state, lease, deadline } = claimed;
    let mut driver = GroupDriver::new(context, group.clone(), id, state, lease, config)?;
    let mut last = None;
    let joining = poll_fn(|cx| {
        let joined = driver.poll_joined(cx);
        last = driver.last_failure().or(last.take());
        joined
    });
    let joined = timeout_at(deadline, joining).await.unwrap_or_else(|_| {
        Err(last.unwrap_or_else(|| over(Outcome::Unknown)).with_outcome(Outcome::Unknown))
    });
    joined.map(|()| driver)
}

async fn open_state(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    config: &GroupReaderConfig,
) -> Result<GroupStore, GroupReaderError> {
    let mut state = GroupStore::open(context.clone(), group, config.state()).await?;
    state.fetch().await?;
    if state.state().is_none() {
        return Err(GroupReaderError::without_state());
    }
    Ok(state)
}

/// Claims the id of a reader that is about to join, and begins to renew its lease. Without leases
/// one that is left under the id is removed.
async fn claim_id(
    context: &SegmentContext,
    group: &ScopedReaderGroup,
    id: &ReaderId,
    state: GroupStore,
    config: &GroupReaderConfig,
    deadline: Instant,
) -> Result<Claimed, GroupReaderError> {
    let times = config.lease.unwrap_or_default();
    let leased = LeasedGroup {
        context: context.clone(),
        group: group.clone(),
        config: config.state(),
        leases: LeaseStore::new(context.clone(), state.segment().clone(), times),
    };
    let (reader, seed) = (id.as_str(), config.reads.seed);
    let claimed = claim(leased, state, reader.into(), config.lease, seed, deadline).await;
    claimed.map_err(|error| match error {
        ClaimError::InUse => GroupReaderError::lost(LossReason::AlreadyInGroup, reader),
        ClaimError::Lease(error) => error.into(),
        ClaimError::State(error) => error.into(),
        ClaimError::NoRuntime(error) => error.into(),
        ClaimError::Late => GroupReaderError::over(config.timeout, Outcome::NotApplied),
        ClaimError::Stopped => {
            let detail = "the runtime has ended";
            GroupReaderError::new(ErrorKind::Closed, Outcome::NotApplied, detail)
        }
    })
}

/// The items of [`GroupReader::next`].
///
/// A checkpoint counts as handled when the stream is polled again, and so does each event if
/// segments are handed over [between events](super::super::HandOver::BetweenEvents). So adapters
/// that poll ahead, as `buffered` does, answer checkpoints and hand segments over before the
/// program has handled the events.
impl<C: Codec + Unpin> Stream for GroupReader<C> {
    type Item = Result<GroupItem<C::Event>, GroupReaderError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(cx)
    }
}

impl<C> fmt::Debug for GroupReader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupReader").field("driver", &self.driver).finish_non_exhaustive()
    }
}
