//! Which part of the key space each segment of a stream cut is read in, and the order of two cuts.
//!
//! A cut has one segment for each key. Where a segment was read to its end and only some of its
//! successors are being read yet, the cut of a reader has it beside them: there the younger of two
//! segments that share keys is the position, and the older one must be at its end.
//!
//! ```text
//!   0 = end  [          0          ]
//!   2 = 40   [    2    ]              pieces: 2 at 40, 0 at its end, 1 at 8
//!   1 = 8                          [     1     ]
//! ```

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_types::{KeyRange, SegmentId, SegmentOffset};

/// Bounds that are closer than this differ by the rounding of the controller only.
const ROUNDING: f64 = 1e-9;

/// A segment, its part of the key space, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) id: SegmentId,
    pub(super) range: KeyRange,
    pub(super) offset: SegmentOffset,
}

/// A part of the key space with one position.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    low: f64,
    high: f64,
    id: SegmentId,
    offset: SegmentOffset,
}

/// A cut as one position for each key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coverage {
    /// In the order of the key space, without gaps.
    pieces: Vec<Piece>,
    /// Segments that share keys with a younger segment of the cut.
    passed: BTreeSet<SegmentId>,
    /// Segments that share keys with an older segment of the cut.
    begun: BTreeSet<SegmentId>,
}

/// Keys for which a cut has no segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gap {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Two positions for one key, of which the one of the start is after that of the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reversed {
    pub(super) start: (SegmentId, SegmentOffset),
    pub(super) end: (SegmentId, SegmentOffset),
}

impl Coverage {
    /// Finds the position for each key.
    pub(super) fn new(places: &[Place]) -> Result<Self, Gap> {
        let mut bounds: Vec<f64> = places
            .iter()
            .flat_map(|place| [place.range.low(), place.range.high()])
            .chain([0.0, 1.0])
            .collect();
        bounds.sort_by(f64::total_cmp);
        let mut by_low: Vec<&Place> = places.iter().collect();
        by_low.sort_by(|a, b| a.range.low().total_cmp(&b.range.low()));
        let mut next = by_low.into_iter().peekable();
        let (mut passed, mut begun) = (BTreeSet::new(), BTreeSet::new());
        let mut pieces = Vec::new();
        // The segments that have the keys of the present part: the last one is the youngest.
        let mut here: BTreeMap<SegmentId, &Place> = BTreeMap::new();
        for (low, high) in bounds.iter().copied().zip(bounds.iter().copied().skip(1)) {
            if high - low <= ROUNDING {
                continue;
            }
            while let Some(place) = next.next_if(|place| place.range.low() <= low + ROUNDING) {
                here.insert(place.id, place);
            }
            here.retain(|_, place| place.range.high() > low + ROUNDING);
            let Some((&id, youngest)) = here.last_key_value() else {
                return Err(Gap { low, high });
            };
            passed.extend(here.keys().copied().filter(|other| *other != id));
            begun.extend(here.keys().copied().skip(1));
            pieces.push(Piece { low, high, id, offset: youngest.offset });
        }
        Ok(Self { pieces, passed, begun })
    }

    /// Returns the segments that must be at their ends, as successors of them are in the cut.
    pub(super) fn passed(&self) -> &BTreeSet<SegmentId> {
        &self.passed
    }

    /// Returns the segments that are successors of others in the cut.
    pub(super) fn begun(&self) -> &BTreeSet<SegmentId> {
        &self.begun
    }

