//! Which watermarks were passed, and which are ahead.
//!
//! A watermark is passed when reading is at it or after it in the whole key space. It is ahead when
//! reading is before it in a part and after it in none.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use pravega_sdk_types::{KeyRange, SegmentId, SegmentOffset, Timestamp, Watermark};

use super::window::TimeWindow;

/// Watermarks that are kept. If more are neither passed nor the first that is ahead, every second
/// one is left out, also of those that follow: the lower bound then advances in larger steps.
const MAX_MARKS: usize = 1024;
/// Segments of all watermarks that are kept, 40 bytes each.
const MAX_SEGMENTS: usize = 32_768;

/// How far a segment of a stream is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadPlace {
    pub(crate) id: SegmentId,
    /// Its part of the key space, if it is known.
    pub(crate) range: Option<KeyRange>,
    pub(crate) offset: SegmentOffset,
}

/// Where reading is beside a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Passed,
    Partly,
    Ahead,
}

/// The times between which reading of one stream is.
#[derive(Debug)]
pub(super) struct WindowMachine {
    places: Vec<ReadPlace>,
    /// The ranges of segments that watermarks have named, for places without one.
    ranges: BTreeMap<SegmentId, KeyRange>,
    passed: Option<Timestamp>,
    /// Those that are not passed, in the order in which they were made. At most the last one is
    /// ahead.
    marks: VecDeque<Watermark>,
    /// One of so many is kept, besides the last one.
    step: usize,
    /// Those since the last one that is kept.
    since_kept: usize,
}

impl Default for WindowMachine {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            ranges: BTreeMap::new(),
            passed: None,
            marks: VecDeque::new(),
            step: 1,
            since_kept: 0,
        }
    }
}

impl WindowMachine {
    /// Reading is at these places, one for each segment that is not read to its end.
    pub(super) fn handle_places(&mut self, places: Vec<ReadPlace>) {
        let ids: BTreeSet<SegmentId> = places.iter().map(|place| place.id).collect();
        self.ranges.retain(|id, _| ids.contains(id));
        self.places = places;
        while let Some(mark) = self.marks.front()
            && self.relation(mark) == Relation::Passed
        {
            self.pass(mark.lower_time());
            self.marks.pop_front();
        }
        if self.marks.is_empty() {
            (self.step, self.since_kept) = (1, 0);
        }
    }

    /// Returns true if the window needs the next watermark, if there is one.
    pub(super) fn needs_mark(&self) -> bool {
        self.marks.back().is_none_or(|last| self.relation(last) != Relation::Ahead)
    }

