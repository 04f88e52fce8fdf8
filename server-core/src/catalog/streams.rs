//! Streams: made, looked at, configured, truncated, sealed and deleted.

use pravega_sdk_proto::{
    ScalingPolicy, SegmentId, SegmentRanges, SegmentsAtTime, StreamConfig, StreamCutRangeResponse,
    StreamInfo, SuccessorResponse, create_stream_status, delete_stream_status,
    scaling_policy::ScalingPolicyType, segments_at_time::SegmentLocation,
    stream_info::AccessOperation, successor_response::SegmentEntry, update_stream_status,
};
use pravega_sdk_types::KeyRange;

use super::{
    Answer, Fault, names, no_stream,
    stream::{Cut, Part, Stream},
};
use crate::{
    ids::Moment,
    machine::Machine,
    record::Attributes,
    store::{Refusal, Store, policy_attributes},
};

/// More segments than a stream can sensibly have; a request for more is a mistake.
const MAX_SEGMENTS: i32 = 100_000;
/// Tags of a stream, and how long one may be.
const MAX_TAGS: usize = 128;
const MAX_TAG_LEN: usize = 256;

impl Machine {
    pub fn create_stream(
        &mut self,
        config: StreamConfig,
        at: Moment,
    ) -> Answer<create_stream_status::Status> {
        use create_stream_status::Status;
        let StreamInfo { scope, stream, .. } = config.stream_info.clone().unwrap_or_default();
        if !names::is_stream(&stream) {
            return Ok(Status::InvalidStreamName);
        }
        let Some(found) = self.catalog.scopes.get(&scope) else {
            return Ok(Status::ScopeNotFound);
        };
        if found.streams.contains_key(&stream) {
            return Ok(Status::StreamExists);
        }
        let Ok(segments) = min_segments(&config) else {
            return Ok(Status::Failure);
        };
        check_tags(&config)?;
        self.store.reserve(segments as usize + 1)?;
        self.make_stream(&scope, &stream, config, at)?;
        if !names::is_internal(&stream) {
            self.make_internal(&scope, &names::mark_stream(&stream), at)?;
        }
        Ok(Status::Success)
    }

    /// Makes a stream of Pravega's own, of one segment, unless it is there.
    pub(super) fn make_internal(&mut self, scope: &str, stream: &str, at: Moment) -> Answer<()> {
        if self.catalog.stream(scope, stream).is_some() {
            return Ok(());
        }
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let one =
            ScalingPolicy { scale_type: 0, target_rate: 0, scale_factor: 0, min_num_segments: 1 };
        let (stream_info, scaling_policy) = (Some(stream_info), Some(one));
        self.make_stream(
            scope,
            stream,
            StreamConfig { stream_info, scaling_policy, ..StreamConfig::default() },
            at,
        )
    }

    fn make_stream(
        &mut self,
        scope: &str,
        stream: &str,
        config: StreamConfig,
        at: Moment,
    ) -> Answer<()> {
        let count = min_segments(&config)?;
        let Some(found) = self.catalog.scopes.get_mut(scope) else {
            return Err(Fault::NotFound(format!("there is no scope {scope}")));
        };
        // A stream that is made again numbers its segments on: what is known of the old ones never
        // fits the new.
        let first = found.record.next_numbers.get(stream).copied().unwrap_or(0);
        let part = |(number, range): (i32, KeyRange)| Part {
            id: names::segment_id(0, number),
            low: range.low(),
            high: range.high(),
        };
        let parts: Vec<Part> = (first..).zip(KeyRange::equal(count)).map(part).collect();
        make_segments(&mut self.store, scope, stream, &config, &parts, at)?;
        let next_number = first.saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
        found.streams.insert(stream.to_owned(), Stream::new(config, parts, next_number, at.now.0));
        self.catalog.keep_stream(&mut self.store, scope, stream);
        Ok(())
    }

