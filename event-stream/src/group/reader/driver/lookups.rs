//! The successors of segments that were read to their ends, which are searched at once and needed
//! after the next checkpoint.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_segment_client::{error::ReadError, machine::Now};
use pravega_sdk_types::{ErrorKind, ScopedSegment};

use super::super::successors::Followers;

/// The searches by segment.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    searches: BTreeMap<ScopedSegment, Search>,
}

#[derive(Debug)]
enum Search {
    /// It began then, or was last reported as stalled then.
    Since(Now),
    Found(Followers),
}

impl Lookups {
    /// Notes that a segment is searched. Returns false if it was before.
    pub(super) fn begin(&mut self, segment: &ScopedSegment, now: Now) -> bool {
        let is_new = !self.searches.contains_key(segment);
        if is_new {
            self.searches.insert(segment.clone(), Search::Since(now));
        }
        is_new
    }

    /// The search of a segment has ended.
    pub(super) fn handle_found(&mut self, segment: &ScopedSegment, found: Followers) {
        if let Some(search) = self.searches.get_mut(segment) {
            *search = Search::Found(found);
        }
    }

    /// Returns the successors of a segment, if they are known.
    pub(super) fn found(&self, segment: &ScopedSegment) -> Option<&Followers> {
        match self.searches.get(segment)? {
            Search::Found(found) => Some(found),
            Search::Since(_) => None,
        }
    }

    /// The segment is not one of the reader any more.
    pub(super) fn forget(&mut self, segment: &ScopedSegment) {
        self.searches.remove(segment);
    }

    /// Returns the error of a search that has found nothing for `limit`, once in that time.
    pub(super) fn poll_stalled(&mut self, limit: Duration, now: Now) -> Option<ReadError> {
        for (segment, search) in &mut self.searches {
            let Search::Since(since) = search else { continue };
            if now < since.saturating_add(limit) {
                continue;
            }
            *since = now;
            let detail = format_args!(
                "the successors of the segment, which was read to its end, could not be found for \
                 {limit:?}"
            );
            let error = ReadError::new(ErrorKind::Unavailable, detail);
            let error = error.with_stream(&segment.scoped_stream());
            return Some(error.with_segment(segment.id(), None, 0));
        }
        None
    }
}
