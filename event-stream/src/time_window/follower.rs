//! Reads the watermarks of a stream as far as a window needs them.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError};
use pravega_sdk_table_synchronizer::{
    Entries, Revision, RevisionedEntry, RevisionedStream, RevisionedStreamConfig,
    RevisionedStreamError,
};
use pravega_sdk_types::{ErrorKind, ScopedStream, Timestamp, Watermark};
use tokio::time::{Instant, timeout};

use super::{machine::WindowMachine, place::ReadPlace, window::TimeWindow};

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
                    let mark = decode(&self.stream, &entry)?;
                    self.last = Some(entry.revision);
                    self.machine.handle_mark(&mark);
                }
                None => self.entries = None,
                Some(Err(error)) => {
                    self.entries = None;
                    // The oldest ones are dropped while they are read.
                    if error.kind() == ErrorKind::Truncated {
                        (self.last, self.looked) = (None, None);
                    } else {
                        return Err(unreadable(&self.stream, error));
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
        let found = match self.find(context).await {
            Ok(found) => found,
            // Streams of older servers have no watermarks.
            Err(error) if self.marks.is_none() && error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&self.stream, error)),
        };
        self.looked = Some(begun);
        self.entries = found;
        Ok(self.entries.is_some())
    }

    async fn find(
        &mut self,
        context: &SegmentContext,
    ) -> Result<Option<Entries>, RevisionedStreamError> {
        let marks = match &mut self.marks {
            Some(marks) => marks,
            none => none.insert(open(context, &self.stream, self.limit).await?),
        };
        entries_after(marks, self.last.as_ref()).await
    }
}

/// Returns the newest watermark of a stream that is not after a time. One is kept in memory at a
/// time. Each request takes at most `limit`.
pub(crate) async fn newest_mark(
    context: &SegmentContext,
    stream: &ScopedStream,
    time: Timestamp,
    limit: Duration,
) -> Result<Option<Watermark>, ReadError> {
    let failed = |error| unreadable(stream, error);
    let marks = match open(context, stream, limit).await {
        Ok(marks) => marks,
        // Streams of older servers have no watermarks.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let (mut newest, mut last) = (None, None);
    loop {
        let found = entries_after(&marks, last.as_ref()).await.map_err(failed)?;
        let Some(mut entries) = found else { continue };
        loop {
            match entries.next().await {
                Some(Ok(entry)) => {
                    let mark = decode(stream, &entry)?;
                    // The lower times rise, the upper ones need not.
                    if mark.lower_time() > time {
                        return Ok(newest);
                    }
                    if mark.upper_time() <= time {
                        newest = Some(mark);
                    }
                    last = Some(entry.revision);
                }
                None => return Ok(newest),
                // The oldest ones are dropped while they are read.
                Some(Err(error)) if error.kind() == ErrorKind::Truncated => break,
                Some(Err(error)) => return Err(failed(error)),
            }
        }
    }
}

async fn open(
    context: &SegmentContext,
    stream: &ScopedStream,
    limit: Duration,
) -> Result<RevisionedStream, RevisionedStreamError> {
    let config = RevisionedStreamConfig::default()
        .with_request_timeout(limit)
        .with_stall_timeout(limit)
        .with_max_buffered_bytes(READ_BUDGET);
    RevisionedStream::open(context.clone(), &stream.watermark_stream(), config).await
}

/// Begins to read the watermarks after the last one, or the oldest one if that is truncated. `None`
/// means that they were truncated just now, and that the next attempt finds the others.
async fn entries_after(
    marks: &RevisionedStream,
    last: Option<&Revision>,
) -> Result<Option<Entries>, RevisionedStreamError> {
    if let Some(last) = last {
        match marks.entries(last).await {
            Err(error) if error.kind() == ErrorKind::Truncated => {}
            read => return read.map(Some),
        }
    }
    let oldest = marks.oldest_revision().await?;
    match marks.entries(&oldest).await {
        Err(error) if error.kind() == ErrorKind::Truncated => Ok(None),
        read => read.map(Some),
    }
}

fn decode(stream: &ScopedStream, entry: &RevisionedEntry) -> Result<Watermark, ReadError> {
    Watermark::from_bytes(&entry.value).map_err(|error| {
        let detail =
            format_args!("an entry of the stream's watermarks is not a watermark: {error}");
        let error = ReadError::new(ErrorKind::Corrupt, detail).with_stream(stream);
        error.with_offset(entry.start)
    })
}

fn unreadable(stream: &ScopedStream, error: RevisionedStreamError) -> ReadError {
    let detail = "the stream's watermarks cannot be read";
    let failed = ReadError::new(error.kind(), detail).with_stream(stream);
    failed.with_source(Some(Arc::new(error)))
}

impl fmt::Debug for MarkFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkFollower").field("machine", &self.machine).finish_non_exhaustive()
    }
}
