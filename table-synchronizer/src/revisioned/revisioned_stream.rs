//! The handle of a revisioned stream.

use bytes::Bytes;
use pravega_sdk_segment_client::{
    append::{Key, Payload, Pinned, Write},
    context::SegmentContext,
    runtime::runtime,
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream};
use pravega_sdk_wire_protocol::event::EVENT_HEADER_LEN;

use super::{
    config::RevisionedStreamConfig, driver::Driver, entries::Entries, error::RevisionedStreamError,
    machine::MAX_ENTRY_LEN, revision::Revision,
};

/// A log that clients extend only if they know all of it.
///
/// Each entry has a [`Revision`], and [`write_at`](Self::write_at) succeeds only if the given one
/// is the latest. So entries that are written in this way are in an order on which all writers
/// agree. The layout is that of Java's `RevisionedStreamClient`, and clients of both languages can
/// share a stream. It should have one segment, no retention and no scaling, and no other use.
///
/// Clones are cheap and append through the same task, in order.
///
/// | limit | value | source |
/// |---|---|---|
/// | value that is written | 8 MiB | Java's client |
/// | value that is read | 16 MiB, less the header of a command | protocol |
/// | segments | 1 | this client; Java's uses the first of several |
///
/// # Examples
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use pravega_sdk_segment_client::context::SegmentContext;
/// use pravega_sdk_table_synchronizer::{RevisionedStream, RevisionedStreamConfig};
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let name = "shop/prices".parse()?;
/// let prices =
///     RevisionedStream::open(context, &name, RevisionedStreamConfig::default()).await?;
/// // Fails with the kind `ConditionFailed` if another client has written meanwhile.
/// let latest = prices.latest_revision().await?;
/// let revision = prices.write_at(&latest, "apples 3").await?;
/// prices.write_at(&revision, "pears 4").await?;
///
/// let mut entries = prices.entries(&latest).await?;
/// while let Some(entry) = entries.try_next().await? {
///     println!("{}: {:?}", entry.revision, entry.value);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RevisionedStream {
    driver: Driver,
}

