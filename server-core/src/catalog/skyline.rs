//! The earliest and the latest epoch at each key of some segments.
//!
//! ```text
//! segments      [ epoch 0        ][ epoch 2 ]
//!                    [ epoch 1        ]
//! earliest      [ 0      ][ 0 ][ 1 ][   2   ]      one entry between two bounds
//! latest        [ 0      ][ 1 ][ 2 ][   2   ]
//! ```
//!
//! A cut comes from a client and may name any segments, so every question about the segments that
//! share keys with another is answered from this in logarithmic time: two cuts of n segments are
//! compared in n log n steps, whatever they name. Segments of one epoch share no key, so a segment
//! that shares a key with one of its own epoch is that segment.

use std::collections::BTreeMap;

use pravega_sdk_types::Epoch;

use super::history::SegmentRecord;

/// The earliest and the latest epoch in which the segments at a key were created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epochs {
    pub(super) earliest: Epoch,
    pub(super) latest: Epoch,
}

/// The epochs of segments by key.
#[derive(Debug)]
pub(super) struct Skyline {
    /// The bounds of the segments, in order, each once.
    bounds: Vec<f64>,
    /// In the first level for each part between two bounds the epochs there; in each further level
    /// for twice as many neighbouring parts.
    levels: Vec<Vec<Option<Epochs>>>,
}

impl Skyline {
    pub(super) fn new<'a>(segments: impl Iterator<Item = &'a SegmentRecord> + Clone) -> Self {
        let mut bounds: Vec<f64> =
            segments.clone().flat_map(|segment| [segment.low, segment.high]).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let mut first = parts(&bounds, segments);
        first.truncate(bounds.len().saturating_sub(1));
        let mut levels = vec![first];
        let mut width = 1;
        while let Some(last) = levels.last().filter(|level| level.len() > width) {
            let joined = last.iter().zip(last.iter().skip(width));
            let next = joined.map(|(one, other)| join(*one, *other)).collect();
            levels.push(next);
            width *= 2;
        }
        Self { bounds, levels }
    }

    /// The epochs of the segments that share keys with a segment; `None` if there are none.
    pub(super) fn across(&self, segment: &SegmentRecord) -> Option<Epochs> {
        // The part i lies between the bounds i and i + 1.
        let first = self.bounds.partition_point(|bound| *bound <= segment.low).saturating_sub(1);
        let end = self.bounds.partition_point(|bound| *bound < segment.high);
        let end = end.min(self.bounds.len().saturating_sub(1));
        let count = end.checked_sub(first).filter(|count| *count > 0)?;
        let level = count.ilog2();
        let level_of = self.levels.get(level as usize)?;
        let (one, other) = (level_of.get(first)?, level_of.get(end - (1 << level))?);
        join(*one, *other)
    }
}

/// The epochs of each part, from one bound to the next.
fn parts<'a>(
    bounds: &[f64],
    segments: impl Iterator<Item = &'a SegmentRecord>,
) -> Vec<Option<Epochs>> {
    let mut begin: Vec<Vec<Epoch>> = vec![Vec::new(); bounds.len()];
    let mut end = begin.clone();
    let at = |key: f64| bounds.partition_point(|bound| bound.total_cmp(&key).is_lt());
    for segment in segments {
        for (lists, key) in [(&mut begin, segment.low), (&mut end, segment.high)] {
            if let Some(list) = lists.get_mut(at(key)) {
                list.push(segment.epoch_created());
            }
        }
    }
    let mut open: BTreeMap<Epoch, usize> = BTreeMap::new();
    let sweep = |(begin, end): (Vec<Epoch>, Vec<Epoch>)| {
        for epoch in end {
            if let Some(count) = open.get_mut(&epoch) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&epoch);
                }
            }
        }
        for epoch in begin {
            *open.entry(epoch).or_default() += 1;
        }
        let (earliest, latest) = (open.first_key_value()?, open.last_key_value()?);
        Some(Epochs { earliest: *earliest.0, latest: *latest.0 })
    };
    begin.into_iter().zip(end).map(sweep).collect()
}

fn join(one: Option<Epochs>, other: Option<Epochs>) -> Option<Epochs> {
    let (Some(a), Some(b)) = (one, other) else {
        return one.or(other);
    };
    Some(Epochs { earliest: a.earliest.min(b.earliest), latest: a.latest.max(b.latest) })
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{SegmentId, SegmentNumber};

    use super::*;

    #[test]
    fn the_epochs_across_any_segment_are_those_of_the_segments_that_share_keys_with_it() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let count = random.usize(0..12);
            let mut record = || {
                let (a, b) = (random.u32(0..40), random.u32(0..40));
                let (low, high) = (a.min(b), a.max(b) + 1);
                SegmentRecord {
                    id: SegmentId::new(Epoch(random.i32(0..9)), SegmentNumber(1)),
                    low: f64::from(low) / 41.0,
                    high: f64::from(high) / 41.0,
                }
            };
            let segments: Vec<SegmentRecord> = (0..count).map(|_| record()).collect();
            let skyline = Skyline::new(segments.iter());
            for _ in 0..20 {
                let asked = record();
                let met = segments.iter().filter(|segment| segment.overlaps(asked));
                let epochs: Vec<Epoch> = met.map(|segment| segment.epoch_created()).collect();
                let expected = epochs.iter().min().zip(epochs.iter().max());
                let found = skyline.across(&asked).map(|found| (found.earliest, found.latest));
                assert_eq!(found, expected.map(|(a, b)| (*a, *b)), "{asked:?} of {segments:?}");
            }
        }
    }
}
