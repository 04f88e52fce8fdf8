//! A reader of all events of a stream, without a group.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use pravega_sdk_segment_client::{
    context::SegmentContext,
    error::ReadError,
    machine::LookupError,
    read::{driver::ReadDriver, machine::ReadMachine},
    runtime::{random_bits, rng, runtime},
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, Offset, Position, ScopedSegment, ScopedStream, SegmentId,
    StreamPosition, Successor,
};

use super::{
    config::ReaderConfig,
    event::ReadEvent,
    machine::{Bounds, Effect, Found, StreamMachine},
    place::bounds_of,
    sealed::final_successors,
};
use crate::{
    codec::{Codec, Raw},
    time_window::{MarkFollower, ReadPlace, TimeWindow},
};

/// Reads all events of a stream, by itself.
///
/// Events of one routing key come in the order in which they were written, across scaling; those of
/// different keys in no particular order. It is a [`Stream`] of events and errors, and has no task:
/// the caller that polls it does the work. Between polls, replies of segment stores still arrive,
/// as far as the budget allows. It can be polled anywhere, also outside a runtime; with the runtime
/// on which it was opened it ends, with an error of kind [`Closed`](ErrorKind::Closed).
///
/// After an error the reader goes on where it can: an event that the codec refuses is passed over,
/// a truncated part is left out, a segment store that cannot be reached is tried again. Where it
/// cannot, the stream ends after the error.
///
/// The events that [`Raw`] returns are slices of received buffers of up to 1 MiB. A buffer stays in
/// memory until its last event is dropped.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{ReaderConfig, SegmentContext, EventReader, codec::Utf8};
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = "shop/orders".parse()?;
/// let mut reader = EventReader::open(context, &orders, Utf8, ReaderConfig::default()).await?;
/// while let Some(event) = reader.next().await {
///     let event = event?;
///     println!("{} at {}: {}", event.segment(), event.offset(), event.event());
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventReader<C = Raw> {
    machine: StreamMachine,
    driver: ReadDriver<Done>,
    stream: ScopedStream,
    codec: C,
    marks: MarkFollower,
}

/// Events that had arrived together, or an error.
type Batch<E> = Result<Vec<ReadEvent<E>>, ReadError>;

/// An answer of the controller.
enum Done {
    Successors(SegmentId, Result<Vec<Successor>, LookupError>),
    FinalSuccessors(SegmentId, Result<Option<Vec<Successor>>, LookupError>),
    Segments(SegmentId, Result<Vec<SegmentId>, LookupError>),
}

