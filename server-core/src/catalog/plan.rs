//! What a call changes, decided before anything changes.
//!
//! A call reads the catalog and the segments, and makes a plan. The plan is then carried out whole,
//! or refused whole: at the memory limit, or after the journal has failed. No step of it can fail.

use bytestring::ByteString;

use super::{
    change::{Change, Part, StreamPart},
    error::CallResult,
    state::Catalog,
};
use crate::{record::Record, store::Step};

/// The changes of one call, in the order in which they are carried out.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Planned>);

#[derive(Debug)]
enum Planned {
    Segment(Record),
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
    pub(super) fn each<'a>(
        &mut self,
        segments: impl IntoIterator<Item = &'a ByteString>,
        change: impl Fn(&ByteString) -> Option<Record>,
    ) {
        self.0.extend(segments.into_iter().filter_map(change).map(Planned::Segment));
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
            Planned::Entry(change) => self.growth(change),
        };
        plan.0.iter().map(growth).fold(0, i64::saturating_add)
    }
}
