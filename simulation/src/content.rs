//! The content of a stream at the end of a run, read event by event from the bytes of its segments.
//!
//! The checks compare what clients saw with this content only, so it is read independently of how
//! the events were written.

use bytes::BytesMut;
use pravega_sdk_types::{Offset, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::event::{self, EVENT_HEADER_LEN};

use crate::{archive::Archive, cluster::Cluster};

/// An event of a stream's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The segment of the event.
    pub segment: SegmentId,
    /// The offset of the event's header in the segment.
    pub offset: Offset,
    /// The event.
    pub event: Vec<u8>,
}

/// All events of a stream: segment after segment, predecessors first.
///
/// # Panics
///
/// If a segment has bytes that are not whole events.
pub(crate) fn content(cluster: &mut Cluster, stream: &ScopedStream) -> Vec<Stored> {
    let mut all = Vec::new();
    for id in cluster.all_segments(stream) {
        let segment = ScopedSegment::new(stream, id);
        let Some(info) = cluster.info(&segment) else { continue };
        events(id, info.len, &cluster.bytes(&segment), &mut all);
    }
    all
}

/// All events that a stream has ever had, segment after segment in the order of their ids.
///
/// # Panics
///
/// If a segment had bytes that are not whole events.
pub(crate) fn archived(archive: &Archive, stream: &ScopedStream) -> Vec<Stored> {
    let prefix = format!("{stream}/");
    let segments = archive.names(&prefix).filter_map(|name| name.parse::<ScopedSegment>().ok());
    let mut ids: Vec<SegmentId> = segments.map(|segment| segment.id()).collect();
    ids.sort_unstable();
    // The transient segments of large events have the ids of the segments that they merge into.
    ids.dedup();
    let mut all = Vec::new();
    for id in ids {
        let bytes = archive.bytes(&ScopedSegment::new(stream, id).to_string());
        events(id, bytes.len() as u64, &bytes, &mut all);
    }
    all
}

/// Adds the events in the last bytes of a segment of a length.
fn events(segment: SegmentId, len: u64, bytes: &[u8], all: &mut Vec<Stored>) {
    let mut rest = BytesMut::from(bytes);
    while !rest.is_empty() {
        let offset = Offset(len as i64 - rest.len() as i64);
        let event =
            event::take(&mut rest, usize::MAX - EVENT_HEADER_LEN).expect("an event's header");
        let event = event.expect("the last event of a segment is whole");
        all.push(Stored { segment, offset, event: event.to_vec() });
    }
}
