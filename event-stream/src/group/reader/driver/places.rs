//! How far the group has read a stream.

use std::{
    collections::BTreeMap,
    task::{Context, Poll},
};

use pravega_sdk_types::{ScopedSegment, ScopedStream, SegmentId};

use super::state::GroupDriver;
use crate::time_window::ReadPlace;

impl GroupDriver {
    /// Returns where the group is in a stream: this reader as it is, the others as they have last
    /// reported. It waits while the state is used. Returns `None` if the stream is none of the
    /// group's.
    pub(crate) fn poll_places(
        &mut self,
        stream: &ScopedStream,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Vec<ReadPlace>>> {
        while self.store.is_none() {
            std::task::ready!(self.poll_work(cx));
        }
        let Some(state) = self.state() else { return Poll::Ready(None) };
        if !state.configuration().streams().iter().any(|part| part.stream == *stream) {
            return Poll::Ready(None);
        }
        let of_stream = |segment: &ScopedSegment| {
            segment.stream() == stream.stream() && segment.scope() == stream.scope()
        };
        let reported = state.last_read().iter();
        let reported = reported.filter(|(segment, ..)| of_stream(segment));
        let mut places: BTreeMap<SegmentId, ReadPlace> = reported
            .map(|(segment, range, offset)| {
                (segment.id(), ReadPlace { id: segment.id(), range, offset })
            })
            .collect();
        for (own, offset) in self.machine.ranged_offsets() {
            if of_stream(&own.segment)
                && let Some(place) = places.get_mut(&own.segment.id())
            {
                place.offset = place.offset.max(offset);
            }
        }
        Poll::Ready(Some(places.into_values().collect()))
    }
}
