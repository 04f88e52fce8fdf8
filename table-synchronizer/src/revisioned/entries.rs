//! The entries of a revisioned stream, as a stream.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use pravega_sdk_segment_client::read::{driver::ReadDriver, machine::Driven as _};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment};

use super::{
    driver::Driver,
    error::RevisionedStreamError,
    machine::{EntriesMachine, Found},
    revision::Revision,
};

/// An entry of a revisioned stream.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevisionedEntry {
    /// The revision of the entry: the place after it.
    pub revision: Revision,
    /// The offset at which the entry begins, which is the revision that it was written at.
    pub start: Offset,
    /// The value.
    pub value: Bytes,
}

impl fmt::Debug for RevisionedEntry {
    /// Shows the length of the value, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevisionedEntry({} bytes, revision {})", self.value.len(), self.revision)
    }
}

/// Entries of a revisioned stream, in order. Nothing follows an error: reading can be begun again
/// after the last entry.
///
/// The next entries are read ahead, within the budget of the
/// [configuration](super::RevisionedStreamConfig::with_max_buffered_bytes).
///
/// # Cancel safety
///
/// Dropping a future that waits for the next entry loses nothing: the requests in flight stay with
/// the stream.
#[must_use = "entries are not read until the stream is polled"]
pub struct Entries {
    machine: EntriesMachine,
    driver: ReadDriver<Infallible>,
    segment: Arc<ScopedSegment>,
}

impl Entries {
    /// Begins to read at an offset, up to `end` if there is one.
    pub(super) fn new(
        driver: &Driver,
        from: Offset,
        end: Option<Offset>,
    ) -> Result<Self, RevisionedStreamError> {
        let (reads, random) = driver.read_parts()?;
        let segment = Arc::clone(driver.segment());
        let settings = driver.config().read_settings();
        let machine = EntriesMachine::new(&segment, from, end, settings, random);
        Ok(Self { machine, driver: reads, segment })
    }

    fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Option<Found>> {
        loop {
            // Requests are sent even if entries are ready: the next read is always in flight.
            let mut is_busy = self.driver.carry_out(&mut self.machine);
            if let Some(found) = self.machine.poll_found() {
                if is_busy {
                    self.driver.poll_reads(&mut self.machine, cx);
                }
                return Poll::Ready(Some(found));
            }
            if self.machine.is_done() {
                return Poll::Ready(None);
            }
            if let Some(ended) = self.driver.ended() {
                self.machine.give_up();
                return Poll::Ready(Some(Found::Unreadable(ended)));
            }
            // A delivery that held no whole entry may allow the next read.
            is_busy |= self.machine.has_reads();
            is_busy |= self.driver.poll_reads(&mut self.machine, cx);
            is_busy |= self.driver.poll_timeouts(&mut self.machine, cx);
            if !is_busy {
                return Poll::Pending;
            }
        }
    }

    fn error(&self, found: Found) -> RevisionedStreamError {
        let fail =
            |kind, detail: &str| RevisionedStreamError::new(kind, Outcome::NotApplied, detail);
        match found {
            Found::Truncated { asked, head } => {
                let detail = format!("the entries before {head} are truncated");
                fail(ErrorKind::Truncated, &detail).at(asked)
            }
            Found::Corrupt { offset, detail } => fail(ErrorKind::Corrupt, &detail).at(offset),
            Found::Missing(detail) => fail(ErrorKind::NotFound, detail),
            Found::Unreadable(error) => error.into(),
            Found::Entry { .. } | Found::End => {
                fail(ErrorKind::Protocol, "the entries ended without a reason")
            }
        }
    }
}

impl Stream for Entries {
    type Item = Result<RevisionedEntry, RevisionedStreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_found(cx)) {
            Some(Found::Entry { start, end, value }) => {
                let revision = Revision::new(&self.segment, end, 0);
                Poll::Ready(Some(Ok(RevisionedEntry { revision, start, value })))
            }
            Some(Found::End) | None => Poll::Ready(None),
            Some(failed) => {
                let error =
                    self.error(failed).of("reading").with_stream(&self.segment.scoped_stream());
                let error = error.map(|failure| failure.with_segment(self.segment.id()));
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("segment", &self.segment).finish_non_exhaustive()
    }
}
