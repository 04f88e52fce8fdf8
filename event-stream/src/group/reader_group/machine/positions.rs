//! Positions of a group as cuts of its streams.

use std::collections::BTreeMap;

use pravega_sdk_types::{BoundedCut, ScopedSegment, ScopedStream, SegmentOffset, StreamCutError};

/// The offset in each segment of a group.
pub(crate) type Positions = BTreeMap<ScopedSegment, SegmentOffset>;

/// Returns the cut of each stream of some positions, in the order of the names.
pub(crate) fn cuts_of(positions: &Positions) -> Result<Vec<BoundedCut>, StreamCutError> {
    let mut streams = BTreeMap::<ScopedStream, Vec<_>>::new();
    for (segment, offset) in positions {
        streams.entry(segment.scoped_stream()).or_default().push((segment.id(), *offset));
    }
    streams.into_iter().map(|(stream, offsets)| BoundedCut::new(stream, offsets)).collect()
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Offset, SegmentId};

    use super::*;

    #[test]
    fn each_stream_has_one_cut_with_all_its_segments() {
        let at = |name: &str, offset: i64| {
            (name.parse::<ScopedSegment>().unwrap(), SegmentOffset::from_wire(offset))
        };
        let positions =
            [at("a/c/0.#epoch.0", 7), at("a/b/1.#epoch.0", -1), at("a/b/0.#epoch.0", 3)];
        let cuts = cuts_of(&positions.into_iter().collect()).unwrap();
        let expected = [
            BoundedCut::new(
                "a/b".parse().unwrap(),
                [
                    (SegmentId::from(0), SegmentOffset::At(Offset(3))),
                    (SegmentId::from(1), SegmentOffset::End),
                ],
            ),
            BoundedCut::new("a/c".parse().unwrap(), [(SegmentId::from(0), Offset(7))]),
        ];
        assert_eq!(cuts, expected.map(Result::unwrap));
        let negative = [at("a/b/0.#epoch.0", -2)].into_iter().collect();
        assert!(cuts_of(&negative).is_err(), "an entry of a faulty client");
    }
}