    /// The next watermark was read.
    pub(super) fn handle_mark(&mut self, mark: Watermark) {
        for place in self.places.iter().filter(|place| place.range.is_none()) {
            let named = mark.segments().iter().find(|segment| segment.id == place.id);
            if let Some(segment) = named {
                self.ranges.insert(place.id, segment.range);
            }
        }
        if self.relation(&mark) == Relation::Passed {
            return self.pass(mark.lower_time());
        }
        if self.since_kept > 0 {
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
        self.since_kept = (self.since_kept + 1) % self.step;
        let segments: usize = self.marks.iter().map(|mark| mark.segments().len()).sum();
        if self.marks.len() > MAX_MARKS || segments > MAX_SEGMENTS {
            self.thin_out();
        }
    }

    /// Returns the times between which reading is.
    pub(super) fn window(&self) -> TimeWindow {
        let ahead = self.marks.back().filter(|last| self.relation(last) == Relation::Ahead);
        TimeWindow::new(self.passed, ahead.map(Watermark::upper_time))
    }

    fn pass(&mut self, lower_time: Timestamp) {
        // Readers that died may have gone back.
        self.passed = self.passed.max(Some(lower_time));
    }

    /// Leaves every second watermark out, but not the last one.
    fn thin_out(&mut self) {
        let (mut number, len) = (0, self.marks.len());
        self.marks.retain(|_| {
            number += 1;
            (len - number).is_multiple_of(2)
        });
        (self.step, self.since_kept) = (self.step.saturating_mul(2), 0);
    }

    fn relation(&self, mark: &Watermark) -> Relation {
        let (mut is_before, mut is_after) = (false, false);
        for place in &self.places {
            // A segment is compared with itself only, and has one range.
            let named = mark.segments().iter().find(|segment| segment.id == place.id);
            if let Some(segment) = named {
                match place.offset.cmp(&segment.offset) {
                    Ordering::Less => is_before = true,
                    Ordering::Equal => {}
                    Ordering::Greater => is_after = true,
                }
                continue;
            }
            let range = place.range.or_else(|| self.ranges.get(&place.id).copied());
            for segment in mark.segments() {
                if range.is_none_or(|range| range.overlaps(&segment.range)) {
                    // Ids rise from a segment to its successors.
                    is_before |= place.id < segment.id;
                    is_after |= place.id > segment.id;
                }
            }
        }
        match (is_before, is_after) {
            (false, _) => Relation::Passed,
            (true, false) => Relation::Ahead,
            (true, true) => Relation::Partly,
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::WatermarkSegment;
    use proptest::prelude::*;

    use super::*;

    const EPOCH: i64 = 1 << 32;

    fn mark(time: i64, segments: &[(i64, f64, f64, i64)]) -> Watermark {
        let segments: Vec<_> = segments
            .iter()
            .map(|(id, low, high, offset)| {
                let range = KeyRange::new(*low, *high).unwrap();
                let offset = SegmentOffset::from_wire(*offset);
                WatermarkSegment::new(SegmentId::from(*id), range, offset)
            })
            .collect();
        let times = (Timestamp::from_millis(time), Timestamp::from_millis(time + 5));
        let bytes = Watermark::encode(times.0, times.1, &segments).unwrap();
        Watermark::from_bytes(&bytes).unwrap()
    }

    fn place(id: i64, range: Option<(f64, f64)>, offset: i64) -> ReadPlace {
        ReadPlace {
            id: SegmentId::from(id),
            range: range.map(|(low, high)| KeyRange::new(low, high).unwrap()),
            offset: SegmentOffset::from_wire(offset),
        }
    }

    fn times(machine: &WindowMachine) -> (Option<i64>, Option<i64>) {
        let window = machine.window();
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millis);
        (millis(window.lower()), millis(window.upper()))
    }

    fn follow(machine: &mut WindowMachine, marks: &mut VecDeque<Watermark>) {
        while machine.needs_mark()
            && let Some(next) = marks.pop_front()
        {
            machine.handle_mark(next);
        }
    }

    #[test]
    fn the_window_is_between_the_last_mark_that_was_passed_and_the_first_ahead() {
        let at = |offset: i64| vec![place(0, None, offset)];
        let mut marks: VecDeque<_> =
            [(10, 100), (20, 200), (30, 300)].map(|(t, o)| mark(t, &[(0, 0.0, 1.0, o)])).into();
        let mut machine = WindowMachine::default();
        for (offset, expected, left) in [
            (50, (None, Some(15)), 2),
            (99, (None, Some(15)), 2),
            // At a mark, it is passed.
            (100, (Some(10), Some(25)), 1),
            (299, (Some(20), Some(35)), 0),
            (400, (Some(30), None), 0),
            // Reading went back: the time does not.
            (10, (Some(30), None), 0),
        ] {
            machine.handle_places(at(offset));
            follow(&mut machine, &mut marks);
            assert_eq!(times(&machine), expected, "at {offset}");
            assert_eq!(marks.len(), left, "marks are read when they are needed");
        }
    }

    #[test]
    fn each_part_of_the_key_space_must_have_passed_a_mark() {
        let marks = || {
            VecDeque::from([
                mark(10, &[(0, 0.0, 0.5, 100), (1, 0.5, 1.0, 100)]),
                mark(20, &[(0, 0.0, 0.5, -1), (1, 0.5, 1.0, 200)]),
                mark(30, &[(EPOCH | 2, 0.0, 0.5, 50), (1, 0.5, 1.0, 300)]),
            ])
        };
        for (places, expected) in [
            (vec![place(0, None, 100), place(1, None, 99)], (None, Some(15))),
            (vec![place(0, None, 100), place(1, None, 100)], (Some(10), Some(25))),
            (vec![place(0, None, -1), place(1, None, 200)], (Some(20), Some(35))),
            // The successor of 0 is read: 0 is passed, and 1 is not.
            (
                vec![place(EPOCH | 2, Some((0.0, 0.5)), 7), place(1, None, 150)],
                (Some(10), Some(35)),
            ),
            (vec![place(EPOCH | 2, Some((0.0, 0.5)), 7), place(1, None, 900)], (Some(20), None)),
            (vec![place(EPOCH | 2, Some((0.0, 0.5)), 50), place(1, None, 900)], (Some(30), None)),
            // Everything was read.
            (Vec::new(), (Some(30), None)),
        ] {
            let (mut machine, mut marks) = (WindowMachine::default(), marks());
            machine.handle_places(places.clone());
            follow(&mut machine, &mut marks);
            assert_eq!(times(&machine), expected, "{places:?}");
        }
    }

    #[test]
    fn the_range_of_a_segment_is_learned_from_marks() {
        let mut machine = WindowMachine::default();
        machine.handle_places(vec![place(0, None, 150), place(1, None, 150)]);
        machine.handle_mark(mark(10, &[(0, 0.0, 0.5, 100), (1, 0.5, 1.0, 100)]));
        // Segment 0 was split. Segment 1 is not compared with its successors.
        let split = [(EPOCH | 2, 0.0, 0.25, 1), (EPOCH | 3, 0.25, 0.5, 1), (1, 0.5, 1.0, 120)];
        machine.handle_mark(mark(20, &split));
        machine.handle_places(vec![
            place(EPOCH | 2, Some((0.0, 0.25)), 1),
            place(EPOCH | 3, Some((0.25, 0.5)), 1),
            place(1, None, 150),
        ]);
        assert_eq!(times(&machine), (Some(20), None));
    }

    #[test]
    fn marks_between_segments_that_are_far_apart_are_kept_within_limits() {
        let mut machine = WindowMachine::default();
        let at = |first: i64| vec![place(0, None, first), place(1, None, i64::MAX)];
        machine.handle_places(at(0));
        let count = 100_000;
        for number in 1..=count {
            assert!(machine.needs_mark());
            machine.handle_mark(mark(number, &[(0, 0.0, 0.5, number), (1, 0.5, 1.0, number)]));
            assert!(machine.marks.len() <= MAX_MARKS);
        }
        assert_eq!(times(&machine), (None, None));
        machine.handle_places(at(count / 2));
        let lower = times(&machine).0.unwrap();
        assert!((count / 2 - 300..=count / 2).contains(&lower), "{lower}");
        machine.handle_places(at(count));
        assert_eq!(times(&machine), (Some(count), None));
    }

    proptest! {
        /// Two segments, each written in the order of the times, and read in any steps.
        #[test]
        fn the_time_never_goes_back_nor_passes_an_event_that_is_not_read(
            steps in prop::collection::vec((0..2_usize, 1..40_i64), 1..60),
            known in any::<bool>(),
        ) {
            // The event of a segment at offset n has the time n.
            let mut marks: VecDeque<_> = (1..20)
                .map(|n| n * 50)
                .map(|at| mark(at, &[(0, 0.0, 0.5, at), (1, 0.5, 1.0, at + 5)]))
                .collect();
            let mut machine = WindowMachine::default();
            let (mut read, mut latest) = ([0, 0], None);
            for (segment, count) in steps {
                read[segment] += count;
                let ranges = [(0.0, 0.5), (0.5, 1.0)].map(|range| known.then_some(range));
                let places = [0, 1].map(|at| place(at as i64, ranges[at], read[at]));
                machine.handle_places(places.to_vec());
                follow(&mut machine, &mut marks);
                let (lower, upper) = times(&machine);
                prop_assert!(lower >= latest, "{lower:?} is before {latest:?}");
                latest = lower;
                let unread = read[0].min(read[1]);
                prop_assert!(lower.is_none_or(|time| time <= unread), "{lower:?}, read {read:?}");
                let newest = read[0].max(read[1]) - 1;
                prop_assert!(upper.is_none_or(|time| time >= newest), "{upper:?}, read {read:?}");
            }
        }
    }
}
