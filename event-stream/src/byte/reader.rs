//! The byte reader.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    io::{self, SeekFrom},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_segment_client::{
    context::SegmentContext,
    error::ReadError,
    read::{
        driver::ReadDriver,
        machine::{Delivery, ReadMachine, ReaderId, StartOffset},
    },
    runtime::{random_bits, rng, runtime},
};
use pravega_sdk_types::{ErrorKind, Offset, ScopedSegment, ScopedStream};
use pravega_sdk_wire_protocol::commands::StreamSegmentInfo;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, ReadBuf};

use super::{
    config::ByteReaderConfig,
    segment::{info, segment_of},
};

/// Reads the bytes of a byte stream.
///
/// It is an [`AsyncRead`], an [`AsyncBufRead`] and an [`AsyncSeek`]. The next reads are always
/// in flight, as far as the budget allows. At the end of the stream it waits for
/// more; once the stream is sealed, it ends.
///
/// Where bytes were truncated before they were read, one read fails with the kind
/// [`Truncated`](ErrorKind::Truncated), and the next goes on with the first byte that is left.
/// Where the segment store reports damaged bytes, a read fails with the kind
/// [`Corrupt`](ErrorKind::Corrupt), and the next tries again.
/// After the end of the runtime on which it was opened, every read fails with the kind
/// [`Closed`](ErrorKind::Closed).
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{ByteReader, ByteReaderConfig, SegmentContext};
/// use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let film = "films/holiday".parse()?;
/// let mut reader = ByteReader::open(context, &film, ByteReaderConfig::default()).await?;
/// reader.seek(std::io::SeekFrom::Start(100)).await?;
/// let mut frame = [0; 64];
/// reader.read_exact(&mut frame).await?;
/// # Ok(())
/// # }
/// ```
pub struct ByteReader {
    machine: ReadMachine,
    driver: ReadDriver<Infallible>,
    segment: Arc<ScopedSegment>,
    reader: ReaderId,
    /// What has arrived and was not read; it starts at `offset`.
    ready: Bytes,
    /// Bytes that `ready` had when it arrived.
    ready_len: usize,
    offset: i64,
    is_at_end: bool,
    failed: Option<ReadError>,
    seek: Option<BoxFuture<'static, Result<i64, ReadError>>>,
}

impl ByteReader {
    /// Opens a reader of `stream`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such stream,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it has more than one segment or the start
    /// is after its end, [`Truncated`](ErrorKind::Truncated) for a start before its head,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// server that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: ByteReaderConfig,
    ) -> Result<Self, ReadError> {
        runtime()?;
        let (segment, info) = segment_of(&context, stream).await?;
        let offset = match config.start {
            None => info.start_offset,
            Some(offset) => checked(&segment, &info, offset.0)?,
        };
        let mut machine =
            ReadMachine::new(config.reader.read_settings(), random_bits(rng(config.reader.seed)));
        let segment = Arc::new(segment);
        let driver = ReadDriver::new(context, config.reader.bugs)?;
        let reader = machine.open(Arc::clone(&segment), StartOffset::Known(Offset(offset)), None);
        Ok(Self {
            machine,
            driver,
            segment,
            reader,
            ready: Bytes::new(),
            ready_len: 0,
            offset,
            is_at_end: false,
            failed: None,
            seek: None,
        })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> ScopedStream {
        self.segment.scoped_stream()
    }

    /// The offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.offset)
    }

    /// How many bytes can be read at once, without waiting.
    #[must_use]
    pub fn available(&self) -> usize {
        self.ready.len()
    }

    /// The next bytes, as they arrived, without copying them; `None` at the end of a sealed
    /// stream.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: see [`ByteReader`] for what can be in the way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call brings the bytes.
    pub async fn next_bytes(&mut self) -> Result<Option<Bytes>, ReadError> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        if self.ready.is_empty() {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.ready);
        self.offset += bytes.len() as i64;
        self.machine.release(std::mem::take(&mut self.ready_len));
        Ok(Some(bytes))
    }

    /// The offset of the first byte that is not truncated.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the segment store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub fn head_offset(&self) -> impl Future<Output = Result<Offset, ReadError>> + Send + use<> {
        let info = self.info();
        async move { Ok(Offset(info.await?.start_offset)) }
    }

    /// The offset after the last durable byte.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the segment store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub fn tail_offset(&self) -> impl Future<Output = Result<Offset, ReadError>> + Send + use<> {
        let info = self.info();
        async move { Ok(Offset(info.await?.write_offset)) }
    }

    /// The future borrows nothing, so that it is `Send` although the reader is not `Sync`.
    fn info(&self) -> impl Future<Output = Result<StreamSegmentInfo, ReadError>> + Send + use<> {
        let (context, segment) = (self.driver.context().clone(), Arc::clone(&self.segment));
        async move { info(&context, &segment).await }
    }

    /// Ready when there are bytes, or at the end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        loop {
            // Requests are sent even if bytes are ready: the next read is always in flight.
            let mut is_busy = self.driver.carry_out(&mut self.machine);
            if !self.ready.is_empty() || self.is_at_end {
                if is_busy {
                    self.driver.poll_reads(&mut self.machine, cx);
                }
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = &self.failed {
                return Poll::Ready(Err(error.clone()));
            }
            if let Some((_, delivery)) = self.machine.poll_delivery() {
                self.take(delivery)?;
                continue;
            }
            if let Some(ended) = self.driver.ended() {
                self.failed = Some(ended.with_stream(&self.stream()));
                continue;
            }
            is_busy |= self.driver.poll_reads(&mut self.machine, cx);
            is_busy |= self.driver.poll_timeouts(&mut self.machine, cx);
            if !is_busy {
                return Poll::Pending;
            }
        }
    }

    fn take(&mut self, delivery: Delivery) -> Result<(), ReadError> {
        let fail = |kind, detail: &str, offset| {
            let error = ReadError::new(kind, detail).with_offset(Offset(offset));
            error.with_stream(&self.segment.scoped_stream()).with_segment(
                self.segment.id(),
                None,
                0,
            )
        };
        match delivery {
            Delivery::Data { offset, data } => {
                self.offset = offset.0;
                self.ready_len = data.len();
                self.ready = data;
            }
            Delivery::End { .. } => self.is_at_end = true,
            Delivery::Truncated { asked, head } => {
                self.offset = head.0;
                let detail =
                    format!("the stream was truncated up to {head}; reading goes on from there");
                return Err(fail(ErrorKind::Truncated, &detail, asked.0));
            }
            Delivery::Missing => {
                self.failed =
                    Some(fail(ErrorKind::NotFound, "the byte stream was deleted", self.offset));
            }
            Delivery::Short { length } => {
                let detail =
                    format!("the stream has only {length} bytes: it was deleted and created again");
                self.failed = Some(fail(ErrorKind::NotFound, &detail, self.offset));
            }
            Delivery::Stalled(error) => return Err(error),
            Delivery::Failed(error) => self.failed = Some(error),
        }
        Ok(())
    }

    /// Goes on at another offset, which was checked.
    fn go_to(&mut self, offset: i64) {
        let ahead = offset - self.offset;
        if let Ok(ahead) = usize::try_from(ahead)
            && ahead <= self.ready.len()
        {
            // It has arrived.
            self.consume_ready(ahead);
            return;
        }
        self.ready = Bytes::new();
        self.machine.release(std::mem::take(&mut self.ready_len));
        self.machine.close(self.reader);
        self.reader =
            self.machine.open(Arc::clone(&self.segment), StartOffset::Known(Offset(offset)), None);
        self.offset = offset;
        (self.is_at_end, self.failed) = (false, None);
    }

    fn consume_ready(&mut self, len: usize) {
        let len = len.min(self.ready.len());
        self.ready.advance(len);
        self.offset += len as i64;
        if self.ready.is_empty() {
            self.machine.release(std::mem::take(&mut self.ready_len));
        }
    }
}

