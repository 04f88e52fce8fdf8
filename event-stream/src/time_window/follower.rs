//! Reads the watermarks of a stream as far as a window needs them.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError};
use pravega_sdk_table_synchronizer::{
    Entries, Revision, RevisionedStream, RevisionedStreamConfig, RevisionedStreamError,
};
use pravega_sdk_types::{ErrorKind, ScopedStream, Watermark};
use tokio::time::{Instant, timeout};

use super::{
    machine::{ReadPlace, WindowMachine},
    window::TimeWindow,
};

/// The time between two looks for newer watermarks. The controller makes one every 10 s.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of watermarks that are read ahead.
const READ_BUDGET: usize = 256 * 1024;

/// Follows the watermarks of a stream.
pub(crate) struct MarkFollower {
    stream: ScopedStream,
    /// What a call takes at most.
    limit: Duration,
    machine: WindowMachine,
    marks: Option<RevisionedStream>,
    /// The last watermark that was read.
    last: Option<Revision>,
    /// Those that are being read.
    entries: Option<Entries>,
    looked: Option<Instant>,
}

impl MarkFollower {
    pub(crate) fn new(stream: &ScopedStream, limit: Duration) -> Self {
        Self {
            stream: stream.clone(),
            limit,
            machine: WindowMachine::default(),
            marks: None,
            last: None,
            entries: None,
            looked: None,
        }
    }

    /// Returns the window of these places, one for each segment that is not read to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no watermark.
    pub(crate) async fn window(
        &mut self,
        context: &SegmentContext,
        places: Vec<ReadPlace>,
    ) -> Result<TimeWindow, ReadError> {
        self.machine.handle_places(places);
        let limit = self.limit;
        match timeout(limit, self.follow(context)).await {
            Ok(followed) => followed.map(|()| self.machine.window()),
            Err(_) => {
                let detail = format_args!("the watermarks were not read within {limit:?}");
                Err(ReadError::new(ErrorKind::Timeout, detail).with_stream(&self.stream))
            }
        }
    }

    async fn follow(&mut self, context: &SegmentContext) -> Result<(), ReadError> {
        while self.machine.needs_mark() {
            if self.entries.is_none() && !self.look(context).await? {
                return Ok(());
            }
            let Some(entries) = &mut self.entries else { return Ok(()) };
            match entries.next().await {
                Some(Ok(entry)) => {
                    let mark = Watermark::from_bytes(&entry.value);
                    let mark = mark.map_err(|error| {
                        not_a_watermark(&self.stream, &error).with_offset(entry.start)
                    })?;
                    self.last = Some(entry.revision);
                    self.machine.handle_mark(mark);
                }
                None => self.entries = None,
                Some(Err(error)) => {
                    self.entries = None;
                    // The oldest ones are dropped while they are read.
                    if error.kind() == ErrorKind::Truncated {
                        (self.last, self.looked) = (None, None);
                    } else {
                        return Err(self.failed(error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins to read the watermarks that are new. Returns false if there are none, or it was
    /// tried just now.
    async fn look(&mut self, context: &SegmentContext) -> Result<bool, ReadError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return Ok(false);
        }
        let begun = Instant::now();
        let found = match self.open(context).await {
            Ok(found) => found,
            // Streams of older servers have no watermarks.
            Err(error) if self.marks.is_none() && error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(self.failed(error)),
        };
        self.looked = Some(begun);
        self.entries = found;
        Ok(self.entries.is_some())
    }

    async fn open(
        &mut self,
        context: &SegmentContext,
    ) -> Result<Option<Entries>, RevisionedStreamError> {
        let marks = match &mut self.marks {
            Some(marks) => marks,
            none => {
                let config = RevisionedStreamConfig::default()
                    .with_request_timeout(self.limit)
                    .with_stall_timeout(self.limit)
                    .with_max_buffered_bytes(READ_BUDGET);
                let stream = self.stream.watermark_stream();
                let marks = RevisionedStream::open(context.clone(), &stream, config).await?;
                none.insert(marks)
            }
        };
        if let Some(last) = &self.last {
            match marks.entries(last).await {
                Err(error) if error.kind() == ErrorKind::Truncated => {}
                read => return read.map(Some),
            }
        }
        let oldest = marks.oldest_revision().await?;
        match marks.entries(&oldest).await {
            // They are dropped just now: the next look finds the others.
            Err(error) if error.kind() == ErrorKind::Truncated => Ok(None),
            read => read.map(Some),
        }
    }

    fn failed(&self, error: RevisionedStreamError) -> ReadError {
        let detail = "the stream's watermarks cannot be read";
        let failed = ReadError::new(error.kind(), detail).with_stream(&self.stream);
        failed.with_source(Some(Arc::new(error)))
    }
}

/// The error of an entry among the watermarks of a stream that is none.
pub(crate) fn not_a_watermark(stream: &ScopedStream, error: &dyn fmt::Display) -> ReadError {
    let detail = format_args!("an entry of the stream's watermarks is not a watermark: {error}");
    ReadError::new(ErrorKind::Corrupt, detail).with_stream(stream)
}

impl fmt::Debug for MarkFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkFollower").field("machine", &self.machine).finish_non_exhaustive()
    }
}