impl<C: Codec> EventReader<C> {
    /// Opens a reader of `stream`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such stream,
    /// [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) for a cut or an event of another one, or
    /// of an earlier one of the same name, and for a cut that leaves out a part of the key space,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a start after the end,
    /// [`Truncated`](ErrorKind::Truncated) for an end before the head of the stream,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// server that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        codec: C,
        config: ReaderConfig,
    ) -> Result<Self, ReadError> {
        runtime()?;
        let bounds = bounds_of(&context, stream, &config).await?;
        Self::with_bounds(context, stream, codec, &config, bounds)
    }

    pub(crate) fn with_bounds(
        context: SegmentContext,
        stream: &ScopedStream,
        codec: C,
        config: &ReaderConfig,
        bounds: Bounds,
    ) -> Result<Self, ReadError> {
        let driver = ReadDriver::new(context, config.bugs)?;
        let mut rng = rng(config.seed);
        let reads = ReadMachine::new(config.read_settings(), random_bits(rng.fork()));
        let machine = StreamMachine::new(
            stream.clone(),
            config.settings(),
            reads,
            bounds,
            random_bits(rng.fork()),
        );
        let marks = MarkFollower::new(stream, config.stall_timeout);
        Ok(Self { machine, driver, stream: stream.clone(), codec, marks })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.stream
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: [`Truncated`](ErrorKind::Truncated) if events were truncated, after which
    /// reading continues, [`Corrupt`](ErrorKind::Corrupt) for bytes that are not a valid event or
    /// that the codec refuses, and for bytes that the segment store reports as damaged, which are
    /// tried again, [`Unavailable`](ErrorKind::Unavailable) while a segment cannot be
    /// read, or the successors of one cannot be found, and errors that end the reader: the stream
    /// was deleted, reading is not allowed, or the runtime on which the reader was opened has
    /// ended, which is [`Closed`](ErrorKind::Closed).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<ReadEvent<C::Event>, ReadError>> {
        poll_fn(|cx| self.poll_next_event(cx)).await
    }

    /// Waits for an event, and returns it with those after it that have arrived, at most `max`;
    /// `None` at the end. An error is returned after the events before it.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::next`].
    pub async fn next_batch(
        &mut self,
        max: usize,
    ) -> Option<Result<Vec<ReadEvent<C::Event>>, ReadError>> {
        poll_fn(|cx| self.poll_next_batch(max, cx)).await
    }

    /// The position after the last event that was returned, as a stream cut. A reader that begins
    /// there goes on without a gap and without a repeat.
    #[must_use]
    pub fn stream_cut(&self) -> BoundedCut {
        // The offsets are those of segments, each named once, so the cut can be; and an empty one
        // always can.
        let cut = BoundedCut::new(self.stream.clone(), self.machine.cut());
        cut.unwrap_or_else(|_| BoundedCut::empty(self.stream.clone()))
    }

    /// The position after the last event that was returned: that of [`Self::stream_cut`], with a
    /// text form.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use pravega_sdk_event_stream::{EventReader, ReaderConfig, StreamPosition};
    ///
    /// # fn example(reader: EventReader) -> Result<(), Box<dyn std::error::Error>> {
    /// let text = reader.position().to_string();
    /// // Later, perhaps in another process:
    /// let config = ReaderConfig::default().with_start(text.parse::<StreamPosition>()?);
    /// # let _ = config;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn position(&self) -> StreamPosition {
        self.stream_cut().into()
    }

    /// The offset in each segment that the reader reads, in the form that Java's readers store.
    #[must_use]
    pub fn java_position(&self) -> Position {
        let owned = self.machine.owned().into_iter();
        let owned: Vec<_> =
            owned.map(|(segment, position)| ((*segment).clone(), position)).collect();
        let ranges: Vec<_> = owned.iter().map(|(segment, _)| (segment.clone(), None)).collect();
        Position::new(owned, ranges)
    }

    /// Returns the times between which reading is, by the times that writers note. An event that
    /// was returned counts as read.
    ///
    /// It looks for newer watermarks at most once a second, with one request, and reads those up to
    /// the reader's place: the first call of a reader that is far from the head may read many.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of kind [`Timeout`](ErrorKind::Timeout) after the
    /// [stall timeout](ReaderConfig::with_stall_timeout), and [`Closed`](ErrorKind::Closed) if the
    /// runtime on which the reader was opened has ended. It has no effect on reading.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on.
    pub async fn time_window(&mut self) -> Result<TimeWindow, ReadError> {
        runtime()?;
        if let Some(ended) = self.driver.ended() {
            return Err(ended.with_stream(&self.stream));
        }
        let places = self.machine.cut().into_iter();
        let places = places.map(|(id, offset)| ReadPlace { id, range: None, offset }).collect();
        self.marks.window(self.driver.context(), places).await
    }

    fn poll_next_batch(
        &mut self,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Batch<C::Event>>> {
        let first = match std::task::ready!(self.poll_next_event(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(first)) => first,
        };
        let mut batch = vec![first];
        while batch.len() < max
            && let Some(found) = self.machine.poll_event()
        {
            let (id, offset) = (found.segment.id(), Offset(found.offset));
            match self.decode(found) {
                Ok(event) => batch.push(event),
                Err(error) => {
                    self.machine.hold_back(id, offset, error);
                    break;
                }
            }
        }
        self.carry_out();
        Poll::Ready(Some(Ok(batch)))
    }

    fn poll_next_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ReadEvent<C::Event>, ReadError>>> {
        loop {
            if let Some(found) = self.machine.poll() {
                let event = found.and_then(|found| self.decode(found));
                if self.carry_out() {
                    // Requests are sent before the caller uses the event.
                    self.poll_work(cx);
                }
                return Poll::Ready(Some(event));
            }
            if self.machine.is_done() {
                return Poll::Ready(None);
            }
            if let Some(ended) = self.driver.ended() {
                self.machine.fail(ended.with_stream(&self.stream));
                continue;
            }
            let mut is_busy = self.carry_out();
            is_busy |= self.poll_work(cx);
            is_busy |= self.driver.poll_timeouts(&mut self.machine, cx);
            if !is_busy {
                return Poll::Pending;
            }
        }
    }

    fn decode(&self, found: Found) -> Result<ReadEvent<C::Event>, ReadError> {
        let Found { segment, offset, event } = found;
        let len = event.len();
        match self.codec.decode(event) {
            Ok(event) => Ok(ReadEvent::new(event, segment, offset, len)),
            Err(error) => {
                let failure = ReadError::new(ErrorKind::Corrupt, "the event cannot be decoded")
                    .with_offset(Offset(offset));
                Err(failure
                    .with_stream(&self.stream)
                    .with_segment(segment.id(), None, 0)
                    .with_source(Some(Arc::new(error))))
            }
        }
    }

    /// Carries out the effects of the machines; returns true if there were any.
    fn carry_out(&mut self) -> bool {
        let mut is_busy = self.driver.carry_out(&mut self.machine);
        if !self.machine.has_effects() {
            return is_busy;
        }
        let now = self.driver.now();
        while let Some(effect) = self.machine.poll_effect(now) {
            is_busy = true;
            let (controller, stream) =
                (Arc::clone(self.driver.context().controller()), self.stream.clone());
            match effect {
                Effect::FindSuccessors(id) => self.driver.spawn(async move {
                    let segment = ScopedSegment::new(&stream, id);
                    Done::Successors(
                        id,
                        controller.successors(&segment).await.map_err(LookupError::from),
                    )
                }),
                Effect::ConfirmEnd(id) => {
                    let bugs = self.machine.bugs();
                    self.driver.spawn(async move {
                        let segment = ScopedSegment::new(&stream, id);
                        let found = final_successors(&*controller, &segment, bugs).await;
                        Done::FinalSuccessors(id, found.map_err(LookupError::from))
                    });
                }
                Effect::FindSegments(id) => self.driver.spawn(async move {
                    let found = controller.current_segments(&stream).await;
                    let ids = found.map(|found| found.iter().map(|segment| segment.id).collect());
                    Done::Segments(id, ids.map_err(LookupError::from))
                }),
            }
        }
        is_busy
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(done) = self.driver.poll_work(&mut self.machine, cx) {
            is_busy = true;
            let now = self.driver.now();
            match done {
                None => {}
                Some(Done::Successors(id, found)) => self.machine.handle_successors(id, found, now),
                Some(Done::FinalSuccessors(id, found)) => {
                    self.machine.handle_final_successors(id, found, now);
                }
                Some(Done::Segments(id, found)) => self.machine.handle_segments(id, found, now),
            }
        }
        is_busy
    }
}

impl<C: Codec + Unpin> Stream for EventReader<C> {
    type Item = Result<ReadEvent<C::Event>, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_event(cx)
    }
}

impl<C> fmt::Debug for EventReader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader").field("machine", &self.machine).finish_non_exhaustive()
    }
}
