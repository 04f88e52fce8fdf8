//! Spans of segments that were read from runs, for the next fetches of those segments.
//!
//! A fetch looks for a byte in each run from the newest on, and a block of a run has many spans
//! that follow each other. A segment that is read in order is fetched from them without another
//! search. They stay true: all copies of a byte are the same, and spans of files that are gone are
//! passed over.

use std::collections::VecDeque;

use super::{ids::SegmentNumber, run::Entry};

/// The most segments whose spans are kept.
const MAX_SEGMENTS: usize = 32;

/// Spans of the segments that were fetched last.
#[derive(Debug, Default)]
pub struct KnownSpans {
    /// In the order of their last fetches.
    segments: VecDeque<(SegmentNumber, Vec<Entry>)>,
}

impl KnownSpans {
    /// The spans of a segment that may have bytes from an offset on.
    #[must_use]
    pub fn of(&self, segment: SegmentNumber, offset: u64) -> Vec<Entry> {
        let known = self.segments.iter().find(|(other, _)| *other == segment);
        let spans = known.map_or(&[][..], |(_, spans)| spans);
        spans.iter().filter(|span| offset < span.to).copied().collect()
    }

    /// Keeps the spans that a fetch knew at its end.
    pub fn keep(&mut self, segment: SegmentNumber, spans: Vec<Entry>) {
        self.segments.retain(|(other, _)| *other != segment);
        if spans.is_empty() {
            return;
        }
        if self.segments.len() >= MAX_SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back((segment, spans));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ids::FileNumber, *};

    fn span(segment: u64, from: u64) -> Entry {
        let (segment, file) = (SegmentNumber(segment), FileNumber(1));
        Entry { segment, from, file, to: from + 10, at: 100 + from, end: 126 + from }
    }

    #[test]
    fn the_spans_from_an_offset_on_are_known_of_the_segments_that_were_fetched_last() {
        let mut known = KnownSpans::default();
        known.keep(SegmentNumber(1), vec![span(1, 0), span(1, 10), span(1, 20)]);
        assert_eq!(known.of(SegmentNumber(1), 15), [span(1, 10), span(1, 20)]);
        assert_eq!(known.of(SegmentNumber(1), 30), []);
        assert_eq!(known.of(SegmentNumber(2), 0), []);
        for segment in 2..=MAX_SEGMENTS as u64 {
            known.keep(SegmentNumber(segment), vec![span(segment, 0)]);
        }
        // It was fetched again, so another one is the last.
        known.keep(SegmentNumber(1), vec![span(1, 20)]);
        known.keep(SegmentNumber(1000), vec![span(1000, 0)]);
        assert_eq!(known.of(SegmentNumber(1), 0), [span(1, 20)]);
        assert_eq!(known.of(SegmentNumber(2), 0), []);
        assert_eq!(known.segments.len(), MAX_SEGMENTS);
        known.keep(SegmentNumber(1), vec![]);
        assert_eq!(known.of(SegmentNumber(1), 0), []);
    }
}