    /// Checks that a start is at or before an end for every key.
    pub(super) fn check_order(&self, end: &Self) -> Result<(), Reversed> {
        let (mut starts, mut ends) = (self.pieces.iter().peekable(), end.pieces.iter().peekable());
        while let (Some(start), Some(end)) = (starts.peek(), ends.peek()) {
            let shared = start.high.min(end.high) - start.low.max(end.low);
            // Of two segments that share keys, the one with the lower id is the older one.
            let is_ordered = (start.id, start.offset) <= (end.id, end.offset);
            if shared > ROUNDING && !is_ordered {
                return Err(Reversed {
                    start: (start.id, start.offset),
                    end: (end.id, end.offset),
                });
            }
            if start.high < end.high {
                starts.next().map(drop)
            } else {
                ends.next().map(drop)
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Epoch, Offset, SegmentNumber};

    use super::*;

    /// 0 and 1 are replaced by 2, which has a part of 0 only, and 3.
    ///
    /// ```text
    ///   epoch 0   [       0       ][    1    ]
    ///   epoch 1   [   2   ][        3        ]
    /// ```
    fn place(number: i32, offset: i64) -> Place {
        let (epoch, low, high) = match number {
            0 => (0, 0.0, 0.6),
            1 => (0, 0.6, 1.0),
            2 => (1, 0.0, 0.3),
            _ => (1, 0.3, 1.0),
        };
        let id = SegmentId::new(Epoch(epoch), SegmentNumber(number));
        let range = KeyRange::new(low, high).unwrap();
        Place { id, range, offset: SegmentOffset::from_wire(offset) }
    }

    fn coverage(places: &[(i32, i64)]) -> Result<Coverage, Gap> {
        let places: Vec<Place> = places.iter().map(|(id, offset)| place(*id, *offset)).collect();
        Coverage::new(&places)
    }

    #[test]
    fn keys_without_a_segment_are_a_gap() {
        assert_eq!(coverage(&[]).unwrap_err(), Gap { low: 0.0, high: 1.0 });
        assert_eq!(coverage(&[(0, 7)]).unwrap_err(), Gap { low: 0.6, high: 1.0 });
        assert_eq!(coverage(&[(3, 7)]).unwrap_err(), Gap { low: 0.0, high: 0.3 });
        assert_eq!(coverage(&[(2, 7), (1, 0)]).unwrap_err(), Gap { low: 0.3, high: 0.6 });
        for whole in [&[(0, 1), (1, 2)][..], &[(2, 1), (3, 2)], &[(0, -1), (2, 5), (1, 2)]] {
            assert!(coverage(whole).is_ok(), "{whole:?}");
        }
    }

    #[test]
    fn the_bounds_that_a_controller_rounds_are_no_gap() {
        for count in [3, 49, 98, 103, 1000] {
            let id = |number| SegmentId::new(Epoch(0), SegmentNumber(number));
            let places: Vec<Place> = (0..)
                .zip(KeyRange::equal(count))
                .map(|(number, range)| Place { id: id(number), range, offset: Offset(0).into() })
                .collect();
            assert!(Coverage::new(&places).is_ok(), "{count}");
            assert!(Coverage::new(&places[1..]).is_err(), "{count}");
        }
    }

    #[test]
    fn a_segment_beside_its_successor_is_passed() {
        let mixed = coverage(&[(0, 40), (2, 5), (1, 8)]).unwrap();
        assert_eq!(mixed.passed(), &[place(0, 0).id].into());
        assert_eq!(mixed.begun(), &[place(2, 0).id].into());
        let plain = coverage(&[(0, 40), (1, 8)]).unwrap();
        assert!(plain.passed().is_empty() && plain.begun().is_empty());
    }

    #[test]
    fn a_start_is_at_or_before_an_end_for_every_key() {
        // In the order of the stream, as far as they have one.
        let cuts: [&[(i32, i64)]; 5] = [
            &[(0, 10), (1, 0)],
            &[(0, 10), (1, 8)],
            &[(0, -1), (2, 5), (1, 8)],
            &[(2, 5), (3, 0)],
            &[(2, 6), (3, 9)],
        ];
        for (at, start) in cuts.iter().enumerate() {
            for (until, end) in cuts.iter().enumerate() {
                let (start, end) = (coverage(start).unwrap(), coverage(end).unwrap());
                assert_eq!(start.check_order(&end).is_ok(), at <= until, "{at} to {until}");
            }
        }
        // Each is after the other for some keys.
        let (one, other) = ([(0, 10), (1, 0)], [(0, 0), (1, 10)]);
        let (one, other) = (coverage(&one).unwrap(), coverage(&other).unwrap());
        let reversed = one.check_order(&other).unwrap_err();
        let at = |offset| (place(0, 0).id, SegmentOffset::At(Offset(offset)));
        assert_eq!(reversed, Reversed { start: at(10), end: at(0) });
        assert!(other.check_order(&one).is_err());
    }
}
