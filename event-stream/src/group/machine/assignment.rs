//! Which segments a reader takes and gives back, and when.

use std::{num::NonZeroU32, sync::Arc};

use pravega_sdk_types::{ErrorKind, ScopedSegment, classify, routing};

use super::super::state::{FairShare, ReaderGroupState};

/// Which segments a reader of a group takes, and which it gives back.
///
/// All readers of a group should have the same, as one takes what another has given back by its
/// own rules. Java's readers share fairly.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::group::{GroupReaderConfig, SegmentAssignment, StaticShare};
///
/// // The first of three processes, each of which has its own segments.
/// let share = StaticShare::new(0, 3)?;
/// let config =
///     GroupReaderConfig::default().with_assignment(SegmentAssignment::Static(share));
/// # let _ = config;
/// # Ok::<(), pravega_sdk_event_stream::group::StaticShareError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SegmentAssignment {
    /// Each reader has its fair part of the segments, and gives back what is more, as Java's
    /// readers do.
    #[default]
    Fair,
    /// A reader keeps its segments as long as no other reader is without any: fewer segments move,
    /// and some readers have more of them than others. Segments without a reader are shared fairly.
    Sticky,
    /// A reader has the segments of its share, and no others. Those of a share that no reader has
    /// are not read until one joins that has it.
    Static(StaticShare),
}

/// One of several equal shares of the segments of all streams.
///
/// A segment is in the share of its number in the stream, plus a number that follows from the name
/// of the stream, modulo the count of shares. So each stream is spread over all shares, also after
/// it was scaled, and streams of one segment are, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StaticShare {
    index: u32,
    count: NonZeroU32,
}

/// An index that is not below the count of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("share {index} of {count} does not exist: shares are counted from 0")]
pub struct StaticShareError {
    index: u32,
    count: u32,
}

classify!(StaticShareError, |_| ErrorKind::InvalidArgument);

/// When a reader of a group gives segments to other readers, and goes on with the successors of
/// those that it has read to their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HandOver {
    /// Right after a checkpoint, as Java's readers do: the program has stored its position then.
    #[default]
    AtCheckpoints,
    /// At any time between two events, besides while a checkpoint is due. Groups need no
    /// checkpoints for it, and a change of readers or segments is done soon after the readers have
    /// read the state, which they do once in the
    /// [refresh interval](pravega_sdk_types::ReaderGroupConfiguration::with_refresh_interval).
    ///
    /// An event counts as handled when the next item is asked for. A program that stores the
    /// effects of its events later, such as at checkpoints, loses those of a segment that it has
    /// given back if it ends before.
    ///
    /// The segments of a reader that has *died* are still read on from its last checkpoint, or from
    /// where it took them if there was none since. So a group without checkpoints repeats much
    /// after a death, unless a program takes the reader
    /// [offline](crate::group::ReaderGroup::reader_offline) at a later position.
    BetweenEvents,
}

impl StaticShare {
    /// Creates the share of an index, counted from 0, of `count` shares.
    ///
    /// # Errors
    ///
    /// [`StaticShareError`] if the index is not below the count.
    pub fn new(index: u32, count: u32) -> Result<Self, StaticShareError> {
        match NonZeroU32::new(count) {
            Some(count) if index < count.get() => Ok(Self { index, count }),
            _ => Err(StaticShareError { index, count }),
        }
    }

    /// Returns true if a segment is in the share.
    #[must_use]
    pub fn contains(&self, segment: &ScopedSegment) -> bool {
        let (of_stream, _) = routing::hash_text(0, &segment.scoped_stream().to_string());
        let number = u64::from(segment.id().number().0.cast_unsigned());
        let share = of_stream.wrapping_add(number) % u64::from(self.count.get());
        share == u64::from(self.index)
    }
}

impl SegmentAssignment {
    /// Returns the segments that a reader should take.
    pub(super) fn to_take<'a>(
        self,
        state: &'a ReaderGroupState,
        reader: &str,
    ) -> Vec<&'a ScopedSegment> {
        let unassigned = state.unassigned().segments();
        match self {
            Self::Fair | Self::Sticky => {
                unassigned.take(FairShare::of(state).acquire_count(reader)).collect()
            }
            Self::Static(share) => unassigned.filter(|segment| share.contains(segment)).collect(),
        }
    }

    /// Returns the segment that a reader should give back first, if there is one.
    pub(super) fn to_give_back<'a>(
        self,
        state: &'a ReaderGroupState,
        reader: &str,
    ) -> Option<&'a ScopedSegment> {
        match self {
            Self::Fair | Self::Sticky => {
                let share = FairShare::of(state);
                let is_due = share.owns_too_much(reader) && self.is_wanted(state);
                share.release_candidate(reader).filter(|_| is_due)
            }
            Self::Static(share) => {
                state.assigned(reader)?.segments().find(|segment| !share.contains(segment))
            }
        }
    }

    /// Returns true if a segment that a reader has should still be given back.
    pub(super) fn gives_back(
        self,
        state: &ReaderGroupState,
        reader: &str,
        segment: &ScopedSegment,
    ) -> bool {
        match self {
            Self::Fair | Self::Sticky => {
                FairShare::of(state).owns_too_much(reader) && self.is_wanted(state)
            }
            Self::Static(share) => !share.contains(segment),
        }
    }

    /// Returns true if another reader needs a segment that is given back.
    fn is_wanted(self, state: &ReaderGroupState) -> bool {
        let is_idle =
            |reader: &&Arc<str>| state.assigned(reader).is_none_or(|segments| segments.is_empty());
        match self {
            Self::Sticky => state.readers().filter(is_idle).count() > state.unassigned().len(),
            Self::Fair | Self::Static(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::SegmentId;

    use super::*;

    #[test]
    fn each_segment_is_in_one_share_and_each_stream_is_spread_over_all() {
        for stream in ["s/a", "s/b", "t/a"] {
            for count in [1, 3, 7] {
                let shares: Vec<_> =
                    (0..count).map(|index| StaticShare::new(index, count).unwrap()).collect();
                let mut sizes = vec![0; shares.len()];
                for number in 0..i64::from(count) * 5 {
                    // Its epoch has no effect.
                    let id = SegmentId::from((number % 3) << 32 | number);
                    let segment = ScopedSegment::new(&stream.parse().unwrap(), id);
                    let own: Vec<_> =
                        (0..shares.len()).filter(|at| shares[*at].contains(&segment)).collect();
                    assert_eq!(own.len(), 1, "{segment}");
                    sizes[own[0]] += 1;
                }
                assert_eq!(sizes, vec![5; shares.len()]);
            }
        }
    }

    #[test]
    fn a_share_that_does_not_exist_is_refused() {
        for (index, count) in [(0, 0), (3, 3), (u32::MAX, 1)] {
            let refused = StaticShare::new(index, count).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
            assert!(refused.to_string().contains(&format!("{index} of {count}")), "{refused}");
        }
    }
}
