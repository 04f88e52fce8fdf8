//! Streams: created, updated, truncated, sealed and deleted.

use pravega_sdk_proto::{
    ScalingPolicy, StreamConfig, StreamInfo, create_stream_status, delete_stream_status,
    update_stream_status,
};
use pravega_sdk_types::{Epoch, KeyRange, Offset, SegmentId, SegmentNumber, SegmentOffset};

use super::{
    change::{Part, StreamPart},
    cut::{Cut, OffsetsById},
    cuts::Located,
    error::{CallError, CallResult},
    history::{EpochRecord, SegmentRecord},
    names,
    plan::{Plan, check_settled},
    scaling::Scale,
    segments::{is_fixed, min_segments, new_segments, plan_sealing, plan_segments, policy},
    state::Catalog,
    stream::{Stream, StreamState},
};
use crate::{
    record::{Each, Many},
    store::{Progress, Step},
};

/// A stream has fewer tags than this, and each is shorter than this.
const MAX_TAGS: usize = 128;
const MAX_TAG_LEN: usize = 256;
/// The most numbers of deleted streams that a scope keeps. Beyond it the least of them becomes the
/// first number of every new stream.
const MAX_NUMBERS: usize = 10_000;

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
        match min_segments(&config) {
            Err(CallError::Internal(_)) => return Ok(Status::Failure),
            checked => drop(checked?),
        }
        check_tags(&config)?;
        let mut plan = Plan::new();
        self.plan_stream(&mut plan, &scope, &stream, config, step)?;
        if !names::is_internal(&stream) {
            self.plan_internal_stream(&mut plan, &scope, &names::mark_stream(&stream), step)?;
        }
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Plans a stream of Pravega's own, with one segment, unless it exists.
    pub(super) fn plan_internal_stream(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        step: &Step<'_>,
    ) -> CallResult<()> {
        if self.stream(scope, stream).is_some() {
            return Ok(());
        }
        let stream_info =
            StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 };
        let one =
            ScalingPolicy { scale_type: 0, target_rate: 0, scale_factor: 0, min_num_segments: 1 };
        let (stream_info, scaling_policy) = (Some(stream_info), Some(one));
        let config = StreamConfig { stream_info, scaling_policy, ..StreamConfig::default() };
        self.plan_stream(plan, scope, stream, config, step)
    }

    fn plan_stream(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        config: StreamConfig,
        step: &Step<'_>,
    ) -> CallResult<()> {
        let count = min_segments(&config)?;
        let Some(found) = self.scopes.get(scope) else {
            return Err(CallError::NotFound(format!("scope {scope} is not found")));
        };
        // A stream that is created again continues the numbers of its segments: a client that knows
        // an old segment never takes a new one for it.
        let first = found.numbers.first_of(stream);
        let created = new_segments(Epoch(0), first, &KeyRange::equal(count))?;
        plan_segments(plan, scope, stream, &config, &created, step);
        if found.numbers.get(stream).is_some() {
            plan.scope(scope, Part::Number(stream.to_owned(), None));
        }
        let state = StreamState { config, sealed: false };
        plan.stream(scope, stream, StreamPart::State(Some(state)));
        let (reference, at, sealed) = (Epoch(0), step.at.now, Vec::new());
        let epoch = EpochRecord { reference, at, sealed, created };
        plan.stream(scope, stream, StreamPart::Epoch(Epoch(0), epoch));
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
        let Some(found) = self.stream(&scope, &stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.is_sealed() {
            return Ok(Status::StreamSealed);
        }
        check_settled(&scope, &stream, step)?;
        let count = min_segments(&config)?;
        check_tags(&config)?;
        let mut plan = Plan::new();
        let rescales = is_fixed(&config) && found.active().len() != count as usize;
        if rescales {
            // The new segments are created with the new policy.
            let ranges = KeyRange::equal(count);
            let scale = Scale { scope: &scope, stream: &stream, config: &config };
            scale.plan(&mut plan, found, found.active(), &ranges, step)?;
        } else {
            let change = Each::Attributed { attributes: policy(&config).attributes() };
            let active = found.active().iter().map(|record| record.id);
            // A client deleted a missing segment without the controller; the next read reports it.
            plan.each(step.many(names::scoped(&scope, &stream), active, change), step);
        }
        let state = StreamState { config, sealed: false };
        plan.stream(&scope, &stream, StreamPart::State(Some(state)));
        self.carry_out(plan, step)?;
        Ok(Status::Success)
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
        step.check_growth(0)?;
        let Some(found) = self.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.is_sealed() {
            return Ok(Status::StreamSealed);
        }
        check_settled(scope, stream, step)?;
        if !found.knows(cut.len()) {
            return Ok(Status::Failure);
        }
        let cut = Cut::from(cut);
        let Some(located) = found.locate(&cut).filter(|cut| found.is_truncatable(cut)) else {
            return Ok(Status::Failure);
        };
        let within = |place| place_within(scope, stream, place, step);
        let Some(places) = cut.iter().map(within).collect::<Option<Vec<Within>>>() else {
            return Ok(Status::Failure);
        };
        let mut plan = Plan::new();
        plan_truncation(&mut plan, (scope, stream), found, &located, &places, step);
        plan.stream(scope, stream, StreamPart::Head(cut));
        self.carry_out(plan, step)?;
        if !self.pruning.is_empty() {
            step.progress = Progress::Unfinished;
        }
        Ok(Status::Success)
    }

    /// Seals a stream and aborts its open transactions.
    pub fn seal_stream(
        &mut self,
        info: &StreamInfo,
        step: &mut Step<'_>,
    ) -> CallResult<update_stream_status::Status> {
        use update_stream_status::Status;
        let (scope, stream) = (info.scope.as_str(), info.stream.as_str());
        step.check_growth(0)?;
        let Some(found) = self.stream(scope, stream) else {
            return Ok(Status::StreamNotFound);
        };
        if found.is_sealed() {
            return Ok(Status::Success);
        }
        let mut plan = Plan::new();
        self.plan_aborts(&mut plan, scope, stream, found, step);
        plan_sealing(&mut plan, scope, stream, found.active(), step);
        let state = StreamState { sealed: true, ..found.state.clone() };
        plan.stream(scope, stream, StreamPart::State(Some(state)));
        self.carry_out(plan, step)?;
        if !self.doomed.is_empty() {
            step.progress = Progress::Unfinished;
        }
        Ok(Status::Success)
    }

    /// Deletes a sealed stream with its watermarks.
    pub fn delete_stream(
        &mut self,
        info: &StreamInfo,
        step: &mut Step<'_>,
    ) -> CallResult<delete_stream_status::Status> {
        use delete_stream_status::Status;
        step.check_growth(0)?;
        match self.stream(&info.scope, &info.stream) {
            None => Ok(Status::StreamNotFound),
            Some(found) if !found.is_sealed() => Ok(Status::StreamNotSealed),
            Some(_) => {
                check_settled(&info.scope, &info.stream, step)?;
                let mut plan = Plan::new();
                let marks = names::mark_stream(&info.stream);
                let of_stream = self.plan_removal(&mut plan, &info.scope, &info.stream, step);
                let of_marks = self.plan_removal(&mut plan, &info.scope, &marks, step);
                self.carry_out(plan, step)?;
                step.progress = of_stream.max(of_marks);
                Ok(Status::Success)
            }
        }
    }

    /// Plans the removal of a stream with all its segments, in any state. What remains is the
    /// number of its next segment, for a stream of the same name. A large stream is deleted in
    /// slices.
    pub(super) fn plan_removal(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        step: &Step<'_>,
    ) -> Progress {
        let Some(found) = self.stream(scope, stream) else { return Progress::Finished };
        let progress = self.plan_leaving(plan, scope, stream, found, step);
        if progress == Progress::Finished {
            let all = found.history.all().map(|record| record.id);
            plan.each(step.many(names::scoped(scope, stream), all, Each::Deleted), step);
            for (id, transaction) in found.transactions.iter() {
                let stream = names::scoped(scope, stream);
                let parts = step.many(stream, transaction.ids(id), Each::Deleted);
                plan.each(parts.of_transaction(id), step);
            }
            plan.stream(scope, stream, StreamPart::State(None));
        }
        self.plan_number(plan, scope, stream, found.history.next_number());
        progress
    }

    /// Plans to keep the number of the next segment of a stream that is deleted.
    pub(super) fn plan_number(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        number: SegmentNumber,
    ) {
        let Some(found) = self.scopes.get(scope) else { return };
        let numbers = &found.numbers;
        let mut floor = numbers.floor;
        if numbers.len() >= MAX_NUMBERS && number > floor {
            floor = numbers.least().map_or(number, |least| least.min(number));
            plan.scope(scope, Part::Floor(floor));
        }
        if number > floor {
            plan.scope(scope, Part::Number(stream.to_owned(), Some(number)));
        }
    }
}

