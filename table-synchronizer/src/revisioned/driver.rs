//! Requests about the segment of a revisioned stream, and its appends.

use std::{convert::Infallible, sync::Arc};

use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_segment_client::{
    append::{Appended, Handle, Target, Write},
    context::SegmentContext,
    machine::Random,
    read::driver::ReadDriver,
    request::{AskError, Repeats, Terms},
    runtime::{random_bits, rng},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{
    ErrorKind, KeyRange, Offset, Outcome, ScopedSegment, ScopedStream, SegmentMap, routing,
};
use pravega_sdk_wire_protocol::{
    Request, WireCommand,
    commands::{
        GetSegmentAttribute, GetStreamSegmentInfo, StreamSegmentInfo, TruncateSegment,
        UpdateSegmentAttribute,
    },
};

use super::{config::RevisionedStreamConfig, error::RevisionedStreamError};

/// The attribute in which Java's client keeps the mark.
const MARK: &str = "RevisionStreamClientMark";
/// The value of an attribute that a segment does not have.
const ABSENT: i64 = i64::MIN;

/// Sends requests about one segment, and appends to it.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    context: SegmentContext,
    segment: Arc<ScopedSegment>,
    config: RevisionedStreamConfig,
    handle: Handle,
}

impl Driver {
    /// Finds the segment of a stream, and starts the task that appends to it.
    pub(super) async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: RevisionedStreamConfig,
    ) -> Result<Self, RevisionedStreamError> {
        let segments = context.controller().current_segments(stream).await;
        let segments = segments.map_err(RevisionedStreamError::from_controller)?;
        let segment = match segments.as_slice() {
            [segment] => ScopedSegment::new(stream, segment.id),
            [] => {
                let detail = "the stream is sealed";
                let not_applied = Outcome::NotApplied;
                return Err(RevisionedStreamError::new(ErrorKind::Sealed, not_applied, detail));
            }
            several => {
                return Err(RevisionedStreamError::invalid(format_args!(
                    "a revisioned stream has one segment, this stream has {}",
                    several.len()
                )));
            }
        };
        let id = segment.id();
        let map = SegmentMap::new(KeyRange::equal(1).into_iter().map(|range| (id, range)));
        let handle = Handle::open(context.clone(), stream, Target::Segment, map, &config.append)?;
        Ok(Self { context, segment: Arc::new(segment), config, handle })
    }

    pub(super) fn segment(&self) -> &Arc<ScopedSegment> {
        &self.segment
    }

    pub(super) fn config(&self) -> &RevisionedStreamConfig {
        &self.config
    }

    /// Names the call and the stream in an error.
    pub(super) fn name(
        &self,
        operation: &'static str,
        error: RevisionedStreamError,
    ) -> RevisionedStreamError {
        let error = error.of(operation).with_stream(&self.segment.scoped_stream());
        error.map(|failure| failure.with_segment(self.segment.id()))
    }

    /// Returns a driver of reads on the caller's runtime, and random bits for its machine.
    pub(super) fn read_parts(
        &self,
    ) -> Result<(ReadDriver<Infallible>, Random), RevisionedStreamError> {
        let driver = ReadDriver::new(self.context.clone(), Bugs::default())?;
        Ok((driver, random_bits(rng(None))))
    }

    /// Appends, and waits for the acknowledgement.
    pub(super) async fn append(&self, write: Write) -> Result<Appended, RevisionedStreamError> {
        let ack = {
            let capacity = self.handle.reserve(write.framed_len()).await?;
            self.handle.send(capacity, write)?
        };
        Ok(ack.await?)
    }

    async fn ask<Q: Request>(
        &self,
        access: AccessOperation,
        repeats: Repeats,
        request: impl Fn(&str) -> Q,
    ) -> Result<Q::Reply, AskError> {
        let limit = self.config.request_timeout.unwrap_or_else(|| self.context.ask_limit());
        let terms = Terms::default()
            .with_token(self.segment.scoped_stream(), access)
            .with_repeats(repeats)
            .with_limit(limit);
        self.context.ask_on(&self.segment, &terms, request).await
    }

    /// The length of the segment and its head.
    pub(super) async fn info(&self) -> Result<StreamSegmentInfo, RevisionedStreamError> {
        let asked =
            self.ask(AccessOperation::Read, Repeats::Always, |token| GetStreamSegmentInfo {
                request_id: 0,
                segment_name: self.name_on_wire(),
                delegation_token: token.into(),
            });
        let info = asked.await;
        info.map_err(|error| {
            RevisionedStreamError::from_ask(error).with_outcome(Outcome::NotApplied)
        })
    }

    /// The offset of the mark, if there is one.
    pub(super) async fn mark(&self) -> Result<Option<Offset>, RevisionedStreamError> {
        let asked = self.ask(AccessOperation::Read, Repeats::Always, |token| GetSegmentAttribute {
            request_id: 0,
            segment_name: self.name_on_wire(),
            attribute_id: routing::attribute_id(MARK),
            delegation_token: token.into(),
        });
        let reply = asked.await.map_err(|error| {
            RevisionedStreamError::from_ask(error).with_outcome(Outcome::NotApplied)
        })?;
        match reply.value {
            ABSENT => Ok(None),
            offset @ 0.. => Ok(Some(Offset(offset))),
            other => {
                let detail = format_args!("the mark is {other}, which is no offset");
                Err(RevisionedStreamError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail))
            }
        }
    }

    /// Sets or removes the mark if it is the expected one. Returns false if it is another.
    pub(super) async fn set_mark(
        &self,
        expected: Option<Offset>,
        mark: Option<Offset>,
    ) -> Result<bool, RevisionedStreamError> {
        let value = |offset: Option<Offset>| offset.map_or(ABSENT, |offset| offset.0);
        // It is not sent again after a lost reply: marks may return to an earlier value, so a
        // second attempt could be refused or succeed for the wrong reason.
        let asked = self.ask(AccessOperation::ReadWrite, Repeats::UntilInDoubt, |token| {
            UpdateSegmentAttribute {
                request_id: 0,
                segment_name: self.name_on_wire(),
                attribute_id: routing::attribute_id(MARK),
                new_value: value(mark),
                expected_value: value(expected),
                delegation_token: token.into(),
            }
        });
        Ok(asked.await.map_err(RevisionedStreamError::from_ask)?.success)
    }

    /// Truncates the segment. A head that is at or after the offset stays.
    pub(super) async fn truncate(&self, offset: Offset) -> Result<(), RevisionedStreamError> {
        let asked =
            self.ask(AccessOperation::ReadWrite, Repeats::Always, |token| TruncateSegment {
                request_id: 0,
                segment: self.name_on_wire(),
                truncation_offset: offset.0,
                delegation_token: token.into(),
            });
        match asked.await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.reply(), Some(WireCommand::SegmentIsTruncated(_))) => {
                // The same reply for offsets before the head and after the end.
                let end = self.info().await?.write_offset;
                if offset.0 <= end {
                    return Ok(());
                }
                Err(RevisionedStreamError::invalid(format_args!(
                    "the revision is after the end of the stream, which is {end}"
                ))
                .at(offset))
            }
            Err(error) => Err(RevisionedStreamError::from_ask(error)),
        }
    }

    fn name_on_wire(&self) -> bytestring::ByteString {
        self.segment.to_string().into()
    }
}
