//! What a call changes, decided before anything changes.
//!
//! A call reads the catalog and the segments, and makes a plan. The plan is then carried out whole,
//! or refused whole: at the memory limit, or after the journal has failed. No step of it can fail.

use super::{
    change::{Change, Part, StreamPart},
    error::{CallError, CallResult},
    state::Catalog,
};
use crate::{
    record::{Many, Record},
    store::Step,
};

/// The changes of one call, in the order in which they are carried out.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Planned>);

#[derive(Debug)]
enum Planned {
    Segment(Record),
    /// A change of many segments, and the memory that it takes.
    Many(Many, i64),
    Entry(Change),
}

impl Plan {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a change of a segment, if there is one.
    pub(super) fn segment(&mut self, record: impl Into<Option<Record>>) {
        self.0.extend(record.into().map(Planned::Segment));
    }

    /// Adds a change of each of some segments, where there is one.
    pub(super) fn each(&mut self, many: Many, step: &Step<'_>) {
        if self.is_sliced(&many, step) {
            let growth = step.store.growth_by_many(&many);
            self.sliced(many, growth);
        } else {
            self.0.extend(step.each(&many).map(Planned::Segment));
        }
    }

    /// Adds a change of many segments that is made in slices, and takes some memory.
    pub(super) fn sliced(&mut self, many: Many, growth: i64) {
        self.0.push(Planned::Many(many, growth));
    }

    /// Returns true if a change is made in slices: there are many segments, or an earlier change of
    /// them is made in slices.
    pub(super) fn is_sliced(&self, many: &Many, step: &Step<'_>) -> bool {
        let is_of = |planned: &Planned| match planned {
            Planned::Many(other, _) => other.stream == many.stream,
            _ => false,
        };
        step.is_sliced(many) || self.0.iter().any(is_of)
    }

    pub(super) fn entry(&mut self, change: Change) {
        self.0.push(Planned::Entry(change));
    }

    pub(super) fn scope(&mut self, scope: &str, part: Part) {
        self.entry(Change::new(scope, part));
    }

    pub(super) fn stream(&mut self, scope: &str, stream: &str, part: StreamPart) {
        self.entry(Change::of_stream(scope, stream, part));
    }
}

impl Catalog {
    /// Carries a plan out, or refuses it before anything has changed.
    pub(super) fn carry_out(&mut self, plan: Plan, step: &mut Step<'_>) -> CallResult<()> {
        step.check_growth(self.growth_of(&plan, step))?;
        for planned in plan.0 {
            match planned {
                Planned::Segment(record) => step.carry_out(record),
                Planned::Many(many, growth) => step.carry_out_many(many, growth),
                Planned::Entry(change) => {
                    step.journal.push(change.record());
                    // What it belongs to was found when the plan was made.
                    self.apply(change).ok();
                }
            }
        }
        step.held_elsewhere = self.held();
        Ok(())
    }

    /// The bytes that a plan adds to what the server holds; negative if it frees some.
    fn growth_of(&self, plan: &Plan, step: &Step<'_>) -> i64 {
        let growth = |planned: &Planned| match planned {
            Planned::Segment(record) => step.store.growth(record),
            Planned::Many(_, growth) => *growth,
            Planned::Entry(change) => self.growth(change),
        };
        plan.0.iter().map(growth).fold(0, i64::saturating_add)
    }
}

/// Refuses while changes of many segments of a stream are made, for a call that reads them.
pub(super) fn check_settled(scope: &str, stream: &str, step: &Step<'_>) -> CallResult<()> {
    if step.store.is_stream_settled(scope, stream) {
        return Ok(());
    }
    Err(CallError::Unavailable(format!("the segments of stream {scope}/{stream} are changing")))
}
