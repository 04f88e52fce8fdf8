//! How many segments a reader should have: Java's rules, which all readers of a group follow.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_types::{ScopedSegment, routing};

use super::{group_state::ReaderGroupState, segment_offsets::SegmentOffsets};

/// The distance from the tail, in milliseconds, that counts for a reader that reports less.
pub(super) const ASSUMED_LAG_MS: i64 = 30_000;
/// The unit of the times between two changes of a reader.
const TIME_UNIT: Duration = Duration::from_secs(1);

/// The shares of the readers in the work of a group: how much each has, which should take segments
/// and how many, which should give one back, and after what time each acts again.
///
/// A reader's size is the number of its segments, weighted by its distance from the tail relative
/// to that of the reader which is furthest from it. Readers act after a time that depends on their
/// rank, so that those with little take segments first and those with much give them back first.
///
/// # Examples
///
/// ```
/// # use pravega_sdk_event_stream::group::{FairShare, GroupInit, GroupUpdate, ReaderGroupState};
/// # use pravega_sdk_types::{Offset, ReaderGroupConfiguration, ScopedSegment};
/// let segment: ScopedSegment = "shop/orders/0.#epoch.0".parse()?;
/// let configuration = ReaderGroupConfiguration::new([segment.scoped_stream()])?;
/// let segments = [(segment.into(), Offset(0).into())];
/// let mut state = ReaderGroupState::new(GroupInit::new(configuration, segments));
/// state.apply(GroupUpdate::AddReader { reader: "r1".into() })?;
/// assert_eq!(FairShare::of(&state).acquire_count("r1"), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FairShare<'a> {
    state: &'a ReaderGroupState,
    sizes: BTreeMap<&'a str, f64>,
}

impl<'a> FairShare<'a> {
    /// Computes the shares of the readers in a group.
    #[must_use]
    pub fn of(state: &'a ReaderGroupState) -> Self {
        let lag = |reader: &str| {
            state.lags.get(reader).map_or(ASSUMED_LAG_MS, |lag| (*lag).max(ASSUMED_LAG_MS))
        };
        let with_segments = state.assigned.iter().filter(|(_, segments)| !segments.is_empty());
        let furthest = with_segments.map(|(reader, _)| lag(reader)).max();
        let furthest = furthest.unwrap_or(ASSUMED_LAG_MS) as f64;
        let size = |(reader, segments): (&'a Arc<str>, &SegmentOffsets)| {
            // Java multiplies in 64 bits, where a lag that was never reported overflows. The ranks
            // must be the same for all readers.
            let weight =
                i64::try_from(segments.len()).unwrap_or(i64::MAX).wrapping_mul(lag(reader));
            (&**reader, if segments.is_empty() { 0.0 } else { weight as f64 / furthest })
        };
        Self { state, sizes: state.assigned.iter().map(size).collect() }
    }

    /// Returns the readers with their sizes, sorted by their names. The size of a reader without
    /// segments is 0.
    pub fn sizes(&self) -> impl ExactSizeIterator<Item = (&'a str, f64)> + '_ {
        self.sizes.iter().map(|(reader, size)| (*reader, *size))
    }

    /// Returns the rank of a reader: 0 has the most to do. Of readers of the same size the one that
    /// is first by its name comes first. `None` means that the reader is not in the group.
    #[must_use]
    pub fn rank(&self, reader: &str) -> Option<usize> {
        let own = *self.sizes.get(reader)?;
        let is_before =
            |(other, size): &(&str, f64)| *size > own || (*size == own && *other < reader);
        Some(self.sizes().filter(is_before).count())
    }

    /// Returns true if a reader should give a segment back: it has several, and more than a whole
    /// segment more than the reader with the least to do.
    #[must_use]
    pub fn owns_too_much(&self, reader: &str) -> bool {
        let segments = self.state.assigned(reader).map_or(0, SegmentOffsets::len);
        let Some(own) = self.sizes.get(reader).filter(|_| segments > 1) else { return false };
        let least = self.sizes.values().copied().fold(f64::INFINITY, f64::min);
        *own > least + self.state.unassigned().len().max(1) as f64
    }

    /// Returns the number of segments that a reader should take: its fair part of all segments, at
    /// least one if there is any without a reader.
    #[must_use]
    pub fn acquire_count(&self, reader: &str) -> usize {
        let (unassigned, readers) = (self.state.unassigned().len(), self.sizes.len());
        let Some(owned) = self.state.assigned(reader).map(SegmentOffsets::len) else {
            return 0;
        };
        if unassigned == 0 {
            return 0;
        }
        let fair = self.state.segment_count() as f32 / readers.max(1) as f32;
        let fair = if fair.fract() >= 0.5 { fair.ceil() } else { fair.floor() } as usize;
        let fair = fair.saturating_sub(owned).min(unassigned);
        fair.max(unassigned / readers.max(1)).max(1)
    }

    /// Returns the segment that a reader gives back first, if it has any.
    #[must_use]
    pub fn release_candidate(&self, reader: &str) -> Option<&'a ScopedSegment> {
        let rank = |segment: &ScopedSegment| routing::release_rank(reader, &segment.to_string());
        let owned = self.state.assigned(reader)?.segments();
        let ranked = owned.map(|segment| (rank(segment), segment));
        ranked.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, segment)| segment)
    }

    /// Returns the time until a reader takes segments again. `None` means that the reader is not in
    /// the group.
    #[must_use]
    pub fn acquire_delay(&self, reader: &str) -> Option<Duration> {
        let from_last = self.sizes.len().saturating_sub(self.rank(reader)?);
        Some(TIME_UNIT.saturating_mul(u32::try_from(from_last).unwrap_or(u32::MAX)))
    }

    /// Returns the time until a reader gives a segment back again. `None` means that the reader is
    /// not in the group.
    #[must_use]
    pub fn release_delay(&self, reader: &str) -> Option<Duration> {
        let from_first = self.rank(reader)?.saturating_add(1);
        Some(TIME_UNIT.saturating_mul(u32::try_from(from_first).unwrap_or(u32::MAX)))
    }
}
