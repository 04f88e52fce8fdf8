//! How far the group has read a stream.

use std::{
    collections::BTreeMap,
    task::{Context, Poll},
};

use pravega_sdk_segment_client::error::ReadError;
use pravega_sdk_types::{ScopedSegment, ScopedStream, SegmentId};

use super::state::GroupDriver;
use crate::time_window::ReadPlace;

impl GroupDriver {
    /// Returns where the group is in a stream: this reader as it is, the others as they have last
    /// reported, and segments without a reader where the next one begins. It waits while the state
    /// is used. Returns `None` if the stream is none of the group's.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the runtime of the reader has ended.
    pub(crate) fn poll_places(
        &mut self,
        stream: &ScopedStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<ReadPlace>>, ReadError>> {
        loop {
            if let Some(ended) = self.reads.ended() {
                return Poll::Ready(Err(ended));
            }
            if self.store.is_some() {
                break;
            }
            std::task::ready!(self.poll_work(cx));
        }
        let Some(state) = self.state() else { return Poll::Ready(Ok(None)) };
        if !state.configuration().streams().iter().any(|part| part.stream == *stream) {
            return Poll::Ready(Ok(None));
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
        // A reader that has died had reported more than is read again now.
        let free = state.unassigned().iter().map(|(segment, _, offset)| (segment.clone(), offset));
        for (segment, offset) in free.chain(self.machine.offsets()) {
            if of_stream(&segment)
                && let Some(place) = places.get_mut(&segment.id())
            {
                place.offset = offset;
            }
        }
        Poll::Ready(Ok(Some(places.into_values().collect())))
    }
}
