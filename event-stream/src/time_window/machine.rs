//! Which watermarks were passed, and which are ahead.
//!
//! A watermark is passed when reading is at it or after it in the whole key space. It is ahead when
//! reading is before it in a part and after it in none.
//!
//! Only the first and the last watermark that are kept are compared with the places, and of the
//! places only those that have changed.

use std::collections::VecDeque;

use pravega_sdk_types::{SegmentId, Timestamp, Watermark};

use super::{
    mark::{Mark, Relation},
    place::ReadPlace,
    window::TimeWindow,
};

/// Watermarks that are kept. If more are neither passed nor the first that is ahead, every second
/// one is left out, also of those that follow, until there are fewer again: the lower bound then
/// advances in larger steps.
const MAX_MARKS: usize = 1024;
/// Segments of all watermarks that are kept, 44 bytes each.
const MAX_SEGMENTS: usize = 32_768;

/// A place that was left, and the one that was reached, in the same segment.
type Move = (Option<ReadPlace>, Option<ReadPlace>);

/// The times between which reading of one stream is.
#[derive(Debug)]
pub(super) struct WindowMachine {
    /// The places, sorted by their segments. A range that is not given is that which a watermark
    /// has named.
    places: Vec<ReadPlace>,
    /// The segments of the places whose ranges are not known.
    without_range: Vec<SegmentId>,
    passed: Option<Timestamp>,
    /// Those that are not passed, in the order in which they were made. At most the last one is
    /// ahead. The first and the last are compared with the places.
    marks: VecDeque<Mark>,
    /// Number of segments of all of them.
    segments: usize,
    /// One of so many is kept, besides the last one.
    step: usize,
    /// Those since the last one that is kept.
    since_kept: usize,
}

impl Default for WindowMachine {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            without_range: Vec::new(),
            passed: None,
            marks: VecDeque::new(),
            segments: 0,
            step: 1,
            since_kept: 0,
        }
    }
}

impl WindowMachine {
    /// Reading is at these places, one for each segment that is not read to its end.
    pub(super) fn handle_places(&mut self, places: Vec<ReadPlace>) {
        let moves = self.replace_places(places);
        self.compare_moves(&moves);
        while let Some(first) = self.marks.front()
            && first.relation() == Relation::Passed
        {
            let (lower_time, segments) = (first.lower_time(), first.len());
            self.pass(lower_time);
            self.segments -= segments;
            self.marks.pop_front();
            self.compare_ends();
        }
        if self.marks.is_empty() {
            (self.step, self.since_kept) = (1, 0);
        } else if self.step > 1
            && self.marks.len() < MAX_MARKS / 4
            && self.segments < MAX_SEGMENTS / 4
        {
            self.step /= 2;
            self.since_kept %= self.step;
        }
    }

    /// Replaces the places, and returns those that differ.
    fn replace_places(&mut self, mut places: Vec<ReadPlace>) -> Vec<Move> {
        places.sort_unstable_by_key(|place| place.id);
        let before = std::mem::take(&mut self.places);
        let (mut before, mut moves) = (before.into_iter().peekable(), Vec::new());
        for place in &mut places {
            while let Some(left) = before.next_if(|known| known.id < place.id) {
                moves.push((Some(left), None));
            }
            let known = before.next_if(|known| known.id == place.id);
            place.range = place.range.or(known.and_then(|known| known.range));
            if known != Some(*place) {
                moves.push((known, Some(*place)));
            }
        }
        moves.extend(before.map(|left| (Some(left), None)));
        let unknown = places.iter().filter(|place| place.range.is_none());
        self.without_range = unknown.map(|place| place.id).collect();
        self.places = places;
        moves
    }

    /// Returns true if the window needs the next watermark, if there is one.
    pub(super) fn needs_mark(&self) -> bool {
        self.marks.back().is_none_or(|last| last.relation() != Relation::Ahead)
    }

    /// The next watermark was read.
    pub(super) fn handle_mark(&mut self, mark: &Watermark) {
        let mut mark = Mark::new(mark);
        self.learn_ranges(&mark);
        mark.compare(&self.places);
        if mark.relation() == Relation::Passed {
            return self.pass(mark.lower_time());
        }
        if self.since_kept > 0
            && let Some(left_out) = self.marks.pop_back()
        {
            self.segments -= left_out.len();
        }
        if self.marks.len() > 1
            && let Some(between) = self.marks.back_mut()
        {
            between.forget_places();
        }
        self.segments += mark.len();
        self.marks.push_back(mark);
        self.since_kept = (self.since_kept + 1) % self.step;
        if self.marks.len() > MAX_MARKS || self.segments > MAX_SEGMENTS {
            self.thin_out();
        }
    }

    /// Notes the ranges of places that a watermark names.
    fn learn_ranges(&mut self, mark: &Mark) {
        let (places, mut moves) = (&mut self.places, Vec::new());
        self.without_range.retain(|id| {
            let Some(range) = mark.range(*id) else { return true };
            if let Ok(at) = places.binary_search_by_key(id, |place| place.id)
                && let Some(place) = places.get_mut(at)
            {
                let known = *place;
                place.range = Some(range);
                moves.push((Some(known), Some(*place)));
            }
            false
        });
        self.compare_moves(&moves);
    }

    /// Returns the times between which reading is.
    pub(super) fn window(&self) -> TimeWindow {
        let ahead = self.marks.back().filter(|last| last.relation() == Relation::Ahead);
        TimeWindow::new(self.passed, ahead.map(Mark::upper_time))
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
        self.segments = self.marks.iter().map(Mark::len).sum();
        (self.step, self.since_kept) = (self.step.saturating_mul(2), 0);
        self.compare_ends();
    }