fn check_tags(config: &StreamConfig) -> CallResult<()> {
    let tags = config.tags.as_ref().map_or(&[][..], |tags| &tags.tag);
    if tags.len() >= MAX_TAGS || tags.iter().any(|tag| tag.chars().count() >= MAX_TAG_LEN) {
        return Err(CallError::unspecified());
    }
    Ok(())
}

/// A segment of a cut, its start, and the offset of the cut in it.
pub(super) struct Within {
    id: SegmentId,
    start: u64,
    offset: u64,
}

/// The place of a cut in a segment; `None` if it is after the end, or the segment does not exist.
pub(super) fn place_within(
    scope: &str,
    stream: &str,
    (id, offset): (SegmentId, SegmentOffset),
    step: &Step<'_>,
) -> Option<Within> {
    let info = step.store.info(&names::segment(scope, stream, id)).ok()?;
    let offset = match offset {
        SegmentOffset::At(Offset(offset)) => u64::try_from(offset).ok()?,
        SegmentOffset::End => info.len,
    };
    (offset <= info.len).then_some(Within { id, start: info.start, offset })
}

/// Plans the truncation of the segments of a stream at a complete cut.
pub(super) fn plan_truncation(
    plan: &mut Plan,
    (scope, stream): (&str, &str),
    found: &Stream,
    cut: &Located<'_>,
    places: &[Within],
    step: &Step<'_>,
) {
    let end = |record: SegmentRecord| {
        let info = step.store.info(&names::segment(scope, stream, record.id)).ok()?;
        Some((record.id, Offset(info.len as i64)))
    };
    // The segments of a long history follow in slices.
    let before = if found.has_short_history() { found.before(cut) } else { Vec::new() };
    let ends: Vec<(SegmentId, Offset)> = before.into_iter().filter_map(end).collect();
    let ids = ends.iter().map(|(id, _)| *id);
    plan.each(step.many(names::scoped(scope, stream), ids, Each::Deleted), step);
    if !ends.is_empty() {
        plan.stream(scope, stream, StreamPart::Ends(ends));
    }
    // A segment that was truncated further stays as it is.
    let later = places.iter().filter(|place| place.offset > place.start);
    let offsets = later.map(|place| (place.id, place.offset)).collect();
    plan.each(Many::truncation(names::scoped(scope, stream), offsets, step.at.now), step);
}
