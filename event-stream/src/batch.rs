//! Reads parts of a stream in parallel, without following it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bytes::{Buf as _, Bytes, BytesMut};
use pravega_sdk_controller_client::{ControllerError, CutRange};
use pravega_sdk_segment_client::{
    context::SegmentContext, error::ReadError, read::machine::StartOffset, runtime::runtime,
    seeded_bugs::SeededBug,
};
use pravega_sdk_types::{
    BoundedCut, ErrorKind, EventPointer, Offset, ScopedSegment, ScopedStream, SegmentId,
    SegmentOffset, SegmentRange, StreamCut, Successor,
};
use pravega_sdk_wire_protocol::{
    WireCommand,
    commands::StreamSegmentInfo,
    event::{self, EVENT_HEADER_LEN},
};

use crate::{
    codec::Codec,
    reader::{
        Bounds, CheckedCut, Cuts, EventReader, ReaderConfig, Start, StartedBy, explain_missing,
        final_successors, head_cut, make_cut, segment_tails, tail_cut,
    },
};

/// Reads parts of a stream: which segments lie between two cuts, how far these are apart, and
/// single events.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_event_stream::{BatchClient, BatchConfig, SegmentContext, codec::Utf8};
/// use pravega_sdk_types::StreamCut;
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = "shop/orders".parse()?;
/// let batch = BatchClient::open(context, &orders, BatchConfig::default()).await?;
/// // Each range can be handed, as text, to another process.
/// for range in batch.ranges(&StreamCut::Unbounded, &StreamCut::Unbounded).await? {
///     let mut events = batch.read(&range, Utf8)?;
///     while let Some(event) = events.next().await {
///         println!("{}", event?.event());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BatchClient {
    context: SegmentContext,
    stream: ScopedStream,
    config: BatchConfig,
}

/// Settings of a batch client.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::{BatchConfig, ReaderConfig};
///
/// let reader = ReaderConfig::default().with_max_buffered_bytes(4 * 1024 * 1024);
/// let config = BatchConfig::default().with_reader(reader);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Default)]
pub struct BatchConfig {
    reader: ReaderConfig,
}

impl BatchConfig {
    /// Sets the settings of the readers that [`BatchClient::read`] opens. Their start and end are
    /// not used: a range has its own.
    #[must_use]
    pub fn with_reader(mut self, reader: ReaderConfig) -> Self {
        self.reader = reader;
        self
    }
}

