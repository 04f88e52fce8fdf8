//! With what a group begins by its configuration, and begins again when that changes.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pravega_sdk_segment_client::context::SegmentContext;
use pravega_sdk_types::{
    BoundedCut, GroupStream, ReaderGroupConfiguration, ScopedSegment, SegmentOffset, StreamCut,
};

use super::state::{GroupInit, GroupSegment};
use crate::{ReadError, reader::head_cut};

/// How many streams are asked about at once.
const AT_ONCE: usize = 64;

/// Finds the segments with which a group of a configuration begins: those at the heads of its
/// streams, or those of its cuts.
pub(super) async fn init_of(
    context: &SegmentContext,
    configuration: &ReaderGroupConfiguration,
) -> Result<GroupInit, ReadError> {
    // Boxed, as the futures of all streams would be large.
    let starts = configuration.streams().iter().map(|entry| Box::pin(starts_of(context, entry)));
    let starts: Vec<Vec<_>> =
        stream::iter(starts.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    let mut init = GroupInit::new(configuration.clone(), starts.into_iter().flatten());
    for entry in configuration.streams() {
        let ends = entry.to.bounded().into_iter().flat_map(BoundedCut::positions);
        init.ends.extend(ends.map(|(id, end)| (ScopedSegment::new(&entry.stream, id), end)));
    }
    Ok(init)
}

async fn starts_of(
    context: &SegmentContext,
    entry: &GroupStream,
) -> Result<Vec<(GroupSegment, SegmentOffset)>, ReadError> {
    let cut = match &entry.from {
        StreamCut::Unbounded => head_cut(context, &entry.stream).await?,
        StreamCut::At(cut) => cut.clone(),
    };
    let segment = |id| GroupSegment::from(ScopedSegment::new(&entry.stream, id));
    Ok(cut.positions().map(|(id, offset)| (segment(id), offset)).collect())
}
