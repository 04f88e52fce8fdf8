//! What checks ask a cluster: the bytes, ranges and ends of segments.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
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

    /// What was appended to a segment, also what is truncated by now, each with its time since the
    /// begin of the cluster.
    #[must_use]
    pub fn appends(&self, segment: &ScopedSegment) -> Vec<(Duration, Bytes)> {
        self.lock().cluster.archive.pieces(&segment.to_string()).to_vec()
    }

    /// The entries that were ever put into a table segment, those that were put together with their
    /// time since the begin of the cluster.
    #[must_use]
    pub fn table_puts(&self, segment: &ScopedSegment) -> Vec<(Duration, Vec<(Bytes, Bytes)>)> {
        self.lock().cluster.archive.puts(&segment.to_string()).to_vec()
    }

    /// The predecessors of every segment that a stream has or had, but for those that have none.
    #[must_use]
    pub fn predecessors(&self, stream: &ScopedStream) -> BTreeMap<SegmentId, Vec<SegmentId>> {
        let cluster = &mut self.lock().cluster;
        let segments = cluster.all_segments(stream).into_iter();
        let followers = segments.flat_map(|id| cluster.successors(&ScopedSegment::new(stream, id)));
        followers.map(|follower| (follower.id, follower.predecessors)).collect()
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