    pub fn update_stream(
        &mut self,
        config: StreamConfig,
        at: Moment,
    ) -> Answer<update_stream_status::Status> {
        use update_stream_status::Status;
        let StreamInfo { scope, stream, .. } = config.stream_info.clone().unwrap_or_default();
        let Some(found) = self.catalog.scopes.get_mut(&scope) else {
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
        self.store.reserve(count as usize)?;
        let fixed = is_fixed(&config);
        found.config = config;
        if fixed && segments != count as usize {
            self.rescale(&scope, &stream, count, at)?;
        }
        self.set_policies(&scope, &stream);
        self.catalog.keep_stream(&mut self.store, &scope, &stream);
        Ok(Status::Success)
    }

    /// Tells the segments by what rate the stream scales now.
    fn set_policies(&mut self, scope: &str, stream: &str) {
        let Some(found) = self.catalog.stream(scope, stream) else { return };
        let (scale_type, rate) = policy(&found.config);
        for part in found.active() {
            // A segment that is missing was lost with its store, which the next read tells.
            self.store.set_policy(&names::segment(scope, stream, part.id), scale_type, rate).ok();
        }
    }

    pub fn truncate_stream(
        &mut self,
        info: &StreamInfo,
        cut: Cut,
        at: Moment,
    ) -> Answer<update_stream_status::Status> {
        use update_stream_status::Status;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        self.store.reserve(0)?;
        let Some(found) = self.catalog.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.sealed {
            return Ok(Status::StreamSealed);
        }
        if !found.is_whole(&cut)
            || !found.is_at_or_behind(&cut, &found.head())
            || !self.is_there(scope, stream, &cut)
        {
            return Ok(Status::Failure);
        }
        self.cut_off(scope, stream, cut, at);
        Ok(Status::Success)
    }

    /// Says whether no offset of a cut lies behind the end of its segment.
    fn is_there(&self, scope: &str, stream: &str, cut: &Cut) -> bool {
        cut.iter().all(|(id, offset)| {
            self.store
                .info(&names::segment(scope, stream, *id))
                .is_ok_and(|info| *offset <= info.len as i64)
        })
    }

    /// Drops what lies before a cut that is whole.
    pub(super) fn cut_off(&mut self, scope: &str, stream: &str, cut: Cut, at: Moment) {
        let Some(found) = self.catalog.stream_mut(scope, stream) else { return };
        for part in found.before(&cut) {
            let segment = names::segment(scope, stream, part.id);
            if let Ok(info) = self.store.info(&segment) {
                found.gone.insert(part.id, info.len as i64);
                self.store.delete(&segment).ok();
            }
        }
        for (id, offset) in &cut {
            let segment = names::segment(scope, stream, *id);
            let end = self.store.info(&segment).map_or(0, |info| info.len as i64);
            let offset = if *offset < 0 { end } else { *offset };
            // What was truncated further already stays as it is.
            self.store.truncate(&segment, offset, at.now).ok();
        }
        found.head = cut;
        self.catalog.keep_stream(&mut self.store, scope, stream);
    }

    pub fn seal_stream(
        &mut self,
        info: &StreamInfo,
        at: Moment,
    ) -> Answer<update_stream_status::Status> {
        use update_stream_status::Status;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        self.store.reserve(0)?;
        let Some(found) = self.catalog.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.sealed {
            return Ok(Status::Success);
        }
        self.abort_all(scope, stream, at);
        let Some(found) = self.catalog.stream_mut(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        found.sealed = true;
        for part in found.active() {
            self.store.seal(&names::segment(scope, stream, part.id), at.now).ok();
        }
        self.catalog.keep_stream(&mut self.store, scope, stream);
        Ok(Status::Success)
    }

    pub fn delete_stream(&mut self, info: &StreamInfo) -> Answer<delete_stream_status::Status> {
        use delete_stream_status::Status;
        self.store.reserve(0)?;
        match self.catalog.stream(&info.scope, &info.stream) {
            None => Ok(Status::StreamNotFound),
            Some(found) if !found.sealed => Ok(Status::StreamNotSealed),
            Some(_) => {
                self.drop_stream(&info.scope, &info.stream);
                self.drop_stream(&info.scope, &names::mark_stream(&info.stream));
                Ok(Status::Success)
            }
        }
    }

    /// Removes a stream with all its segments, whatever its state.
    pub(super) fn drop_stream(&mut self, scope: &str, stream: &str) {
        let Some(found) = self.catalog.scopes.get_mut(scope) else { return };
        let Some(dropped) = found.streams.remove(stream) else { return };
        found.record.next_numbers.insert(stream.to_owned(), dropped.next_number);
        for part in dropped.every_part() {
            self.store.delete(&names::segment(scope, stream, part.id)).ok();
        }
        for (id, transaction) in &dropped.transactions {
            transaction.drop_segments(&mut self.store, scope, stream, *id);
            self.catalog.keep_transaction(&mut self.store, scope, stream, *id);
        }
        self.catalog.keep_stream(&mut self.store, scope, stream);
        self.catalog.keep_scope(&mut self.store, scope);
    }

    // ------------------------------------------------------------------------------------------------------- looking

    fn found(&self, scope: &str, stream: &str) -> Answer<&Stream> {
        self.catalog.stream(scope, stream).ok_or_else(|| no_stream(scope, stream))
    }

    pub fn stream_configuration(&self, info: &StreamInfo) -> Answer<StreamConfig> {
        Ok(self.found(&info.scope, &info.stream)?.config.clone())
    }

    /// A token for the segments of a stream, empty where none is needed.
    pub fn token(&self, info: &StreamInfo, at: Moment) -> String {
        match &self.store.access {
            // What clients of 0.13 say who want no token with the answer.
            Some(_) if info.access_operation == i32::from(AccessOperation::None) => String::new(),
            Some(access) => access.issue(&info.scope, &info.stream, at.now),
            None => String::new(),
        }
    }

    pub fn current_segments(&self, info: &StreamInfo, at: Moment) -> Answer<SegmentRanges> {
        let found = self.found(&info.scope, &info.stream)?;
        let active = if found.sealed { &[] } else { found.active() };
        let segment_ranges =
            active.iter().map(|part| part.message(&info.scope, &info.stream)).collect();
        Ok(SegmentRanges { segment_ranges, delegation_token: self.token(info, at) })
    }

    pub fn epoch_segments(
        &self,
        info: &StreamInfo,
        epoch: i32,
        at: Moment,
    ) -> Answer<SegmentRanges> {
        let found = self.found(&info.scope, &info.stream)?;
        let missing = || {
            Fault::NotFound(format!("there is no epoch {epoch} of {}/{}", info.scope, info.stream))
        };
        let epoch = found.epoch(epoch).ok_or_else(missing)?;
        let segment_ranges =
            epoch.segments.iter().map(|part| part.message(&info.scope, &info.stream)).collect();
        Ok(SegmentRanges { segment_ranges, delegation_token: self.token(info, at) })
    }

    pub fn head_segments(&self, info: &StreamInfo, at: Moment) -> Answer<SegmentsAtTime> {
        let found = self.found(&info.scope, &info.stream)?;
        let location = |(segment_id, offset): (i64, i64)| SegmentLocation {
            segment_id: Some(SegmentId { stream_info: Some(plain(info)), segment_id }),
            offset,
        };
        let segments = found.head().into_iter().map(location).collect();
        Ok(SegmentsAtTime { segments, delegation_token: self.token(info, at) })
    }

    pub fn successors(&self, info: &StreamInfo, id: i64, at: Moment) -> Answer<SuccessorResponse> {
        let found = self.found(&info.scope, &info.stream)?;
        let entry = |(part, value): (Part, Vec<i64>)| SegmentEntry {
            segment: Some(part.message(&info.scope, &info.stream)),
            value,
        };
        let segments = found.successors(id).into_iter().map(entry).collect();
        Ok(SuccessorResponse { segments, delegation_token: self.token(info, at) })
    }

    pub fn segments_between(
        &self,
        info: &StreamInfo,
        from: &Cut,
        to: &Cut,
        at: Moment,
    ) -> Answer<StreamCutRangeResponse> {
        if from.is_empty() && to.is_empty() {
            return Err(Fault::Internal("Internal exception occurred".to_owned()));
        }
        let found = self.found(&info.scope, &info.stream)?;
        if !from.is_empty() && !to.is_empty() && !found.is_at_or_behind(to, from) {
            return Err(Fault::Internal(
                "the cut that is read from lies behind the one that is read to".to_owned(),
            ));
        }
        let id = |part: Part| SegmentId { stream_info: Some(plain(info)), segment_id: part.id };
        let segments = found.between(from, to).into_iter().map(id).collect();
        Ok(StreamCutRangeResponse { segments, delegation_token: self.token(info, at) })
    }

    pub fn is_segment_open(&self, info: &StreamInfo, id: i64) -> Answer<bool> {
        let found = self.found(&info.scope, &info.stream)?;
        Ok(!found.sealed && found.active().iter().any(|part| part.id == id))
    }

    pub fn is_cut_whole(&self, info: &StreamInfo, cut: &Cut) -> Answer<bool> {
        Ok(self.found(&info.scope, &info.stream)?.is_whole(cut))
    }

    /// Which of the stores a segment is on; computed from its name, whether it exists or not.
    pub fn store_of(&self, info: &StreamInfo, id: i64) -> usize {
        self.store.placement.store_of(&names::segment(&info.scope, &info.stream, id)).0
    }
}

/// A stream's name without what else a request says.
fn plain(info: &StreamInfo) -> StreamInfo {
    StreamInfo { access_operation: 0, ..info.clone() }
}

/// Makes the segments of a stream.
pub(super) fn make_segments(
    store: &mut Store,
    scope: &str,
    stream: &str,
    config: &StreamConfig,
    parts: &[Part],
    at: Moment,
) -> Answer<()> {
    let (scale_type, rate) = policy(config);
    for part in parts {
        let attributes =
            if scale_type > 0 { policy_attributes(scale_type, rate) } else { Attributes::new() };
        match store.create(&names::segment(scope, stream, part.id), attributes, at.now) {
            // Somebody made it past the controller; it is this stream's now.
            Ok(()) | Err(Refusal::AlreadyExists) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

/// By what the segments of a stream scale, as their attributes say it.
pub(super) fn policy(config: &StreamConfig) -> (i8, i32) {
    let policy = config.scaling_policy.unwrap_or_default();
    match policy.scale_type() {
        ScalingPolicyType::FixedNumSegments => (0, 0),
        ScalingPolicyType::ByRateInKbytesPerSec => (1, policy.target_rate),
        ScalingPolicyType::ByRateInEventsPerSec => (2, policy.target_rate),
    }
}

fn is_fixed(config: &StreamConfig) -> bool {
    policy(config).0 == 0
}

/// How many segments a stream has at the least.
pub(super) fn min_segments(config: &StreamConfig) -> Answer<u32> {
    match config.scaling_policy.unwrap_or_default().min_num_segments {
        count @ 1..=MAX_SEGMENTS => Ok(count.unsigned_abs()),
        _ => Err(Fault::Internal("Internal exception occurred".to_owned())),
    }
}

fn check_tags(config: &StreamConfig) -> Answer<()> {
    let tags = config.tags.as_ref().map_or(&[][..], |tags| &tags.tag);
    if tags.len() >= MAX_TAGS || tags.iter().any(|tag| tag.chars().count() >= MAX_TAG_LEN) {
        return Err(Fault::Internal("Internal exception occurred".to_owned()));
    }
    Ok(())
}
