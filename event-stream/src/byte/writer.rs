//! The byte writer.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use pravega_sdk_segment_client::{
    append::{Capacity, Handle, Pinned, Target, Write},
    context::SegmentContext,
    error::WriteError,
    request::{AskError, Terms},
    runtime::runtime,
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{
    ErrorKind, KeyRange, Offset, Outcome, ScopedSegment, ScopedStream, SegmentMap,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::{SealSegment, StreamSegmentInfo, TruncateSegment},
};
use tokio::io::AsyncWrite;
use tokio_util::sync::ReusableBoxFuture;

use super::{
    config::ByteWriterConfig,
    segment::{info, segment_of, to_write},
};

/// Writes bytes at the end of a byte stream.
///
/// All bytes are contiguous, at the offsets that this writer returns: each append succeeds only if
/// no other writer appended meanwhile. If one did, writing fails with the kind
/// [`ConditionFailed`](ErrorKind::ConditionFailed), no byte without an acknowledgement is in the
/// stream, and [`Self::seek_to_tail`] starts again after the other writer's bytes.
///
/// It is an [`AsyncWrite`]: it accepts bytes as soon as there is capacity for them and sends them
/// at once, many writes together under load; [`flush`](Self::flush) waits until they are durable.
/// A dropped writer still sends the bytes that it accepted, and reports no failure. Flush before
/// the end of the program, as for an [`EventWriter`](crate::EventWriter).
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{ByteWriter, ByteWriterConfig, SegmentContext};
/// use tokio::io::AsyncWriteExt as _;
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let film = "films/holiday".parse()?;
/// let mut writer = ByteWriter::open(context, &film, ByteWriterConfig::default()).await?;
/// writer.write_all(b"some bytes").await?;
/// writer.flush().await?;
/// println!("the stream has {} bytes by now", writer.offset());
/// # Ok(())
/// # }
/// ```
pub struct ByteWriter {
    context: SegmentContext,
    segment: ScopedSegment,
    config: ByteWriterConfig,
    handle: Handle,
    /// The offset of the next byte.
    offset: i64,
    state: State,
}

/// The pending operation.
enum State {
    Idle,
    /// Capacity for that many bytes.
    Reserving(usize, ReusableBoxFuture<'static, Result<(), WriteError>>),
    /// Capacity for that many bytes is taken.
    Reserved(usize),
    Flush(ReusableBoxFuture<'static, Result<(), WriteError>>),
    /// Nothing more can be written; a flush returns the same error.
    Failed(WriteError),
    Closed,
}

/// Message of the error if the stream cannot be inspected; the source holds the cause.
const DETAIL: &str = "the byte stream cannot be inspected";
/// Maximum number of bytes that one write accepts.
const MAX_PIECE: usize = 256 * 1024;

impl ByteWriter {
    /// Opens a writer at the end of `stream`, with a task on the caller's runtime.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such stream,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it has more than one segment,
    /// [`Sealed`](ErrorKind::Sealed) if it takes no more, [`NoRuntime`](ErrorKind::NoRuntime)
    /// outside a tokio runtime, and otherwise that of the server that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: ByteWriterConfig,
    ) -> Result<Self, WriteError> {
        runtime()?;
        let (segment, info) =
            segment_of(&context, stream).await.map_err(|error| to_write(error, DETAIL, stream))?;
        let handle = open_handle(&context, &segment, &info, &config)?;
        Ok(Self { context, segment, config, handle, offset: info.write_offset, state: State::Idle })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        self.handle.stream()
    }

    /// The segment.
    pub(crate) fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// The offset of the next byte: after everything that was taken, durable or not.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.offset)
    }

    /// Writes all of `data`, as soon as there is capacity for it, without copying it.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if something that was written before could not be stored, or if there is no
    /// capacity in time. With the outcome [`NotApplied`](Outcome::NotApplied) nothing of `data` is
    /// written, otherwise [`Self::offset`] shows how much.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, only the beginning of `data` is written; [`Self::offset`] shows
    /// how much.
    pub async fn write_bytes(&mut self, mut data: Bytes) -> Result<(), WriteError> {
        let begin = self.offset;
        while !data.is_empty() {
            let written = self.write_piece(&mut data).await;
            // The pieces before are written.
            let is_begun = self.offset != begin;
            written.map_err(
                |error| {
                    if is_begun { error.with_outcome(Outcome::Unknown) } else { error }
                },
            )?;
        }
        Ok(())
    }

