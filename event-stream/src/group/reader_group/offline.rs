//! Taking a reader out of its group at a position.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_types::{Outcome, Position, ScopedSegment, ScopedStream, SegmentOffset};

use super::{
    access::Result,
    error::ReaderGroupError,
    handle::{ReaderGroup, Removal},
};
use crate::{group::state::GroupUpdate, reader::is_missing};

/// How many segments are asked at once.
const AT_ONCE: usize = 16;

/// Where a reader was in a segment, by a program.
type Place = (ScopedSegment, SegmentOffset);

impl ReaderGroup {
    /// Takes a reader out of the state. `effect` is what is known of it if the future is dropped.
    pub(super) async fn remove(
        &self,
        reader: &str,
        position: Option<&Position>,
        effect: &mut Outcome,
    ) -> Result<Removal> {
        let reader: Arc<str> = reader.into();
        let owned = position.into_iter().flat_map(Position::owned);
        let given: Vec<Place> = owned.map(|(segment, at)| (segment.clone(), at)).collect();
        if !given.is_empty() {
            self.check_ends(&reader, &given).await?;
        }
        let removal = self.access.change(effect, |state, updates| {
            if !state.is_online(&reader) {
                return Ok(Removal::NotInGroup);
            }
            let streams = state.configuration().streams();
            let is_known = |stream: ScopedStream| streams.iter().any(|it| it.stream == stream);
            if !given.is_empty() && !given.iter().any(|(it, _)| is_known(it.scoped_stream())) {
                return Err(ReaderGroupError::invalid(
                    "the position has no segment of a stream that the group reads",
                ));
            }
            let position = given.iter().map(|(segment, at)| (segment, *at));
            let offsets = state.offsets_of_removal(&reader, position);
            updates.push(GroupUpdate::RemoveReader { reader: reader.clone(), offsets });
            Ok(Removal::Removed)
        });
        removal.await?
    }

    /// Refuses a position after the end of a segment that the reader has: no other reader could go
    /// on from it.
    async fn check_ends(&self, reader: &str, given: &[Place]) -> Result<()> {
        let later = self.access.read(|state| {
            let assigned = state.assigned(reader);
            let is_later = |(segment, offset): &&Place| {
                assigned.and_then(|own| own.get(segment)).is_some_and(|stored| *offset > stored)
            };
            given.iter().filter(is_later).cloned().collect::<Vec<Place>>()
        });
        let context = &self.access.context;
        let checks = later.await?.into_iter().map(|(segment, offset)| {
            // Boxed, as the futures of all segments would be large.
            Box::pin(async move {
                let detail = "the segment's length cannot be found";
                let info = match context.inspect(&segment).await {
                    Ok(info) => info,
                    // It was truncated away; the group goes on with its successors.
                    Err(error) if is_missing(&error) => return Ok(()),
                    Err(error) => return Err(error.into_read(&segment, detail).into()),
                };
                let tail = info.write_offset;
                match offset {
                    SegmentOffset::At(offset) if offset.0 > tail => {
                        Err(ReaderGroupError::invalid(format_args!(
                            "the position, {offset}, is after the end of segment {segment}, {tail}"
                        )))
                    }
                    SegmentOffset::End if !info.is_sealed => {
                        Err(ReaderGroupError::invalid(format_args!(
                            "the position is the end of segment {segment}, which is not sealed"
                        )))
                    }
                    SegmentOffset::At(_) | SegmentOffset::End => Ok(()),
                }
            })
        });
        stream::iter(checks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
    }
}
