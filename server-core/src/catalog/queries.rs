//! Calls that read a stream: its configuration, segments, epochs, cuts and tokens.

use pravega_sdk_proto::{
    SegmentId as SegmentIdMessage, SegmentRanges, SegmentsAtTime, StreamConfig,
    StreamCutRangeResponse, StreamInfo, SuccessorResponse, segments_at_time::SegmentLocation,
    stream_info::AccessOperation, successor_response::SegmentEntry,
};
use pravega_sdk_types::{Epoch, SegmentId, SegmentOffset};

use super::{
    cut::OffsetsById,
    error::{CallError, CallResult, no_stream},
    history::SegmentRecord,
    names,
    state::Catalog,
    stream::Stream,
};
use crate::{
    access::{Admission, Grant, Operation},
    ids::StoreIndex,
    store::Step,
};

impl Catalog {
    fn found(&self, scope: &str, stream: &str) -> CallResult<&Stream> {
        self.stream(scope, stream).ok_or_else(|| no_stream(scope, stream))
    }

    /// The number of streams that clients have created.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        let scopes = self.scopes.values();
        let is_of_client = |name: &&String| !names::is_internal(name);
        scopes.map(|scope| scope.streams.keys().filter(is_of_client).count()).sum()
    }

    /// The configuration of a stream.
    pub fn stream_configuration(&self, info: &StreamInfo) -> CallResult<StreamConfig> {
        Ok(self.found(&info.scope, &info.stream)?.config().clone())
    }

    /// A token for the segments of a stream, which allows what was asked for as far as the client
    /// may do it; empty if the server has no accounts, or the client may do nothing.
    pub fn token(&self, info: &StreamInfo, step: &Step<'_>) -> String {
        match step.access {
            // Clients of 0.13 send it if they want no token in the reply.
            Some(_) if info.access_operation == i32::from(AccessOperation::None) => String::new(),
            Some(access) => {
                // Clients of old versions name no operation.
                let reads = info.access_operation == i32::from(AccessOperation::Read);
                let allows = if reads { Operation::Read } else { Operation::Write };
                let rules = step.client.map(Admission::rules);
                let grant = Grant::of(rules, &info.scope, &info.stream, allows);
                let until = step.client.and_then(Admission::end);
                access.issue(&info.scope, &info.stream, grant, step.at.now, until)
            }
            None => String::new(),
        }
    }

    /// The open segments of a stream, in the order of their key ranges.
    pub fn current_segments(
        &self,
        info: &StreamInfo,
        step: &Step<'_>,
    ) -> CallResult<SegmentRanges> {
        let found = self.found(&info.scope, &info.stream)?;
        let active = if found.is_sealed() { &[] } else { found.active() };
        let segment_ranges =
            active.iter().map(|record| record.message(&info.scope, &info.stream)).collect();
        Ok(SegmentRanges { segment_ranges, delegation_token: self.token(info, step) })
    }

    /// The segments of an epoch.
    pub fn epoch_segments(
        &self,
        info: &StreamInfo,
        epoch: i32,
        step: &Step<'_>,
    ) -> CallResult<SegmentRanges> {
        let found = self.found(&info.scope, &info.stream)?;
        let missing = || {
            CallError::NotFound(format!(
                "epoch {epoch} of {}/{} is not found",
                info.scope, info.stream
            ))
        };
        let segments = found.history.segments_of(Epoch(epoch)).ok_or_else(missing)?;
        let segment_ranges =
            segments.iter().map(|record| record.message(&info.scope, &info.stream)).collect();
        Ok(SegmentRanges { segment_ranges, delegation_token: self.token(info, step) })
    }

    /// The segments and offsets at which a stream begins.
    pub fn head_segments(&self, info: &StreamInfo, step: &Step<'_>) -> CallResult<SegmentsAtTime> {
        let found = self.found(&info.scope, &info.stream)?;
        let location = |(id, offset): (SegmentId, SegmentOffset)| SegmentLocation {
            segment_id: Some(id_message(info, id)),
            offset: offset.to_wire(),
        };
        let segments = found.head().iter().map(location).collect();
        Ok(SegmentsAtTime { segments, delegation_token: self.token(info, step) })
    }

    /// The segments that follow a segment, each with all that it follows; empty for an open one.
    pub fn successors(
        &self,
        info: &StreamInfo,
        id: i64,
        step: &Step<'_>,
    ) -> CallResult<SuccessorResponse> {
        let found = self.found(&info.scope, &info.stream)?;
        let entry = |(record, follows): (SegmentRecord, Vec<SegmentId>)| SegmentEntry {
            segment: Some(record.message(&info.scope, &info.stream)),
            value: follows.into_iter().map(i64::from).collect(),
        };
        let segments = found.history.successors(id.into()).into_iter().map(entry).collect();
        Ok(SuccessorResponse { segments, delegation_token: self.token(info, step) })
    }

    /// The segments from one cut to another. An empty cut is the head or the tail of the stream.
    pub fn segments_between(
        &self,
        info: &StreamInfo,
        from: &OffsetsById,
        to: &OffsetsById,
        step: &Step<'_>,
    ) -> CallResult<StreamCutRangeResponse> {
        if from.is_empty() && to.is_empty() {
            return Err(CallError::unspecified());
        }
        let found = self.found(&info.scope, &info.stream)?;
        let both = !from.is_empty() && !to.is_empty();
        let knows = found.knows(from.len()) && found.knows(to.len());
        let (from, to) = if knows { (from.into(), to.into()) } else { Default::default() };
        if both && !(knows && found.is_at_or_after(&to, &from)) {
            return Err(CallError::Internal("the start cut is after the end cut".to_owned()));
        }
        // Nothing is between cuts with unknown segments.
        let between = if knows { found.between(&from, &to) } else { Vec::new() };
        let id = |record: SegmentRecord| id_message(info, record.id);
        let segments = between.into_iter().map(id).collect();
        Ok(StreamCutRangeResponse { segments, delegation_token: self.token(info, step) })
    }

    /// Returns true if a segment can be appended to.
    pub fn is_segment_open(&self, info: &StreamInfo, id: i64) -> CallResult<bool> {
        let (found, id) = (self.found(&info.scope, &info.stream)?, SegmentId::from(id));
        Ok(!found.is_sealed() && found.history.is_active(id))
    }

    /// Returns true if a cut covers every key exactly once.
    pub fn is_cut_complete(&self, info: &StreamInfo, cut: &OffsetsById) -> CallResult<bool> {
        let found = self.found(&info.scope, &info.stream)?;
        Ok(found.knows(cut.len()) && found.is_complete(&cut.into()))
    }

    /// The store that a segment is on, computed from its name; the segment need not exist.
    pub fn store_of(info: &StreamInfo, id: i64, step: &Step<'_>) -> StoreIndex {
        step.placement.store_of(&names::segment(&info.scope, &info.stream, id.into()))
    }
}

/// The id of a segment of the stream that a request names.
fn id_message(info: &StreamInfo, id: SegmentId) -> SegmentIdMessage {
    SegmentIdMessage { stream_info: Some(plain(info)), segment_id: id.into() }
}

/// The name of a stream, without the other fields of a request.
fn plain(info: &StreamInfo) -> StreamInfo {
    StreamInfo { access_operation: 0, ..info.clone() }
}