    /// Writes the beginning of `data`, which is not empty, and takes it off. If the future is
    /// dropped, nothing is written.
    pub(crate) async fn write_piece(&mut self, data: &mut Bytes) -> Result<(), WriteError> {
        let len = std::future::poll_fn(|cx| self.poll_capacity(data.len(), cx)).await?;
        let piece = data.split_to(len);
        self.send(piece)
    }

    /// Waits until everything that was written so far is durable.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: the first failure; from then on every write has the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the bytes.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        std::future::poll_fn(|cx| self.poll_durable(cx)).await
    }

    /// Starts again at the end of the stream, after another writer was faster. Bytes that were not
    /// acknowledged are given up: flush first to know which.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the writer is as before.
    pub async fn seek_to_tail(&mut self) -> Result<Offset, WriteError> {
        // Appends in flight end first, or they would be taken for those of another writer.
        self.handle.flush().await.ok();
        let info = self.info().await?;
        self.handle = open_handle(&self.context, &self.segment, &info, &self.config)?;
        self.offset = info.write_offset;
        self.state = State::Idle;
        Ok(Offset(self.offset))
    }

    /// Waits until all bytes are durable, and makes the stream's segment read-only: readers find
    /// its end. Sealing a sealed segment succeeds. For the controller the stream stays open, as
    /// with Java's client.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if not everything could be written, or the segment store could not be asked.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the segment may still be sealed.
    pub async fn seal(&mut self) -> Result<(), WriteError> {
        self.flush().await?;
        let terms = Terms::of_change(&self.segment);
        let sealing = self.context.ask_on(&self.segment, &terms, |token| SealSegment {
            request_id: 0,
            segment: self.segment.to_string().into(),
            delegation_token: token.into(),
        });
        match sealing.await {
            Ok(_) => {}
            Err(error) if matches!(error.reply(), Some(WireCommand::SegmentIsSealed(_))) => {}
            Err(error) => return Err(self.failure(error, "the segment could not be sealed")),
        }
        self.state = State::Closed;
        Ok(())
    }

    /// Drops all bytes before `offset`. Readers that have not read them get an error.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for an offset after
    /// the end. Truncating at an earlier offset than before succeeds.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the bytes may still be dropped.
    pub async fn truncate(&self, offset: Offset) -> Result<(), WriteError> {
        let terms = Terms::of_change(&self.segment);
        let truncating = self.context.ask_on(&self.segment, &terms, |token| TruncateSegment {
            request_id: 0,
            segment: self.segment.to_string().into(),
            truncation_offset: offset.0,
            delegation_token: token.into(),
        });
        match truncating.await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.reply(), Some(WireCommand::SegmentIsTruncated(_))) => {
                // The same reply for offsets before the head and after the end.
                let end = self.info().await?.write_offset;
                if offset.0 <= end {
                    return Ok(());
                }
                let detail =
                    format_args!("{offset} is after the end of the stream, which is {end}");
                Err(WriteError::invalid(detail).with_stream(self.stream()))
            }
            Err(error) => Err(self.failure(error, "the segment could not be truncated")),
        }
    }

    /// The offset of the first byte that is not truncated.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the segment store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn head_offset(&self) -> Result<Offset, WriteError> {
        Ok(Offset(self.info().await?.start_offset))
    }

    /// The offset after the last durable byte of all writers.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the segment store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn tail_offset(&self) -> Result<Offset, WriteError> {
        Ok(Offset(self.info().await?.write_offset))
    }

    async fn info(&self) -> Result<StreamSegmentInfo, WriteError> {
        let info = info(&self.context, &self.segment).await;
        info.map_err(|error| {
            to_write(error, DETAIL, self.handle.stream()).with_segment(self.segment.id(), None, 0)
        })
    }

    /// The error of a request that changes the segment.
    fn failure(&self, error: AskError, detail: &str) -> WriteError {
        let denies = self.config.append.bugs.has(SeededBug::DeniesChanges);
        let outcome = if denies { Outcome::NotApplied } else { error.outcome() };
        let failure = to_write(error.into_read(&self.segment, detail), detail, self.stream());
        failure.with_segment(self.segment.id(), None, 0).with_outcome(outcome)
    }

    /// Ready with the number of bytes of `len` that there is capacity for.
    fn poll_capacity(
        &mut self,
        len: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, WriteError>> {
        let len = len.min(MAX_PIECE);
        loop {
            match &mut self.state {
                State::Idle => {
                    if self.handle.first_failure().is_some() {
                        // A flush returns the error.
                        ready!(self.poll_durable(cx))?;
                        continue;
                    }
                    if let Some(capacity) = self.handle.try_reserve(len)? {
                        capacity.detach();
                        return Poll::Ready(Ok(len));
                    }
                    let handle = self.handle.clone();
                    let reserving = async move { handle.reserve(len).await.map(Capacity::detach) };
                    self.state = State::Reserving(len, ReusableBoxFuture::new(reserving));
                }
                State::Reserving(reserved, waiting) => {
                    let reserved = *reserved;
                    match ready!(waiting.poll(cx)) {
                        Ok(()) => self.state = State::Reserved(reserved),
                        // Nothing was taken; a later write may find capacity.
                        Err(error) if error.kind() == ErrorKind::Timeout => {
                            self.state = State::Idle;
                            return Poll::Ready(Err(error));
                        }
                        Err(error) => {
                            self.state = State::Idle;
                            ready!(self.poll_durable(cx))?;
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                State::Reserved(reserved) => {
                    let reserved = *reserved;
                    self.state = State::Idle;
                    if reserved > len {
                        // Less is written than was reserved.
                        drop(self.handle.attach(reserved));
                        continue;
                    }
                    return Poll::Ready(Ok(reserved));
                }
                State::Flush(_) => ready!(self.poll_durable(cx))?,
                State::Failed(error) => return Poll::Ready(Err(error.clone())),
                State::Closed => return Poll::Ready(Err(WriteError::closed(self.handle.stream()))),
            }
        }
    }

    /// Sends a piece that capacity was reserved for.
    fn send(&mut self, piece: Bytes) -> Result<(), WriteError> {
        let len = piece.len();
        let write = Write::Pinned {
            position: None,
            segment: self.segment.id(),
            offset: Offset(self.offset),
            payload: Pinned::Bytes(piece),
        };
        // A flush reports the result.
        drop(self.handle.send(self.handle.attach(len), write)?);
        self.offset += len as i64;
        Ok(())
    }

    fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    let handle = self.handle.clone();
                    let flushing = async move { handle.flush().await };
                    self.state = State::Flush(ReusableBoxFuture::new(flushing));
                }
                // Capacity that is reserved during a flush belongs to a write that was dropped.
                State::Reserving(..) => self.state = State::Idle,
                State::Reserved(reserved) => {
                    drop(self.handle.attach(*reserved));
                    self.state = State::Idle;
                }
                State::Flush(flushing) => {
                    let flushed = ready!(flushing.poll(cx));
                    let failed = self.handle.first_failure().is_some();
                    let outcome = match flushed {
                        Ok(()) if failed => {
                            let detail = "something that was written before could not be stored";
                            Err(WriteError::new(ErrorKind::Closed, Outcome::NotApplied, detail)
                                .with_stream(self.handle.stream()))
                        }
                        other => other,
                    };
                    self.state = match &outcome {
                        Ok(()) => State::Idle,
                        Err(error) => State::Failed(error.clone()),
                    };
                    return Poll::Ready(outcome);
                }
                State::Failed(error) => return Poll::Ready(Err(error.clone())),
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

fn open_handle(
    context: &SegmentContext,
    segment: &ScopedSegment,
    info: &StreamSegmentInfo,
    config: &ByteWriterConfig,
) -> Result<Handle, WriteError> {
    let stream = segment.scoped_stream();
    if info.is_sealed {
        return Err(WriteError::new(
            ErrorKind::Sealed,
            Outcome::NotApplied,
            "the byte stream is sealed",
        )
        .with_stream(&stream));
    }
    let map = SegmentMap::new(KeyRange::equal(1).into_iter().map(|range| (segment.id(), range)));
    Handle::open(context.clone(), &stream, Target::Bytes, map, &config.append)
}

impl AsyncWrite for ByteWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let writer = self.get_mut();
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let len = ready!(writer.poll_capacity(data.len(), cx))?;
        let piece = data.get(..len).unwrap_or(data);
        writer.send(Bytes::copy_from_slice(piece))?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_durable(cx).map_err(io::Error::from)
    }

    /// Flushes, and ends the writer; the stream goes on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writer = self.get_mut();
        ready!(writer.poll_durable(cx))?;
        writer.state = State::Closed;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ByteWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteWriter")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
