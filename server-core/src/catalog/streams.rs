//! Streams: created, updated, truncated, sealed and deleted.

use pravega_sdk_proto::{
    ScalingPolicy, StreamConfig, StreamInfo, create_stream_status, delete_stream_status,
    update_stream_status,
};
use pravega_sdk_types::{Epoch, KeyRange, Offset, SegmentId, SegmentNumber, SegmentOffset};

use super::{
    cut::{Cut, OffsetsById},
    error::{CallError, CallResult},
    names,
    segments::{create_segments, is_fixed, min_segments, policy},
    state::Catalog,
    stream::{SegmentRecord, Stream},
};
use crate::store::Step;

/// A stream has fewer tags than this, and each is shorter than this.
const MAX_TAGS: usize = 128;
const MAX_TAG_LEN: usize = 256;

impl Catalog {
    /// Creates a stream, with a stream for its watermarks unless it is one of Pravega's own.
    pub fn create_stream(
        &mut self,
        config: StreamConfig,
        step: &mut Step<'_>,
    ) -> CallResult<create_stream_status::Status> {
        use create_stream_status::Status;
        let StreamInfo { scope, stream, .. } = config.stream_info.clone().unwrap_or_default();
        if !names::is_stream(&stream) {
            return Ok(Status::InvalidStreamName);
        }
        let Some(found) = self.scopes.get(&scope) else {
            return Ok(Status::ScopeNotFound);
        };
        if found.streams.contains_key(&stream) {
            return Ok(Status::StreamExists);
        }
        let Ok(segments) = min_segments(&config) else {
            return Ok(Status::Failure);
        };
        check_tags(&config)?;
        step.reserve(segments as usize + 1)?;
        self.add_stream(&scope, &stream, config, step)?;
        if !names::is_internal(&stream) {
            self.ensure_internal_stream(&scope, &names::mark_stream(&stream), step)?;
        }
        Ok(Status::Success)
    }

    /// Creates a stream of Pravega's own, with one segment, unless it exists.
    pub(super) fn ensure_internal_stream(
        &mut self,
        scope: &str,
        stream: &str,
        step: &mut Step<'_>,
    ) -> CallResult<()> {
        if self.stream(scope, stream).is_some() {
            return Ok(());
        }
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let one =
            ScalingPolicy { scale_type: 0, target_rate: 0, scale_factor: 0, min_num_segments: 1 };
        let (stream_info, scaling_policy) = (Some(stream_info), Some(one));
        self.add_stream(
            scope,
            stream,
            StreamConfig { stream_info, scaling_policy, ..StreamConfig::default() },
            step,
        )
    }

    fn add_stream(
        &mut self,
        scope: &str,
        stream: &str,
        config: StreamConfig,
        step: &mut Step<'_>,
    ) -> CallResult<()> {
        let count = min_segments(&config)?;
        let Some(found) = self.scopes.get_mut(scope) else {
            return Err(CallError::NotFound(format!("scope {scope} is not found")));
        };
        // A stream that is created again continues the numbers of its segments: a client that knows
        // an old segment never takes a new one for it.
        let first = found.record.next_numbers.get(stream).map_or(0, |number| number.0);
        let record = |(number, range): (i32, KeyRange)| SegmentRecord {
            id: SegmentId::new(Epoch(0), SegmentNumber(number)),
            low: range.low(),
            high: range.high(),
        };
        let records: Vec<SegmentRecord> =
            (first..).zip(KeyRange::equal(count)).map(record).collect();
        create_segments(scope, stream, &config, &records, step)?;
        let next_number = first.saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
        let next_number = SegmentNumber(next_number);
        found
            .streams
            .insert(stream.to_owned(), Stream::new(config, records, next_number, step.at.now));
        self.save_stream(step.journal, scope, stream);
        Ok(())
    }

