//! The deletion of a scope with everything in it, and of a stream with many segments.
//!
//! What is small is deleted at once. What is large is marked as leaving first: from then on no
//! other call knows it. What is in it is deleted in slices, between which other clients are served,
//! and it itself at the end. After a restart the work goes on.
//!
//! A stream leaves as a scope with nothing else in it, whose name, such as `scope:stream:7`, no
//! other scope can have. A stream that is created under the same name meanwhile has segments with
//! higher numbers.

use pravega_sdk_proto::delete_scope_status;
use pravega_sdk_types::{SegmentId, SegmentNumber};

use super::{
    change::{Part, StreamPart},
    error::{CallError, CallResult},
    names,
    plan::Plan,
    state::{Catalog, Scope},
    stream::Stream,
};
use crate::{
    record::Each,
    store::{Progress, Step},
};

/// The segments and entries that are deleted at once: a millisecond or two of work.
const SLICE: usize = 1000;

/// What is between the parts of the name under which a stream leaves. It is in no other name.
const BETWEEN: char = ':';

/// The name under which a stream leaves, with the number of its next segment.
fn leaving_name(scope: &str, stream: &str, number: SegmentNumber) -> String {
    format!("{scope}{BETWEEN}{stream}{BETWEEN}{number}")
}

/// The scope whose segments leave.
fn scope_of(leaving: &str) -> &str {
    leaving.split(BETWEEN).next().unwrap_or(leaving)
}

/// The scope and the stream that leaves; `None` if a whole scope does.
pub(super) fn stream_of(leaving: &str) -> Option<(&str, &str)> {
    let mut parts = leaving.split(BETWEEN);
    Some((parts.next()?, parts.next()?))
}

/// The next part of a deletion.
struct Slice {
    plan: Plan,
    /// The last segment of the first stream that is left.
    reached: Option<SegmentId>,
    progress: Progress,
}

impl Catalog {
    /// Deletes a scope with everything in it. If it has much, the step's progress is
    /// [`Progress::Unfinished`]: [`delete_slice`](Self::delete_slice) does the rest.
    pub fn delete_scope_recursive(
        &mut self,
        scope: &str,
        step: &mut Step<'_>,
    ) -> CallResult<delete_scope_status::Status> {
        use delete_scope_status::Status;
        step.check_growth(0)?;
        if scope == names::SYSTEM_SCOPE {
            return Ok(Status::Failure);
        }
        if self.leaving.contains_key(scope) {
            step.progress = Progress::Unfinished;
            return Ok(Status::Success);
        }
        let Some(found) = self.scopes.get(scope) else {
            return Ok(Status::Success);
        };
        let mut progress = Progress::Unfinished;
        let mut plan = Plan::new();
        if step.store.is_scope_settled(scope) {
            Slice { plan, progress, .. } = self.slice(scope, found, None, step);
        }
        if progress == Progress::Unfinished {
            plan = Plan::new();
            plan.scope(scope, Part::Leaving);
        }
        self.carry_out(plan, step)?;
        if progress == Progress::Unfinished || self.check_not_leaving(scope).is_err() {
            step.progress = Progress::Unfinished;
        }
        Ok(Status::Success)
    }

    /// Plans that a stream leaves if it is large, and the first slice of its deletion, so that it
    /// frees memory; returns [`Progress::Finished`] and plans nothing if it is not.
    pub(super) fn plan_leaving(
        &self,
        plan: &mut Plan,
        scope: &str,
        stream: &str,
        found: &Stream,
        step: &Step<'_>,
    ) -> Progress {
        let transactions = found.transactions.iter().map(|(_, one)| 1 + one.numbers.len());
        if found.history.segment_count() + transactions.sum::<usize>() <= SLICE {
            return Progress::Finished;
        }
        let name = leaving_name(scope, stream, found.history.next_number());
        plan.scope(&name, Part::Leaving);
        for record in found.history.all().take(SLICE) {
            plan.segment(step.deletion(&names::segment(scope, stream, record.id)));
        }
        Progress::Unfinished
    }

    /// Deletes the next slice of the scopes that are leaving.
    ///
    /// # Errors
    ///
    /// [`CallError::Unavailable`] if the journal has failed.
    pub fn delete_slice(&mut self, step: &mut Step<'_>) -> CallResult<Progress> {
        if self.leaving.is_empty() {
            return Ok(Progress::Finished);
        }
        let is_settled = |name: &str| step.store.is_scope_settled(scope_of(name));
        let Some((scope, found)) = self.leaving.iter().find(|(name, _)| is_settled(name)) else {
            return Ok(Progress::Unfinished);
        };
        let scope = scope.clone();
        let Slice { plan, reached, .. } = self.slice(&scope, &found.scope, found.reached, step);
        self.carry_out(plan, step)?;
        if let Some(found) = self.leaving.get_mut(&scope) {
            found.reached = reached;
        }
        let is_finished = self.leaving.is_empty();
        Ok(if is_finished { Progress::Finished } else { Progress::Unfinished })
    }

    /// Refuses while a scope of this name, or a stream of it, is being deleted: its segments have
    /// the names that those of a new one would have.
    pub(super) fn check_not_leaving(&self, scope: &str) -> CallResult<()> {
        if self.leaving.keys().any(|leaving| scope_of(leaving) == scope) {
            return Err(CallError::Unavailable(format!("scope {scope} is being deleted")));
        }
        Ok(())
    }

    /// Plans the next slice of the deletion of a scope; the last one removes the scope itself.
    fn slice(
        &self,
        name: &str,
        scope: &Scope,
        mut reached: Option<SegmentId>,
        step: &Step<'_>,
    ) -> Slice {
        let (mut plan, mut deleted) = (Plan::new(), 0);
        let segments_of = scope_of(name);
        let unfinished = |plan, reached| Slice { plan, reached, progress: Progress::Unfinished };
        for (group, found) in &scope.groups {
            let config = found.config();
            deleted += 1 + config.starting_stream_cuts.len();
            self.plan_unsubscription(&mut plan, &config, None);
            plan.scope(name, Part::Group(group.clone(), None));
            if deleted >= SLICE {
                return unfinished(plan, reached);
            }
        }
        for (table, found) in &scope.tables {
            deleted += 1 + found.plan_deletion(&mut plan, name, table, step);
            plan.scope(name, Part::Table(table.clone(), None));
            if deleted >= SLICE {
                return unfinished(plan, reached);
            }
        }
        for (stream, found) in &scope.streams {
            for (id, transaction) in found.transactions.iter() {
                let ids = transaction.ids(id);
                let parts = step.many(names::scoped(segments_of, stream), ids, Each::Deleted);
                plan.each(parts.of_transaction(id), step);
                deleted += 1 + transaction.numbers.len();
                plan.stream(name, stream, StreamPart::Transaction(id, None));
                if deleted >= SLICE {
                    return unfinished(plan, reached);
                }
            }
            for record in found.history.all_after(reached) {
                deleted += 1;
                plan.segment(step.deletion(&names::segment(segments_of, stream, record.id)));
                reached = Some(record.id);
                if deleted >= SLICE {
                    return unfinished(plan, reached);
                }
            }
            plan.stream(name, stream, StreamPart::State(None));
            reached = None;
        }
        plan.scope(name, Part::Scope(None));
        Slice { plan, reached, progress: Progress::Finished }
    }
}
