//! The order of places and stream cuts, found from the key ranges of segments.

use std::collections::BTreeMap;

use pravega_sdk_types::{BoundedCut, KeyRange, SegmentId, SegmentOffset};

use crate::history::Position;

/// Returns true if a place is before a cut: a reader that is at the cut has passed it.
///
/// Of two segments with keys in common, the one with the higher id comes later.
pub(crate) fn is_before(
    (segment, offset): Position,
    cut: &BoundedCut,
    ranges: &BTreeMap<SegmentId, KeyRange>,
) -> bool {
    match cut.offset(segment) {
        Some(SegmentOffset::End) => true,
        Some(SegmentOffset::At(at)) => offset < at,
        // The tail of a sealed stream has no segments.
        None if cut.positions().len() == 0 => true,
        None => {
            let Some(range) = ranges.get(&segment) else { return false };
            let overlaps = |id| ranges.get(&id).is_some_and(|other| other.overlaps(range));
            cut.positions().any(|(id, _)| id > segment && overlaps(id))
        }
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Epoch, Offset, ScopedStream, SegmentNumber};

    use super::*;

    fn id(epoch: i32, number: i32) -> SegmentId {
        SegmentId::new(Epoch(epoch), SegmentNumber(number))
    }

    #[test]
    fn places_before_a_cut_are_those_that_a_reader_at_the_cut_has_passed() {
        // 0 is split into 2 and 3; 1 stays.
        let range = |low, high| KeyRange::new(low, high).unwrap();
        let ranges = BTreeMap::from([
            (id(0, 0), range(0.0, 0.5)),
            (id(0, 1), range(0.5, 1.0)),
            (id(1, 2), range(0.0, 0.25)),
            (id(1, 3), range(0.25, 0.5)),
        ]);
        let stream: ScopedStream = "s/t".parse().unwrap();
        let cut = |places: &[(SegmentId, i64)]| {
            let places = places.iter().map(|(id, at)| (*id, SegmentOffset::from_wire(*at)));
            BoundedCut::new(stream.clone(), places).unwrap()
        };
        let before = |place: (SegmentId, i64), cut: &BoundedCut| {
            is_before((place.0, Offset(place.1)), cut, &ranges)
        };
        let early = cut(&[(id(0, 0), 10), (id(0, 1), 20)]);
        assert!(before((id(0, 0), 9), &early) && !before((id(0, 0), 10), &early));
        assert!(!before((id(1, 2), 0), &early) && !before((id(1, 3), 0), &early));
        let late = cut(&[(id(1, 2), 0), (id(1, 3), 5), (id(0, 1), -1)]);
        assert!(before((id(0, 0), 100), &late) && before((id(0, 1), 100), &late));
        assert!(!before((id(1, 2), 0), &late) && before((id(1, 3), 4), &late));
        assert!(before((id(1, 2), 100), &BoundedCut::empty(stream.clone())));
    }
}