impl BatchClient {
    /// Opens a client for parts of `stream`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such stream,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// controller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: BatchConfig,
    ) -> Result<Self, ReadError> {
        runtime()?;
        // The same call and error as for the head: it fails if the stream does not exist.
        head_cut(&context, stream).await?;
        Ok(Self { context, stream: stream.clone(), config })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.stream
    }

    /// The head of the stream.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if there is no such stream, or the controller does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn head_cut(&self) -> Result<BoundedCut, ReadError> {
        head_cut(&self.context, &self.stream).await
    }

    /// The tail of the stream as it is now; a cut through no segment if the stream is sealed.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if there is no such stream, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn tail_cut(&self) -> Result<BoundedCut, ReadError> {
        tail_cut(&self.context, &self.stream).await
    }

    /// The ranges between two cuts, segment by segment, predecessors first. Unbounded is the head
    /// in the place of `from`, and the tail in that of `to`. Parts without a byte are left out.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) for a cut of another
    /// stream, or of an earlier one of the same name, and for one that leaves out a part of the key
    /// space or is after the tail, [`InvalidArgument`](ErrorKind::InvalidArgument) for a `from`
    /// after `to`, [`Truncated`](ErrorKind::Truncated) if something of it is gone, and otherwise
    /// that of the server that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn ranges(
        &self,
        from: &StreamCut,
        to: &StreamCut,
    ) -> Result<Vec<SegmentRange>, ReadError> {
        let mut cuts = Cuts::new(&self.context, &self.stream);
        if let (StreamCut::At(from), StreamCut::At(to)) = (from, to)
            && from.positions().len() == 0
            && to.positions().len() > 0
        {
            // A controller that lags would be asked for long whether the stream is sealed.
            return Err(cuts.tail_before());
        }
        let (from, started_by) = match from {
            StreamCut::Unbounded => {
                let head = self.head_cut().await?;
                (cuts.trust(head.positions()).await?, StartedBy::Head)
            }
            StreamCut::At(cut) => (cuts.check(cut).await?, StartedBy::Caller),
        };
        let to = match to {
            StreamCut::Unbounded => {
                let tail = self.tail_cut().await?;
                cuts.trust(tail.positions()).await?
            }
            StreamCut::At(cut) => {
                let to = cuts.check(cut).await?;
                cuts.check_order(&from, &to, started_by).await?;
                to
            }
        };
        if from.is_empty() {
            // The tail of a sealed stream.
            return Ok(Vec::new());
        }
        let mut wanted = self.between(&from, &to).await?;
        let is_empty = |id: &SegmentId| match (from.position(*id), to.position(*id)) {
            // It was read as a whole.
            (Some(SegmentOffset::End), _) => true,
            (from, to) => from.is_some() && from == to,
        };
        wanted.retain(|id| !is_empty(id));
        let mut ranges = Vec::new();
        for (id, info) in self.tails(wanted).await? {
            let range = self.range_of(id, from.position(id), to.position(id), &info)?;
            ranges.extend(Some(range).filter(|range| !range.is_empty()));
        }
        Ok(ranges)
    }

    /// The segments between two cuts, those of the cuts included.
    async fn between(
        &self,
        from: &CheckedCut,
        to: &CheckedCut,
    ) -> Result<BTreeSet<SegmentId>, ReadError> {
        let cut = |cut: &CheckedCut| {
            BoundedCut::new(self.stream.clone(), cut.first()).map_err(|error| {
                ReadError::new(ErrorKind::InvalidStreamCut, error).with_stream(&self.stream)
            })
        };
        let from = cut(from)?;
        if to.is_empty() {
            return self.between_end(&from).await;
        }
        let range = CutRange::new(from, cut(to)?);
        let mut lag = self.context.lag();
        loop {
            let mut between = self.ids_between(&range).await?;
            // An instance that does not know the end yet may leave out what comes before it, too.
            let knows_end = to.first().all(|(id, _)| between.contains(&id));
            if knows_end || !lag.wait().await {
                between.extend(to.positions().keys().copied());
                return Ok(between);
            }
        }
    }

    /// The segments between a cut and the end of a sealed stream, which has no tail: its segments
    /// have ends.
    async fn between_end(&self, from: &BoundedCut) -> Result<BTreeSet<SegmentId>, ReadError> {
        let mut lag = self.context.lag();
        while !self.config.reader.bugs.has(SeededBug::MixesInstances) {
            let found = self.context.controller().final_segments_after(from).await;
            if let Some(found) = found.map_err(|error| self.unknown_between(error))? {
                return Ok(found.iter().map(ScopedSegment::id).collect());
            }
            if !lag.wait().await {
                break;
            }
        }
        self.ids_between(&CutRange::new(from.clone(), StreamCut::Unbounded)).await
    }

    async fn ids_between(&self, range: &CutRange) -> Result<BTreeSet<SegmentId>, ReadError> {
        let found = self.context.controller().segments_between(&self.stream, range).await;
        let found = found.map_err(|error| self.unknown_between(error))?;
        Ok(found.iter().map(ScopedSegment::id).collect())
    }

    fn unknown_between(&self, error: ControllerError) -> ReadError {
        let detail = "the segments between the cuts cannot be found";
        ReadError::from_controller(error, detail, &self.stream)
    }

    /// The part of a segment between two cuts, which may name it or not.
    fn range_of(
        &self,
        id: SegmentId,
        from: Option<SegmentOffset>,
        to: Option<SegmentOffset>,
        info: &StreamSegmentInfo,
    ) -> Result<SegmentRange, ReadError> {
        let (head, length) = (Offset(info.start_offset), Offset(info.write_offset));
        let start = from.and_then(SegmentOffset::offset).unwrap_or(Offset(0));
        let end = to.and_then(SegmentOffset::offset).unwrap_or(length);
        let refuse = |kind, offset, detail: fmt::Arguments<'_>| {
            let error = ReadError::new(kind, detail).with_offset(offset);
            Err(error.with_stream(&self.stream).with_segment(id, None, 0))
        };
        if let Some(beyond) = [start, end].into_iter().find(|offset| *offset > length) {
            let detail = format_args!("the segment has only {length} bytes");
            return refuse(ErrorKind::InvalidStreamCut, beyond, detail);
        }
        let is_believed = from.is_some()
            && to.is_some()
            && self.config.reader.bugs.has(SeededBug::CountsTruncated);
        if start < head && start < end && !is_believed {
            let detail = format_args!("the segment was truncated up to {head}");
            return refuse(ErrorKind::Truncated, start, detail);
        }
        SegmentRange::new(ScopedSegment::new(&self.stream, id), start, end).map_err(|_| {
            let detail = format_args!("the start, {start}, is after the end, {end}");
            ReadError::invalid(detail).with_stream(&self.stream).with_segment(id, None, 0)
        })
    }

    /// How many bytes lie between two cuts, headers of events included.
    ///
    /// # Errors
    ///
    /// As [`Self::ranges`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn distance(&self, from: &StreamCut, to: &StreamCut) -> Result<u64, ReadError> {
        Ok(self.ranges(from, to).await?.iter().map(SegmentRange::len).sum())
    }

    /// The cut that is about `bytes` bytes further on than `cut`, spread over its segments, each
    /// ending with an event. Less where a segment ends; a cut is never moved through more than the
    /// beginning of the segments that follow. The same cut again is the tail.
    ///
    /// The server cannot tell where an event begins, so the headers of the events between the two
    /// are read, for which most of the bytes travel.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: [`InvalidStreamCut`](ErrorKind::InvalidStreamCut) for a cut of another stream
    /// or one after its tail, [`InvalidArgument`](ErrorKind::InvalidArgument) for no bytes,
    /// [`Truncated`](ErrorKind::Truncated) if the stream begins after the cut,
    /// [`Corrupt`](ErrorKind::Corrupt) for bytes that are not a valid event, and otherwise the kind
    /// of the server's failure.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn next_cut(&self, cut: &BoundedCut, bytes: u64) -> Result<BoundedCut, ReadError> {
        if bytes == 0 {
            return Err(ReadError::invalid("the next cut must be at least a byte further on")
                .with_stream(&self.stream));
        }
        Cuts::new(&self.context, &self.stream).check(cut).await?;
        let mut positions: BTreeMap<SegmentId, i64> =
            cut.positions().map(|(id, offset)| (id, offset.to_wire())).collect();
        let mut tails = self.tails(positions.keys().copied()).await?;
        for (id, offset) in &mut positions {
            let Some(info) = tails.get(id) else { continue };
            if *offset < 0 {
                *offset = info.write_offset;
            }
            let (kind, detail) = match *offset {
                offset if offset < info.start_offset => {
                    let head = info.start_offset;
                    (ErrorKind::Truncated, format!("the segment was truncated up to {head}"))
                }
                offset if offset > info.write_offset => (
                    ErrorKind::InvalidStreamCut,
                    format!("the segment has only {} bytes", info.write_offset),
                ),
                _ => continue,
            };
            return Err(ReadError::new(kind, detail)
                .with_offset(Offset(*offset))
                .with_stream(&self.stream)
                .with_segment(*id, None, 0));
        }
        // Nothing is left before a scale: the segments after it take over, and may be read.
        if self.pass_ended(&mut positions, &tails).await? {
            let new: Vec<SegmentId> =
                positions.keys().copied().filter(|id| !tails.contains_key(id)).collect();
            tails.extend(self.tails(new).await?);
        }
        let left = |id: &SegmentId, offset: i64| {
            tails.get(id).map_or(0, |info| info.write_offset - offset)
        };
        let active = positions.iter().filter(|(id, offset)| left(id, **offset) > 0).count() as u64;
        let share = i64::try_from(bytes.div_ceil(active.max(1))).unwrap_or(i64::MAX);
        for (id, offset) in &mut positions {
            let there = left(id, *offset);
            if there > 0 {
                let end = *offset + there;
                *offset = if share >= there {
                    end
                } else {
                    self.boundary(*id, *offset, *offset + share, end).await?
                };
            }
        }
        make_cut(&self.stream, positions.into_iter().map(|(id, offset)| (id, Offset(offset))))
    }

    /// Reads the events of a range, and nothing after it.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for a range of
    /// another stream, and [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime. If data was
    /// truncated or deleted since, the reader returns the error.
    pub fn read<C: Codec>(
        &self,
        range: &SegmentRange,
        codec: C,
    ) -> Result<EventReader<C>, ReadError> {
        self.read_with(range, codec, self.config.reader.clone())
    }

    /// As [`Self::read`], with settings of its own; start and end are those of the range.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn read_with<C: Codec>(
        &self,
        range: &SegmentRange,
        codec: C,
        config: ReaderConfig,
    ) -> Result<EventReader<C>, ReadError> {
        runtime()?;
        self.check_segment(range.segment())?;
        let id = range.segment().id();
        let starts = vec![Start::new(id, StartOffset::Claimed(range.start()))];
        let ends = Some([(id, range.end().into())].into());
        let (context, bounds) = (self.context.clone(), Bounds { starts, ends });
        EventReader::with_bounds(context, &self.stream, codec, &config, bounds)
    }

    /// Reads one event by its address.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: [`InvalidArgument`](ErrorKind::InvalidArgument) for an event of another
    /// stream, or one after the end of its segment, [`Truncated`](ErrorKind::Truncated) if it is
    /// gone, [`NotFound`](ErrorKind::NotFound) if its stream is,
    /// [`Corrupt`](ErrorKind::Corrupt) if there is no event of that length or the codec refuses it,
    /// and otherwise that of the server that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn fetch<C: Codec>(
        &self,
        pointer: &EventPointer,
        codec: &C,
    ) -> Result<C::Event, ReadError> {
        let segment = pointer.segment();
        self.check_segment(segment)?;
        let fail = |kind, detail: &str| {
            ReadError::new(kind, detail)
                .with_offset(pointer.offset())
                .with_stream(&self.stream)
                .with_segment(segment.id(), None, 0)
        };
        // A read after the end would wait until something is written there.
        let info = self.info(segment).await?;
        let end = pointer.offset().0.saturating_add(i64::from(pointer.length()));
        if end > info.write_offset {
            return Err(fail(
                ErrorKind::InvalidArgument,
                "the event's address is after the end of its segment",
            ));
        }
        let mut bytes = BytesMut::new();
        let mut offset = pointer.offset().0;
        while offset < end {
            let data = self.read_at(segment, offset, end).await?;
            offset += data.len() as i64;
            bytes.extend_from_slice(&data);
        }
        let payload_len =
            usize::try_from(pointer.length()).unwrap_or(0).saturating_sub(EVENT_HEADER_LEN);
        match event::parse_header(&bytes, payload_len) {
            Ok(len) if len == payload_len => {}
            _ => return Err(fail(ErrorKind::Corrupt, "there is no event of that length")),
        }
        bytes.advance(EVENT_HEADER_LEN);
        codec.decode(bytes.freeze()).map_err(|error| {
            fail(ErrorKind::Corrupt, "the event cannot be decoded")
                .with_source(Some(Arc::new(error)))
        })
    }

    async fn tails(
        &self,
        segments: impl IntoIterator<Item = SegmentId>,
    ) -> Result<BTreeMap<SegmentId, StreamSegmentInfo>, ReadError> {
        match segment_tails(&self.context, &self.stream, segments).await {
            Ok(tails) => Ok(tails.into_iter().collect()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn info(&self, segment: &ScopedSegment) -> Result<StreamSegmentInfo, ReadError> {
        match self.context.inspect(segment).await {
            Ok(info) => Ok(info),
            Err(error) => {
                let error = error.into_read(segment, "the segment's length cannot be found");
                Err(self.explain(error).await)
            }
        }
    }

    /// A segment that does not exist anymore was truncated away, or deleted with its stream.
    async fn explain(&self, error: ReadError) -> ReadError {
        match error.kind() {
            ErrorKind::NotFound => explain_missing(&self.context, error).await,
            _ => error,
        }
    }

    fn check_segment(&self, segment: &ScopedSegment) -> Result<(), ReadError> {
        if segment.scoped_stream() == self.stream {
            return Ok(());
        }
        let detail = format_args!("{segment} is a segment of another stream");
        Err(ReadError::invalid(detail).with_stream(&self.stream))
    }

    /// Puts successors in the place of segments that were read to their sealed ends, where all
    /// their predecessors were; answers whether it did.
    async fn pass_ended(
        &self,
        positions: &mut BTreeMap<SegmentId, i64>,
        tails: &BTreeMap<SegmentId, StreamSegmentInfo>,
    ) -> Result<bool, ReadError> {
        let has_ended = |id: &SegmentId, offset: i64| {
            tails.get(id).is_some_and(|info| info.is_sealed && offset >= info.write_offset)
        };
        let ended: Vec<SegmentId> = positions
            .iter()
            .filter(|(id, offset)| has_ended(id, **offset))
            .map(|(id, _)| *id)
            .collect();
        let mut all = Vec::new();
        for id in &ended {
            all.push((*id, self.successors(*id).await?));
        }
        // A predecessor that is not in the cut lies before it.
        let waits = |next: &Successor| {
            next.predecessors
                .iter()
                .any(|before| positions.contains_key(before) && !ended.contains(before))
        };
        let free: Vec<SegmentId> = all
            .iter()
            .filter(|(_, successors)| !successors.iter().any(waits))
            .flat_map(|(_, successors)| successors.iter().map(|next| next.id))
            .collect();
        for id in &free {
            positions.entry(*id).or_insert(0);
        }
        // A segment leaves the cut when all its successors are in it; others wait at their ends
        // for their neighbours.
        for (id, successors) in all {
            if !successors.is_empty()
                && successors.iter().all(|next| positions.contains_key(&next.id))
            {
                positions.remove(&id);
            }
        }
        Ok(!free.is_empty())
    }

    /// The successors of a sealed segment; none if the stream is sealed, or if no instance of the
    /// controller names any in time.
    async fn successors(&self, id: SegmentId) -> Result<Vec<Successor>, ReadError> {
        let (controller, segment) =
            (self.context.controller(), ScopedSegment::new(&self.stream, id));
        let failed = |error| {
            let detail = "the successors of a segment cannot be found";
            ReadError::from_controller(error, detail, &self.stream)
        };
        let mut lag = self.context.lag();
        loop {
            let successors = controller.successors(&segment).await.map_err(failed)?;
            if !successors.is_empty() {
                return Ok(successors);
            }
            // A scale may have ended between the two answers.
            let bugs = self.config.reader.bugs;
            let found = final_successors(&**controller, &segment, bugs).await.map_err(failed)?;
            if let Some(successors) = found {
                return Ok(successors);
            }
            if !lag.wait().await {
                return Ok(Vec::new());
            }
        }
    }

    /// The first end of an event at or after `target`.
    async fn boundary(
        &self,
        id: SegmentId,
        mut offset: i64,
        target: i64,
        end: i64,
    ) -> Result<i64, ReadError> {
        let segment = ScopedSegment::new(&self.stream, id);
        let mut data = Bytes::new();
        while offset < target {
            while data.len() < EVENT_HEADER_LEN {
                let more = self.read_at(&segment, offset + data.len() as i64, end).await?;
                data = if data.is_empty() { more } else { [data, more].concat().into() };
            }
            let limit = usize::try_from(end - offset).unwrap_or(0).saturating_sub(EVENT_HEADER_LEN);
            let len = event::parse_header(&data, limit).map_err(|found| {
                let error = ReadError::new(
                    ErrorKind::Corrupt,
                    format_args!("the bytes are not an event ({found})"),
                );
                error
                    .with_offset(Offset(offset))
                    .with_stream(&self.stream)
                    .with_segment(id, None, 0)
            })?;
            let framed = EVENT_HEADER_LEN + len;
            offset += framed as i64;
            // What is longer than the piece is not read.
            data.advance(framed.min(data.len()));
        }
        Ok(offset)
    }

    /// Some of the bytes between `offset` and `end`, at least one.
    async fn read_at(
        &self,
        segment: &ScopedSegment,
        offset: i64,
        end: i64,
    ) -> Result<Bytes, ReadError> {
        let error = match self.context.read_some(segment, offset, end).await {
            Ok(data) => return Ok(data),
            Err(error) => error,
        };
        if let Some(WireCommand::SegmentIsTruncated(truncated)) = error.reply() {
            let detail = format_args!("the segment was truncated up to {}", truncated.start_offset);
            let error = ReadError::new(ErrorKind::Truncated, detail).with_offset(Offset(offset));
            return Err(error.with_stream(&self.stream).with_segment(segment.id(), None, 0));
        }
        let error = error.into_read(segment, "the segment cannot be read");
        Err(self.explain(error.with_offset(Offset(offset))).await)
    }
}

impl fmt::Debug for BatchClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchClient").field("stream", &self.stream).finish_non_exhaustive()
    }
}
