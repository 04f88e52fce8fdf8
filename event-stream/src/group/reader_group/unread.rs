//! The question how much a group has not read.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_controller_client::CutRange;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream, StreamCut,
};

use super::{
    access::Result,
    begin::edge,
    error::ReaderGroupError,
    handle::ReaderGroup,
    machine::{Extent, Places, UnreadBytes},
};
use crate::reader::is_missing;

/// How many segments are asked at once.
const AT_ONCE: usize = 256;

impl ReaderGroup {
    /// Returns how many bytes the group has not read, with the headers of events: of the group, of
    /// each reader and of each segment, also of segments that begin later. What was truncated does
    /// not count; in a stream with an end only what is before it does.
    ///
    /// Each segment is asked for its length. The positions are those that the readers last wrote,
    /// which they do every few seconds; so the number may be too large by what was read since, and,
    /// right after a reader was taken out at an earlier position, too small until the next reader
    /// has reported.
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration), and if a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn unread_bytes(&self) -> Result<UnreadBytes> {
        let work = async {
            let places = self.access.read(Places::of).await?;
            let mut segments: BTreeSet<ScopedSegment> = places.segments.keys().cloned().collect();
            let later = self.later(&places).await?;
            segments.extend(later);
            let extents = self.extents(segments).await?;
            Ok(places.unread(extents))
        };
        self.access.ask("measuring", work).await
    }

    /// Finds the segments after the places of the group, up to its ends.
    async fn later(&self, places: &Places) -> Result<Vec<ScopedSegment>> {
        let offsets = places.segments.iter().map(|(segment, (_, at))| (segment.clone(), *at));
        let context = &self.access.context;
        let cuts = self.cuts(&offsets.collect()).await?;
        let mut ends = BTreeMap::<ScopedStream, Vec<_>>::new();
        for (segment, end) in &places.ends {
            ends.entry(segment.scoped_stream()).or_default().push((segment.id(), *end));
        }
        let mut later = Vec::new();
        for from in cuts {
            let stream = from.stream().clone();
            let to = match ends.remove(&stream) {
                Some(ends) => {
                    let ends = BoundedCut::new(stream.clone(), ends).map_err(|error| {
                        ReaderGroupError::new(ErrorKind::Corrupt, Outcome::NotApplied, error)
                    })?;
                    StreamCut::from(edge(context, &ends).await?)
                }
                None => StreamCut::Unbounded,
            };
            let range = CutRange::new(edge(context, &from).await?, to);
            let between = context.controller().segments_between(&stream, &range).await;
            let between = between.map_err(|error| {
                ReaderGroupError::caused_by(error, "the segments of a stream cannot be found")
            })?;
            // What the cut has beyond the places of the group was read to its end.
            later.extend(between.into_iter().filter(|it| from.offset(it.id()).is_none()));
        }
        Ok(later)
    }

    async fn extents(
        &self,
        segments: BTreeSet<ScopedSegment>,
    ) -> Result<Vec<(ScopedSegment, Option<Extent>)>> {
        let asking = segments.into_iter().map(|segment| {
            // Boxed, as the futures of all segments would be large.
            Box::pin(async move {
                match self.access.context.inspect(&segment).await {
                    Ok(info) => {
                        let (head, tail) = (Offset(info.start_offset), Offset(info.write_offset));
                        Ok((segment, Some(Extent { head, tail })))
                    }
                    // It was truncated away.
                    Err(error) if is_missing(&error) => Ok((segment, None)),
                    Err(error) => {
                        let detail = "the segment's length cannot be found";
                        Err(ReaderGroupError::from(error.into_read(&segment, detail)))
                    }
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        stream::iter(asking).buffer_unordered(AT_ONCE).try_collect().await
    }
}