    /// Replaces the configuration of a stream, and scales it if its fixed number of segments
    /// changes.
    pub fn update_stream(
        &mut self,
        config: StreamConfig,
        step: &mut Step<'_>,
    ) -> CallResult<update_stream_status::Status> {
        use update_stream_status::Status;
        let StreamInfo { scope, stream, .. } = config.stream_info.clone().unwrap_or_default();
        let Some(found) = self.scopes.get_mut(&scope) else {
            return Ok(Status::StreamNotFound);
        };
        let Some(found) = found.streams.get_mut(&stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.sealed {
            return Ok(Status::StreamSealed);
        }
        let count = min_segments(&config)?;
        check_tags(&config)?;
        let segments = found.active().len();
        step.reserve(count as usize)?;
        let fixed = is_fixed(&config);
        found.config = config;
        if fixed && segments != count as usize {
            self.rescale(&scope, &stream, count, step)?;
        }
        self.set_policies(&scope, &stream, step);
        self.save_stream(step.journal, &scope, &stream);
        Ok(Status::Success)
    }

    /// Sets the stream's scaling policy on its open segments.
    fn set_policies(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) {
        let Some(found) = self.stream(scope, stream) else { return };
        let policy = policy(&found.config);
        for record in found.active() {
            // A client deleted a missing segment without the controller; the next read reports it.
            step.set_policy(&names::segment(scope, stream, record.id), policy).ok();
        }
    }

    /// Truncates a stream at a cut, which must cover the key space and be within the stream.
    pub fn truncate_stream(
        &mut self,
        info: &StreamInfo,
        cut: OffsetsById,
        step: &mut Step<'_>,
    ) -> CallResult<update_stream_status::Status> {
        use update_stream_status::Status;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        let cut = Cut::from(cut);
        step.reserve(0)?;
        let Some(found) = self.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.sealed {
            return Ok(Status::StreamSealed);
        }
        if !found.is_complete(&cut)
            || !found.is_at_or_after(&cut, &found.head())
            || !self.is_within(scope, stream, &cut, step)
        {
            return Ok(Status::Failure);
        }
        self.truncate_to(scope, stream, cut, step);
        Ok(Status::Success)
    }

    /// Returns true if no offset of a cut is after the end of its segment.
    fn is_within(&self, scope: &str, stream: &str, cut: &Cut, step: &Step<'_>) -> bool {
        cut.iter().all(|(id, offset)| {
            let info = step.store.info(&names::segment(scope, stream, id));
            info.is_ok_and(|info| match offset {
                SegmentOffset::At(Offset(offset)) => offset <= info.len as i64,
                SegmentOffset::End => true,
            })
        })
    }

    /// Truncates a stream at a complete cut.
    pub(super) fn truncate_to(&mut self, scope: &str, stream: &str, cut: Cut, step: &mut Step<'_>) {
        let Some(found) = self.stream_mut(scope, stream) else { return };
        for record in found.before(&cut) {
            let segment = names::segment(scope, stream, record.id);
            if let Ok(info) = step.store.info(&segment) {
                found.deleted_ends.insert(record.id, Offset(info.len as i64));
                step.delete(&segment).ok();
            }
        }
        for (id, offset) in cut.iter() {
            let segment = names::segment(scope, stream, id);
            let offset = match offset {
                SegmentOffset::At(offset) => offset,
                SegmentOffset::End => {
                    Offset(step.store.info(&segment).map_or(0, |info| info.len as i64))
                }
            };
            // A segment that was truncated further stays as it is.
            step.truncate(&segment, offset).ok();
        }
        found.head = cut;
        self.save_stream(step.journal, scope, stream);
    }

    /// Seals a stream and aborts its open transactions.
    pub fn seal_stream(
        &mut self,
        info: &StreamInfo,
        step: &mut Step<'_>,
    ) -> CallResult<update_stream_status::Status> {
        use update_stream_status::Status;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        step.reserve(0)?;
        let Some(found) = self.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.sealed {
            return Ok(Status::Success);
        }
        self.abort_all(scope, stream, step);
        let Some(found) = self.stream_mut(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        found.sealed = true;
        for record in found.active() {
            step.seal(&names::segment(scope, stream, record.id)).ok();
        }
        self.save_stream(step.journal, scope, stream);
        Ok(Status::Success)
    }

    /// Deletes a sealed stream with its watermarks.
    pub fn delete_stream(
        &mut self,
        info: &StreamInfo,
        step: &mut Step<'_>,
    ) -> CallResult<delete_stream_status::Status> {
        use delete_stream_status::Status;
        step.reserve(0)?;
        match self.stream(&info.scope, &info.stream) {
            None => Ok(Status::StreamNotFound),
            Some(found) if !found.sealed => Ok(Status::StreamNotSealed),
            Some(_) => {
                self.drop_stream(&info.scope, &info.stream, step);
                self.drop_stream(&info.scope, &names::mark_stream(&info.stream), step);
                Ok(Status::Success)
            }
        }
    }

    /// Removes a stream with all its segments, in any state.
    pub(super) fn drop_stream(&mut self, scope: &str, stream: &str, step: &mut Step<'_>) {
        let Some(found) = self.scopes.get_mut(scope) else { return };
        let Some(dropped) = found.streams.remove(stream) else { return };
        found.record.next_numbers.insert(stream.to_owned(), dropped.next_number);
        for record in dropped.all_segments() {
            step.delete(&names::segment(scope, stream, record.id)).ok();
        }
        for (id, transaction) in &dropped.transactions {
            transaction.drop_segments(step, scope, stream, *id);
            self.save_transaction(step.journal, scope, stream, *id);
        }
        self.save_stream(step.journal, scope, stream);
        self.save_scope(step.journal, scope);
    }
}

fn check_tags(config: &StreamConfig) -> CallResult<()> {
    let tags = config.tags.as_ref().map_or(&[][..], |tags| &tags.tag);
    if tags.len() >= MAX_TAGS || tags.iter().any(|tag| tag.chars().count() >= MAX_TAG_LEN) {
        return Err(CallError::unspecified());
    }
    Ok(())
}
