//! The segments before the head of a stream with a long history, deleted in slices.
//!
//! A truncation deletes the segments before its cut with the call, unless the stream has had too
//! many for one step. Then it moves the head only, and the segments follow. What is left of them is
//! found again after a restart: whatever is before the head and not deleted.

use pravega_sdk_types::{Offset, SegmentId};

use super::{
    change::StreamPart,
    error::CallResult,
    names,
    plan::Plan,
    state::{Begun, Catalog, Pruning},
    stream::Stream,
};
use crate::{
    record::Each,
    store::{Progress, Step},
};

/// A call looks at the history of a stream with at most so many segments.
const AT_ONCE: usize = 10_000;
/// The segments that a slice looks at.
const SLICE: usize = 2_000;

impl Stream {
    /// Returns true if a call may look at all segments of the stream.
    pub(super) fn has_short_history(&self) -> bool {
        self.history.segment_count() <= AT_ONCE
    }

    fn begin_pruning(&self) -> Option<Begun> {
        let head = self.skyline_of(&self.head())?;
        Some(Begun { head, first: self.history.first(), reached: None })
    }
}

impl Catalog {
    /// Notes that the head of a stream has moved.
    pub(super) fn prune(&mut self, scope: &str, stream: &str) {
        self.pruning.insert((scope.to_owned(), stream.to_owned()), Pruning::default());
    }

    /// After everything was read back, forgets the streams whose segments were deleted with the
    /// call that moved the head.
    pub(crate) fn resume(&mut self) {
        let mut pruning = std::mem::take(&mut self.pruning);
        let is_long = |found: &Stream| !found.has_short_history();
        pruning.retain(|(scope, stream), _| self.stream(scope, stream).is_some_and(is_long));
        self.pruning = pruning;
    }

    /// Deletes the next segments before the heads of streams.
    ///
    /// # Errors
    ///
    /// [`CallError::Unavailable`](super::error::CallError::Unavailable) if the journal has failed.
    pub(crate) fn prune_slice(&mut self, step: &mut Step<'_>) -> CallResult<Progress> {
        let Some(mut first) = self.pruning.first_entry() else { return Ok(Progress::Finished) };
        let ((scope, stream), pruning) = (first.key().clone(), std::mem::take(first.get_mut()));
        if !step.store.is_stream_settled(&scope, &stream) {
            *first.get_mut() = pruning;
            return Ok(Progress::Unfinished);
        }
        let mut plan = Plan::new();
        let rest = self
            .stream(&scope, &stream)
            .and_then(|found| plan_pruning(&mut plan, (&scope, &stream), found, pruning, step));
        self.carry_out(plan, step)?;
        match rest {
            Some(rest) => self.pruning.insert((scope, stream), Pruning(Some(rest))),
            None => self.pruning.remove(&(scope, stream)),
        };
        Ok(if self.pruning.is_empty() { Progress::Finished } else { Progress::Unfinished })
    }
}

/// Plans the deletion of the next segments before the head, and returns the rest.
fn plan_pruning(
    plan: &mut Plan,
    (scope, stream): (&str, &str),
    found: &Stream,
    Pruning(begun): Pruning,
    step: &Step<'_>,
) -> Option<Begun> {
    let begun = begun.filter(|begun| begun.first == found.history.first());
    let Some(mut begun) = begun else {
        let begun = found.begin_pruning()?;
        // A long head takes a slice of its own.
        return if found.has_short_history() {
            plan_pruning(plan, (scope, stream), found, Pruning(Some(begun)), step)
        } else {
            Some(begun)
        };
    };
    let mut left = found.history.all_after(begun.reached);
    let mut ends: Vec<(SegmentId, Offset)> = Vec::new();
    for record in left.by_ref().take(SLICE) {
        begun.reached = Some(record.id);
        if found.is_before(&begun.head, &record)
            && let Ok(info) = step.store.info(&names::segment(scope, stream, record.id))
        {
            ends.push((record.id, Offset(info.len as i64)));
        }
    }
    let is_done = left.next().is_none();
    if !ends.is_empty() {
        let ids = ends.iter().map(|(id, _)| *id);
        plan.each(step.many(names::scoped(scope, stream), ids, Each::Deleted), step);
        plan.stream(scope, stream, StreamPart::Ends(ends));
    }
    (!is_done).then_some(begun)
}
