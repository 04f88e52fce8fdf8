//! A watermark, and where reading is beside it.

use std::cmp::Ordering;

use pravega_sdk_types::{KeyRange, SegmentId, Timestamp, Watermark, WatermarkSegment};

use super::place::ReadPlace;

/// Where reading is beside a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Passed,
    Partly,
    Ahead,
}

/// A watermark whose segments are found by their ids and by their keys.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    lower_time: Timestamp,
    upper_time: Timestamp,
    /// Sorted by their ids.
    segments: Vec<WatermarkSegment>,
    /// Their indexes, sorted by the begins of their ranges.
    by_key: Vec<u32>,
    /// `None` while it is not compared with the places.
    counts: Option<Counts>,
}

/// The numbers of places that are before a watermark in a part, and after it in one.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    before: usize,
    after: usize,
}

/// Whether a place is before a watermark in a part, and after it in one.
#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    before: bool,
    after: bool,
}

impl Mark {
    pub(super) fn new(mark: &Watermark) -> Self {
        let mut segments = mark.segments().to_vec();
        segments.sort_unstable_by_key(|segment| segment.id);
        let mut by_key: Vec<(f64, u32)> =
            segments.iter().zip(0..).map(|(segment, at)| (segment.range.low(), at)).collect();
        by_key.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        Self {
            lower_time: mark.lower_time(),
            upper_time: mark.upper_time(),
            segments,
            by_key: by_key.into_iter().map(|(_, at)| at).collect(),
            counts: None,
        }
    }

    pub(super) fn lower_time(&self) -> Timestamp {
        self.lower_time
    }

    pub(super) fn upper_time(&self) -> Timestamp {
        self.upper_time
    }

    /// Returns the number of its segments.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Returns the range of a segment, if it names the segment.
    pub(super) fn range(&self, id: SegmentId) -> Option<KeyRange> {
        self.segment(id).map(|segment| segment.range)
    }

    fn segment(&self, id: SegmentId) -> Option<&WatermarkSegment> {
        let at = self.segments.binary_search_by_key(&id, |segment| segment.id).ok()?;
        self.segments.get(at)
    }

    /// Compares it with all places, unless it was and is kept up to date by
    /// [`handle_move`](Self::handle_move).
    pub(super) fn compare(&mut self, places: &[ReadPlace]) {
        if self.counts.is_none() {
            let mut counts = Counts::default();
            places.iter().for_each(|place| counts.add(self.sides_of(place)));
            self.counts = Some(counts);
        }
    }

    /// It is not kept up to date any more.
    pub(super) fn forget_places(&mut self) {
        self.counts = None;
    }

    /// Reading has moved from a place to another one in the same segment.
    pub(super) fn handle_move(&mut self, left: Option<ReadPlace>, reached: Option<ReadPlace>) {
        let Some(mut counts) = self.counts else { return };
        if let Some(left) = left {
            counts.remove(self.sides_of(&left));
        }
        if let Some(reached) = reached {
            counts.add(self.sides_of(&reached));
        }
        self.counts = Some(counts);
    }

    pub(super) fn relation(&self) -> Relation {
        match self.counts {
            Some(Counts { before: 0, .. }) => Relation::Passed,
            Some(Counts { after: 0, .. }) => Relation::Ahead,
            Some(_) | None => Relation::Partly,
        }
    }

    fn sides_of(&self, place: &ReadPlace) -> Sides {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + 1);
        // A segment is compared with itself only, and has one range.
        if let Some(segment) = self.segment(place.id) {
            return match place.offset.cmp(&segment.offset) {
                Ordering::Less => Sides { before: true, after: false },
                Ordering::Equal => Sides::default(),
                Ordering::Greater => Sides { before: false, after: true },
            };
        }
        // Ids rise from a segment to its successors.
        let side = |sides: Sides, id: SegmentId| Sides {
            before: sides.before || place.id < id,
            after: sides.after || place.id > id,
        };
        match place.range {
            Some(range) => self.overlapped(range).fold(Sides::default(), side),
            None => {
                let (first, last) = (self.segments.first(), self.segments.last());
                first.into_iter().chain(last).map(|it| it.id).fold(Sides::default(), side)
            }
        }
    }

    /// Returns the segments that overlap a range.
    fn overlapped(&self, range: KeyRange) -> impl Iterator<Item = SegmentId> {
        let at = |at: &u32| self.segments.get(*at as usize);
        let is_before = |it: &u32| at(it).is_some_and(|it| it.range.high() <= range.low());
        let first = self.by_key.partition_point(is_before);
        let from_first = self.by_key.iter().skip(first).filter_map(at);
        let overlapped = from_first.take_while(move |it| it.range.low() < range.high());
        overlapped.filter(move |it| it.range.overlaps(&range)).map(|it| it.id)
    }
}

impl Counts {
    fn add(&mut self, Sides { before, after }: Sides) {
        self.before += usize::from(before);
        self.after += usize::from(after);
    }

    fn remove(&mut self, Sides { before, after }: Sides) {
        self.before = self.before.saturating_sub(usize::from(before));
        self.after = self.after.saturating_sub(usize::from(after));
    }
}

#[cfg(test)]
impl Mark {
    pub(super) fn counts(&self) -> Option<(usize, usize)> {
        self.counts.map(|counts| (counts.before, counts.after))
    }
}

#[cfg(test)]
thread_local! {
    /// Number of comparisons of a place with a watermark.
    pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
