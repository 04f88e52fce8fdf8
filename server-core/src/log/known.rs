//! Spans of segments that were read from runs, for the next fetches of those segments.
//!
//! A fetch looks for a byte in each run from the newest on, and a block of a run has many spans
//! that follow each other. A segment that is read in order is fetched from them without another
//! search. They stay true: all copies of a byte are the same, and spans of files that are gone are
//! passed over. They take a small share of the memory at most.

use std::collections::VecDeque;

use super::{ids::SegmentNumber, run::Entry};

/// The most segments whose spans are kept.
const MAX_SEGMENTS: usize = 32;
/// The part of the memory that the spans may take.
const SHARE: u64 = 64;
/// Memory of a segment besides its spans, in bytes.
const SEGMENT_HELD: u64 = 64;
/// Memory of a span, in bytes.
const SPAN_HELD: u64 = size_of::<Entry>() as u64;

/// Spans of the segments that were fetched last.
#[derive(Debug)]
pub struct KnownSpans {
    /// In the order of their last fetches.
    segments: VecDeque<(SegmentNumber, Box<[Entry]>)>,
    /// Memory that they use, in bytes.
    held: u64,
    /// The most of it.
    most: u64,
}

impl KnownSpans {
    /// No spans yet, of a server with a memory limit, in bytes.
    #[must_use]
    pub fn within(memory: u64) -> Self {
        Self { segments: VecDeque::new(), held: 0, most: memory / SHARE }
    }

    /// Memory that the spans use, in bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The spans of a segment that may have bytes from an offset on.
    #[must_use]
    pub fn of(&self, segment: SegmentNumber, offset: u64) -> Vec<Entry> {
        let known = self.segments.iter().find(|(other, _)| *other == segment);
        let spans = known.map_or(&[][..], |(_, spans)| &**spans);
        spans.iter().filter(|span| offset < span.to).copied().collect()
    }

    /// Keeps the spans that a fetch knew at its end, the first of them if there are too many, in
    /// place of those of the segments that were fetched longest ago.
    pub fn keep(&mut self, segment: SegmentNumber, mut spans: Vec<Entry>) {
        if let Some(at) = self.segments.iter().position(|(other, _)| *other == segment) {
            self.remove(at);
        }
        let most = self.most.saturating_sub(SEGMENT_HELD) / SPAN_HELD;
        spans.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        if spans.is_empty() {
            return;
        }
        // Without what was allocated for more.
        let spans = spans.into_boxed_slice();
        let held = weight(&spans);
        while !self.segments.is_empty()
            && (self.segments.len() >= MAX_SEGMENTS || self.held.saturating_add(held) > self.most)
        {
            self.remove(0);
        }
        self.held = self.held.saturating_add(held);
        self.segments.push_back((segment, spans));
    }

    fn remove(&mut self, at: usize) {
        if let Some((_, spans)) = self.segments.remove(at) {
            self.held = self.held.saturating_sub(weight(&spans));
        }
    }
}

/// Memory of the spans of a segment, in bytes.
fn weight(spans: &[Entry]) -> u64 {
    SEGMENT_HELD.saturating_add((spans.len() as u64).saturating_mul(SPAN_HELD))
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
        let mut known = KnownSpans::within(u64::MAX);
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

    /// The segments whose spans are known, and how many.
    fn counts(known: &KnownSpans) -> Vec<(u64, usize)> {
        known.segments.iter().map(|(segment, spans)| (segment.0, spans.len())).collect()
    }

    fn spans(segment: u64, count: u64) -> Vec<Entry> {
        (0..count).map(|number| span(segment, 10 * number)).collect()
    }

    #[test]
    fn the_spans_of_the_segments_that_were_fetched_longest_ago_give_way_to_others() {
        // Memory of two segments with ten spans each.
        let most = 2 * (SEGMENT_HELD + 10 * SPAN_HELD);
        let mut known = KnownSpans::within(most * SHARE);
        known.keep(SegmentNumber(1), spans(1, 10));
        known.keep(SegmentNumber(2), spans(2, 10));
        assert_eq!((counts(&known), known.held()), (vec![(1, 10), (2, 10)], most));
        // Those of the same segment are replaced, and others stay.
        known.keep(SegmentNumber(1), spans(1, 9));
        assert_eq!(counts(&known), [(2, 10), (1, 9)]);
        known.keep(SegmentNumber(3), spans(3, 1));
        assert_eq!(counts(&known), [(1, 9), (3, 1)]);
        known.keep(SegmentNumber(4), spans(4, 20));
        assert_eq!(counts(&known), [(4, 20)]);
        assert!(known.held() <= most);
        known.keep(SegmentNumber(4), vec![]);
        assert_eq!((counts(&known), known.held()), (vec![], 0));
    }

    #[test]
    fn more_spans_of_one_segment_than_there_is_memory_for_are_its_first_ones() {
        let mut known = KnownSpans::within((SEGMENT_HELD + 3 * SPAN_HELD) * SHARE);
        known.keep(SegmentNumber(1), spans(1, 2));
        known.keep(SegmentNumber(2), spans(2, 100));
        assert_eq!(known.of(SegmentNumber(2), 0), spans(2, 3));
        assert_eq!(known.held(), SEGMENT_HELD + 3 * SPAN_HELD);
        for memory in [0, SHARE, SEGMENT_HELD * SHARE, (SEGMENT_HELD + SPAN_HELD) * SHARE - 1] {
            let mut known = KnownSpans::within(memory);
            known.keep(SegmentNumber(1), spans(1, 100));
            assert_eq!((counts(&known), known.held()), (vec![], 0), "{memory}");
        }
    }

    #[test]
    fn what_is_allocated_for_spans_is_what_is_counted() {
        let mut known = KnownSpans::within(u64::MAX);
        let mut many = spans(1, 5000);
        many.truncate(3);
        known.keep(SegmentNumber(1), many);
        assert_eq!(known.held(), SEGMENT_HELD + 3 * SPAN_HELD);
        assert!(size_of::<(SegmentNumber, Box<[Entry]>)>() as u64 <= SEGMENT_HELD);
    }
}