/// Refuses an offset that cannot be read from.
fn checked(
    segment: &ScopedSegment,
    info: &StreamSegmentInfo,
    offset: i64,
) -> Result<i64, ReadError> {
    let refuse = |kind, detail: fmt::Arguments<'_>| {
        Err(ReadError::new(kind, detail).with_stream(&segment.scoped_stream()).with_segment(
            segment.id(),
            None,
            0,
        ))
    };
    let (head, tail) = (info.start_offset, info.write_offset);
    if offset < 0 {
        return refuse(
            ErrorKind::InvalidArgument,
            format_args!("{offset} is before the beginning"),
        );
    }
    if offset > tail {
        return refuse(
            ErrorKind::InvalidArgument,
            format_args!("{offset} is after the end, which is {tail}"),
        );
    }
    if offset < head {
        return refuse(
            ErrorKind::Truncated,
            format_args!("{offset} was truncated away, the first byte is at {head}"),
        );
    }
    Ok(offset)
}

impl AsyncBufRead for ByteReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let reader = self.get_mut();
        ready!(reader.poll_ready(cx))?;
        Poll::Ready(Ok(&reader.ready))
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        self.get_mut().consume_ready(len);
    }
}

impl AsyncRead for ByteReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reader = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(reader.poll_ready(cx))?;
        let len = buffer.remaining().min(reader.ready.len());
        buffer.put_slice(reader.ready.get(..len).unwrap_or_default());
        reader.consume_ready(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for ByteReader {
    /// An offset before the head or after the end is refused, by [`AsyncSeek::poll_complete`]; the
    /// reader stays where it is then.
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let reader = self.get_mut();
        let (context, segment, here) =
            (reader.driver.context().clone(), Arc::clone(&reader.segment), reader.offset);
        let seeking = async move {
            let info = info(&context, &segment).await?;
            let offset = match position {
                SeekFrom::Start(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
                SeekFrom::Current(by) => here.saturating_add(by),
                SeekFrom::End(by) => info.write_offset.saturating_add(by),
            };
            checked(&segment, &info, offset)
        };
        reader.seek = Some(seeking.boxed());
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let reader = self.get_mut();
        if let Some(seeking) = &mut reader.seek {
            let sought = ready!(reader.driver.poll_at_home(seeking, cx))
                .unwrap_or_else(|ended| Err(ended.with_stream(&reader.segment.scoped_stream())));
            reader.seek = None;
            reader.go_to(sought?);
        }
        Poll::Ready(Ok(u64::try_from(reader.offset).unwrap_or(0)))
    }
}

impl fmt::Debug for ByteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteReader")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
