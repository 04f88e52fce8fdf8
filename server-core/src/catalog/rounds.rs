//! Periodic work about every stream, in slices between which clients are served.

use std::ops::Bound;

use super::{state::Catalog, stream::Stream};
use crate::store::Step;

/// The cost of one slice: a millisecond or two of work.
pub(super) const SLICE: usize = 10_000;
/// The cost of a stream with work, besides its segments and writers.
const STREAM: usize = 100;

/// The name of a stream: a round of work goes on after it. A round begins at the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub(super) scope: String,
    pub(super) stream: String,
}

/// A round of work, some of which takes several slices for one stream.
#[derive(Debug)]
pub(crate) struct Round<W> {
    after: Place,
    /// The work about a stream that is not finished.
    unfinished: Option<W>,
}

impl<W> Default for Round<W> {
    fn default() -> Self {
        Self { after: Place::default(), unfinished: None }
    }
}

impl Catalog {
    /// The streams of the next slice of a round, and where the round goes on; `None` if it ends.
    /// Each stream with work has its number of steps.
    pub(super) fn next_in_round(
        &self,
        after: &Place,
        work: impl Fn(&Stream) -> Option<usize>,
    ) -> (Vec<Place>, Option<Place>) {
        let (mut streams, mut cost) = (Vec::new(), 0);
        let scopes = (Bound::Included(&*after.scope), Bound::Unbounded);
        for (scope, found) in self.scopes.range::<str, _>(scopes) {
            let first = if *scope == after.scope {
                Bound::Excluded(&*after.stream)
            } else {
                Bound::Unbounded
            };
            for (stream, found) in found.streams.range::<str, _>((first, Bound::Unbounded)) {
                let place = || Place { scope: scope.clone(), stream: stream.clone() };
                cost += 1;
                if let Some(steps) = work(found) {
                    cost += STREAM + steps;
                    streams.push(place());
                }
                if cost >= SLICE {
                    return (streams, Some(place()));
                }
            }
        }
        (streams, None)
    }

    /// Does the next slice of a round, and returns the rest; `None` if the round ends. `advance`
    /// does at most a slice of the work about one stream, and returns what is left of it.
    pub(super) fn next_of_round<W>(
        &mut self,
        round: Round<W>,
        work: impl Fn(&Stream) -> Option<usize>,
        begin: impl Fn(Place) -> W,
        advance: impl Fn(&mut Self, W, &mut Step<'_>) -> Option<W>,
        step: &mut Step<'_>,
    ) -> Option<Round<W>> {
        let Round { after, unfinished } = round;
        if let Some(unfinished) = unfinished {
            let unfinished = advance(self, unfinished, step);
            return Some(Round { after, unfinished });
        }
        let (streams, next) = self.next_in_round(&after, work);
        for place in streams {
            let unfinished = advance(self, begin(place.clone()), step);
            if unfinished.is_some() {
                return Some(Round { after: place, unfinished });
            }
        }
        next.map(|after| Round { after, unfinished: None })
    }
}