    /// Compares the first and the last watermark with the places that have changed.
    fn compare_moves(&mut self, moves: &[Move]) {
        let last = self.marks.len().saturating_sub(1);
        for at in [0, last].into_iter().take(self.marks.len().min(2)) {
            if let Some(mark) = self.marks.get_mut(at) {
                moves.iter().for_each(|(left, reached)| mark.handle_move(*left, *reached));
            }
        }
    }

    /// Compares the first watermark with all places if it was not the first before.
    fn compare_ends(&mut self) {
        if let Some(first) = self.marks.front_mut() {
            first.compare(&self.places);
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{KeyRange, SegmentOffset, WatermarkSegment};
    use proptest::prelude::*;

    use super::{super::mark::COMPARED, *};

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
            machine.handle_mark(&next);
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
        machine.handle_mark(&mark(10, &[(0, 0.0, 0.5, 100), (1, 0.5, 1.0, 100)]));
        // Segment 0 was split. Segment 1 is not compared with its successors.
        let split = [(EPOCH | 2, 0.0, 0.25, 1), (EPOCH | 3, 0.25, 0.5, 1), (1, 0.5, 1.0, 120)];
        machine.handle_mark(&mark(20, &split));
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
            machine.handle_mark(&mark(number, &[(0, 0.0, 0.5, number), (1, 0.5, 1.0, number)]));
            assert!(machine.marks.len() <= MAX_MARKS);
        }
        assert_eq!(times(&machine), (None, None));
        machine.handle_places(at(count / 2));
        let lower = times(&machine).0.unwrap();
        assert!((count / 2 - 300..=count / 2).contains(&lower), "{lower}");
        machine.handle_places(at(count));
        assert_eq!(times(&machine), (Some(count), None));
    }

    #[test]
    fn the_steps_are_small_again_when_the_segments_are_close_together_again() {
        let mut machine = WindowMachine::default();
        let at = |first: i64, second| vec![place(0, None, first), place(1, None, second)];
        let both = |at| mark(at, &[(0, 0.0, 0.5, at), (1, 0.5, 1.0, at)]);
        machine.handle_places(at(0, i64::MAX));
        let count = 100_000;
        (1..=count).for_each(|number| machine.handle_mark(&both(number)));
        // One segment stays three watermarks before the other.
        for number in count + 1..count + 50 {
            machine.handle_places(at(number - 3, number));
            machine.handle_mark(&both(number));
        }
        let lower = times(&machine).0.unwrap();
        assert!(lower >= count + 40, "{lower} is far before {}", count + 46);
    }

    #[test]
    fn a_place_is_compared_when_it_has_changed() {
        let count = 1000;
        let width = 1.0 / count as f64;
        let named = |at: i64| -> Vec<_> {
            let range = |number: i64| (number as f64 * width, (number + 1) as f64 * width);
            (0..count).map(|number| (number, range(number).0, range(number).1, at)).collect()
        };
        let mut machine = WindowMachine::default();
        let mut places: Vec<_> = (0..count).map(|number| place(number, None, 0)).collect();
        machine.handle_places(places.clone());
        machine.handle_mark(&mark(1, &named(10)));
        let before = COMPARED.get();
        for number in 0..100 {
            places[number].offset = SegmentOffset::from_wire(7);
            machine.handle_places(places.clone());
            assert!(!machine.needs_mark());
            assert_eq!(times(&machine), (None, Some(6)));
        }
        let compared = COMPARED.get() - before;
        assert!(compared <= 400, "{compared} comparisons for 100 moves");
    }

    proptest! {
        /// Segments 0 and 1 are split in any order, and both halves of each are merged again.
        #[test]
        fn what_is_kept_of_the_comparisons_is_what_they_would_show(
            steps in prop::collection::vec(
                (any::<bool>(), 0..4_usize, 0..4_usize, 0..6_i64), 1..80,
            ),
        ) {
            let halves = [
                [vec![(0, 0.0, 0.5)], vec![(1, 0.5, 1.0)]],
                [
                    vec![(EPOCH | 2, 0.0, 0.25), (EPOCH | 3, 0.25, 0.5)],
                    vec![((2 * EPOCH) | 4, 0.5, 0.75), ((2 * EPOCH) | 5, 0.75, 1.0)],
                ],
                [vec![(EPOCH | 2, 0.0, 0.25), ((3 * EPOCH) | 6, 0.25, 0.5)], vec![(1, 0.5, 1.0)]],
                [vec![((4 * EPOCH) | 7, 0.0, 0.5)], vec![((4 * EPOCH) | 8, 0.5, 1.0)]],
            ];
            let mut machine = WindowMachine::default();
            for (number, (is_mark, left, right, offset)) in (0..).zip(steps) {
                let all: Vec<_> = halves[left][0].iter().chain(&halves[right][1]).collect();
                if is_mark {
                    let named: Vec<_> =
                        all.iter().map(|(id, low, high)| (*id, *low, *high, offset)).collect();
                    machine.handle_mark(&mark(number, &named));
                } else {
                    let ranged = |(id, low, high): &&(i64, f64, f64)| {
                        place(*id, (offset % 2 == 0).then_some((*low, *high)), offset - id % 2)
                    };
                    machine.handle_places(all.iter().map(ranged).collect());
                }
                for kept in [machine.marks.front(), machine.marks.back()].into_iter().flatten() {
                    let mut again = kept.clone();
                    again.forget_places();
                    again.compare(&machine.places);
                    prop_assert_eq!(again.relation(), kept.relation());
                    prop_assert_eq!(again.counts(), kept.counts());
                }
                let segments: usize = machine.marks.iter().map(Mark::len).sum();
                prop_assert_eq!(machine.segments, segments);
            }
        }

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
