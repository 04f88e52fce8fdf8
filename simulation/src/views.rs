//! What checks ask a cluster: the bytes, ranges and ends of segments.

use std::collections::BTreeMap;

use pravega_sdk_types::{KeyRange, Offset, ScopedSegment, ScopedStream, SegmentId};

use crate::{World, messages};

impl World {
    /// The segments that take events, with their lengths.
    #[must_use]
    pub fn open_segments(&self, stream: &ScopedStream) -> Vec<(SegmentId, Offset)> {
        let cluster = &mut self.lock().cluster;
        let active = cluster.active_segments(stream).into_iter();
        let open = active.filter_map(|segment| {
            let info = cluster.info(&ScopedSegment::new(stream, segment.id))?;
            Some((segment.id, Offset(info.len as i64))).filter(|_| !info.sealed)
        });
        open.collect()
    }

    /// The bytes of a segment, and the offset of the first one; none if it does not exist.
    #[must_use]
    pub fn bytes(&self, segment: &ScopedSegment) -> (Offset, Vec<u8>) {
        let cluster = &mut self.lock().cluster;
        let start = cluster.info(segment).map_or(0, |info| info.start);
        (Offset(start as i64), cluster.bytes(segment))
    }

    /// The offset at which the bytes of a segment begin; `None` if it does not exist.
    #[must_use]
    pub fn head_of(&self, segment: &ScopedSegment) -> Option<Offset> {
        Some(Offset(self.lock().cluster.info(segment)?.start as i64))
    }

    /// The key range of every segment that a stream has or had.
    #[must_use]
    pub fn ranges(&self, stream: &ScopedStream) -> BTreeMap<SegmentId, KeyRange> {
        let info = messages::stream_info(stream);
        let cluster = &mut self.lock().cluster;
        (0..)
            .map_while(|epoch| {
                cluster.call(|catalog, step| catalog.epoch_segments(&info, epoch, step)).ok()
            })
            .flat_map(|found| messages::segments(&found.segment_ranges))
            .map(|segment| (segment.id, segment.range))
            .collect()
    }
}