impl RevisionedStream {
    /// Opens a stream, with a task on the caller's runtime that appends to it.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such
    /// stream, [`Sealed`](ErrorKind::Sealed) if it takes no entries,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it has several segments,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime, and otherwise that of the
    /// controller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: RevisionedStreamConfig,
    ) -> Result<Self, RevisionedStreamError> {
        let opened = async {
            runtime()?;
            Driver::open(context, stream, config).await
        };
        match opened.await {
            Ok(driver) => Ok(Self { driver }),
            Err(error) => Err(error.of("opening").with_stream(stream)),
        }
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> ScopedStream {
        self.driver.segment().scoped_stream()
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        self.driver.segment()
    }

    /// Returns the revision of the last entry, or the oldest one if there is none.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`] if the stream was deleted, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn latest_revision(&self) -> Result<Revision, RevisionedStreamError> {
        let info = self.driver.info().await.map_err(|error| self.named("inspecting", error))?;
        Ok(self.revision(Offset(info.write_offset)))
    }

    /// Returns the revision before the first entry that is not truncated.
    ///
    /// # Errors
    ///
    /// As [`Self::latest_revision`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn oldest_revision(&self) -> Result<Revision, RevisionedStreamError> {
        let info = self.driver.info().await.map_err(|error| self.named("inspecting", error))?;
        Ok(self.revision(Offset(info.start_offset)))
    }

    /// Writes an entry if `latest` is the revision of the last one, and returns the revision of the
    /// new entry. An index within an entry has no meaning here.
    ///
    /// After a lost connection the writer's number on the segment shows if the entry is stored. It
    /// does not if the entry was refused when it was sent again and the stream was not known to be
    /// as long as `latest` before: the outcome is [`Unknown`](Outcome::Unknown) then, and the
    /// entry at `latest`, if it has another value, proves that this one is not stored.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`], whose outcome is that of the entry. The kind is
    /// [`ConditionFailed`](ErrorKind::ConditionFailed) if there is an entry after `latest`, and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the value is longer than
    /// [`MAX_ENTRY_LEN`] or the revision is of another segment.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entry may or may not be written.
    pub async fn write_at(
        &self,
        latest: &Revision,
        value: impl Into<Bytes>,
    ) -> Result<Revision, RevisionedStreamError> {
        let written = self.write_bytes_at(latest, value.into()).await;
        written.map_err(|error| self.named("writing to", error.of_condition()))
    }

    async fn write_bytes_at(
        &self,
        latest: &Revision,
        value: Bytes,
    ) -> Result<Revision, RevisionedStreamError> {
        self.check_segment(latest)?;
        check_len(&value)?;
        let (offset, len) = (latest.offset(), EVENT_HEADER_LEN + value.len());
        let segment = self.driver.segment().id();
        let payload = Pinned::Event(value);
        self.driver.append(Write::Pinned { position: None, segment, offset, payload }).await?;
        Ok(self.revision(Offset(offset.0.saturating_add(len as i64))))
    }

    /// Writes an entry after all others, and returns its revision.
    ///
    /// `None` means that the entry is stored at an unknown place: its acknowledgement was lost with
    /// a connection, or one acknowledgement was for several entries.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`], whose outcome is that of the entry.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entry may or may not be written.
    pub async fn write(
        &self,
        value: impl Into<Bytes>,
    ) -> Result<Option<Revision>, RevisionedStreamError> {
        let written = self.write_bytes(value.into()).await;
        written.map_err(|error| self.named("writing to", error))
    }

    async fn write_bytes(&self, value: Bytes) -> Result<Option<Revision>, RevisionedStreamError> {
        check_len(&value)?;
        let (key, payload) = (Key::Hashed(0.0), Payload::Event(value));
        let appended = self.driver.append(Write::Routed { key, payload }).await?;
        Ok(appended.tail().map(|tail| self.revision(tail.offset())))
    }

    /// Reads the entries after `from`, up to the last one that the stream has now.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`]: its kind is [`Truncated`](ErrorKind::Truncated) if `from` is
    /// before the oldest revision, [`InvalidArgument`](ErrorKind::InvalidArgument) if it is after
    /// the latest one or of another segment, [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio
    /// runtime, and otherwise that of the request which failed. The stream has the errors of what
    /// is read later, among them truncations while it is read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn entries(&self, from: &Revision) -> Result<Entries, RevisionedStreamError> {
        self.open_entries(from, Until::Now).await.map_err(|error| self.named("reading", error))
    }

    /// Reads the entries between two revisions.
    ///
    /// # Errors
    ///
    /// As [`Self::entries`], and of the kind [`InvalidArgument`](ErrorKind::InvalidArgument) if
    /// `to` is before `from` or after the latest revision.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn entries_between(
        &self,
        from: &Revision,
        to: &Revision,
    ) -> Result<Entries, RevisionedStreamError> {
        let opened = self.open_entries(from, Until::Revision(to)).await;
        opened.map_err(|error| self.named("reading", error))
    }

    /// Reads the entries after `from`, and then each new one when it is written. The stream ends
    /// when the revisioned stream is sealed.
    ///
    /// # Errors
    ///
    /// As [`Self::entries`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn follow(&self, from: &Revision) -> Result<Entries, RevisionedStreamError> {
        self.open_entries(from, Until::Sealed).await.map_err(|error| self.named("reading", error))
    }

    async fn open_entries(
        &self,
        from: &Revision,
        until: Until<'_>,
    ) -> Result<Entries, RevisionedStreamError> {
        self.check_segment(from)?;
        let info = self.driver.info().await?;
        let (head, end) = (info.start_offset, info.write_offset);
        let offset = from.offset();
        if offset.0 < head {
            let detail = format_args!("the entries before {head} are truncated");
            let not_applied = Outcome::NotApplied;
            let error = RevisionedStreamError::new(ErrorKind::Truncated, not_applied, detail);
            return Err(error.at(offset));
        }
        let until = match until {
            Until::Now => Some(Offset(end)),
            Until::Revision(to) => {
                self.check_segment(to)?;
                Some(to.offset())
            }
            Until::Sealed => None,
        };
        let last = until.unwrap_or(Offset(end));
        if last.0 > end || offset > last {
            return Err(RevisionedStreamError::invalid(format_args!(
                "the entries from {offset} to {last} are not in the stream, which ends at {end}"
            )));
        }
        Entries::new(&self.driver, offset, until)
    }

    /// Returns the mark: a revision that clients agree on as a place to begin, such as that of the
    /// last compaction. `None` means that no mark is set.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`] if the stream was deleted, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn mark(&self) -> Result<Option<Revision>, RevisionedStreamError> {
        let mark = self.driver.mark().await.map_err(|error| self.named("reading", error))?;
        Ok(mark.map(|offset| self.revision(offset)))
    }

    /// Sets the mark, or removes it with `None`, if the present one is the expected one. Only the
    /// offsets of revisions are compared and kept.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`]: its kind is [`ConditionFailed`](ErrorKind::ConditionFailed) if
    /// the mark is another one. After a lost reply the outcome is [`Unknown`](Outcome::Unknown),
    /// and [`Self::mark`] shows the present mark.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the mark may or may not be set.
    pub async fn set_mark(
        &self,
        expected: Option<&Revision>,
        mark: Option<&Revision>,
    ) -> Result<(), RevisionedStreamError> {
        let set = async {
            for revision in [expected, mark].into_iter().flatten() {
                self.check_segment(revision)?;
            }
            self.driver.set_mark(expected.map(Revision::offset), mark.map(Revision::offset)).await
        };
        match set.await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let (kind, not_applied) = (ErrorKind::ConditionFailed, Outcome::NotApplied);
                let detail = "the stream has another mark than the expected one";
                let error = RevisionedStreamError::new(kind, not_applied, detail);
                Err(self.named("marking", error))
            }
            Err(error) => Err(self.named("marking", error)),
        }
    }

    /// Drops all entries before `oldest`. Readings that have not read them fail with the kind
    /// [`Truncated`](ErrorKind::Truncated). Entries that are dropped already are no failure.
    ///
    /// # Errors
    ///
    /// [`RevisionedStreamError`]: its kind is [`InvalidArgument`](ErrorKind::InvalidArgument) if
    /// `oldest` is after the latest revision or of another segment.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entries may or may not be dropped.
    pub async fn truncate(&self, oldest: &Revision) -> Result<(), RevisionedStreamError> {
        let truncated = async {
            self.check_segment(oldest)?;
            self.driver.truncate(oldest.offset()).await
        };
        truncated.await.map_err(|error| self.named("truncating", error))
    }

    /// A place of this stream.
    pub(crate) fn revision(&self, offset: Offset) -> Revision {
        Revision::new(self.driver.segment(), offset, 0)
    }

    fn named(
        &self,
        operation: &'static str,
        error: RevisionedStreamError,
    ) -> RevisionedStreamError {
        self.driver.name(operation, error)
    }

    fn check_segment(&self, revision: &Revision) -> Result<(), RevisionedStreamError> {
        if *revision.segment() == **self.driver.segment() {
            return Ok(());
        }
        let segment = revision.segment();
        Err(RevisionedStreamError::invalid(format_args!(
            "the revision is one of {segment}, which is another segment"
        )))
    }
}

/// The end of a reading.
enum Until<'r> {
    /// The end of the stream at the time of the call.
    Now,
    Revision(&'r Revision),
    Sealed,
}

fn check_len(value: &Bytes) -> Result<(), RevisionedStreamError> {
    if value.len() <= MAX_ENTRY_LEN {
        return Ok(());
    }
    Err(RevisionedStreamError::invalid(format_args!(
        "a value has {} bytes, and an entry takes at most {MAX_ENTRY_LEN}",
        value.len()
    )))
}
