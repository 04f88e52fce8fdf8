//! Where the bytes of segments are in one file: spans, each a stretch of a segment in records that
//! lie near each other.
//!
//! A read scans and checks records anyway, so not every record needs an entry: a record continues
//! the span before it if its bytes do, and if both lie within [`SPAN_LEN`]. So small appends to one
//! segment share spans, and no read scans much more than it wants.

use std::collections::BTreeMap;

use super::ids::{FileNumber, Place, SegmentNumber, SpanPlace};

/// The most bytes of a file that several records of one span take.
const SPAN_LEN: u64 = 16 << 10;
/// A file with this many spans should end, so that their memory is bounded.
const MAX_SPANS: usize = 1 << 18;

/// Bytes of a segment, in records of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The offset of the first byte in the segment.
    pub from: u64,
    /// The offset after the last byte in the segment.
    pub to: u64,
    /// The offset of the first record in the file. Records of other segments may lie between.
    pub at: u64,
    /// The offset after the last record in the file.
    pub end: u64,
}

impl Span {
    /// The number of its bytes that are within a range of the segment.
    #[must_use]
    pub fn bytes_within(&self, from: u64, to: u64) -> u64 {
        self.to.min(to).saturating_sub(self.from.max(from))
    }
}

/// Bytes of a segment that do not follow those before them in the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes of segment {} from {from} on are out of order", .segment.0)]
pub struct OutOfOrder {
    /// The segment.
    pub segment: SegmentNumber,
    /// The first offset.
    pub from: u64,
}

/// The spans of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpans {
    file: FileNumber,
    /// In the order of their offsets.
    spans: BTreeMap<SegmentNumber, Vec<Span>>,
    count: usize,
    bytes: u64,
    /// Records from this offset on do not continue a span before it.
    split: u64,
}

impl FileSpans {
    /// No spans yet.
    #[must_use]
    pub fn new(file: FileNumber) -> Self {
        Self { file, spans: BTreeMap::new(), count: 0, bytes: 0, split: 0 }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> FileNumber {
        self.file
    }

    /// The number of spans.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes of segments in the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns true if the file should end, because it has many spans.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count >= MAX_SPANS
    }

    /// Adds bytes in a record at the end of the file.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if the file has later bytes of the segment, or a later record of it.
    pub fn add(&mut self, placed: &SpanPlace) -> Result<(), OutOfOrder> {
        let SpanPlace { segment, from, to, record: Place { at, .. }, end } = *placed;
        if from == to {
            return Ok(());
        }
        let spans = self.spans.entry(segment).or_default();
        match spans.last_mut() {
            Some(last) if from < last.to || at < last.end || to < from => {
                return Err(OutOfOrder { segment, from });
            }
            Some(last) if from == last.to && end - last.at <= SPAN_LEN && self.split <= last.at => {
                (last.to, last.end) = (to, end);
            }
            _ => {
                spans.push(Span { from, to, at, end });
                self.count += 1;
            }
        }
        self.bytes = self.bytes.saturating_add(to - from);
        Ok(())
    }

    /// Begins new spans at an offset of the file: before it are bytes that cannot be read, which a
    /// span must not have between its records.
    pub fn split(&mut self, at: u64) {
        self.split = self.split.max(at);
    }

    /// The span with a byte of a segment; `None` if the byte is not in the file.
    #[must_use]
    pub fn find(&self, segment: SegmentNumber, offset: u64) -> Option<Span> {
        let spans = self.spans.get(&segment)?;
        let span = spans.get(spans.partition_point(|span| span.to <= offset))?;
        (span.from <= offset).then_some(*span)
    }

    /// The number of bytes of a segment within a range that are in the file.
    #[must_use]
    pub fn bytes_within(&self, segment: SegmentNumber, from: u64, to: u64) -> u64 {
        let spans = self.spans.get(&segment).map_or(&[][..], Vec::as_slice);
        let first = spans.partition_point(|span| span.to <= from);
        let within = spans.iter().skip(first).take_while(|span| span.from < to);
        within.map(|span| span.bytes_within(from, to)).sum()
    }

    /// All spans, in the order of segments and offsets.
    pub fn all(&self) -> impl Iterator<Item = (SegmentNumber, Span)> + '_ {
        self.spans.iter().flat_map(|(segment, spans)| spans.iter().map(|span| (*segment, *span)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: FileNumber = FileNumber(1);
    const ONE: SegmentNumber = SegmentNumber(1);
    const OTHER: SegmentNumber = SegmentNumber(2);

    fn placed(segment: SegmentNumber, from: u64, to: u64, at: u64, end: u64) -> SpanPlace {
        SpanPlace { segment, from, to, record: Place { file: FILE, at }, end }
    }

    #[test]
    fn small_appends_to_one_segment_share_spans() {
        let mut spans = FileSpans::new(FILE);
        for number in 0..1000 {
            let at = 64 + number * 200;
            spans.add(&placed(ONE, number * 100, (number + 1) * 100, at, at + 150)).unwrap();
        }
        assert_eq!(spans.bytes(), 100_000);
        assert!(spans.count() <= 200_000 / 16_000 + 1, "{} spans", spans.count());
        assert!(spans.all().all(|(_, span)| span.end - span.at <= SPAN_LEN));
    }

    #[test]
    fn a_long_record_and_a_gap_begin_a_span() {
        let mut spans = FileSpans::new(FILE);
        spans.add(&placed(ONE, 0, 60_000, 64, 60_100)).unwrap();
        spans.add(&placed(ONE, 60_000, 60_010, 60_100, 60_150)).unwrap();
        spans.add(&placed(ONE, 60_020, 60_030, 60_150, 60_200)).unwrap();
        assert_eq!(spans.count(), 3);
        assert_eq!(spans.find(ONE, 60_010), None);
        assert_eq!(spans.find(ONE, 60_020).map(|span| span.at), Some(60_150));
    }

    #[test]
    fn bytes_out_of_order_are_refused() {
        let mut spans = FileSpans::new(FILE);
        spans.add(&placed(ONE, 10, 20, 64, 100)).unwrap();
        let refused = Err(OutOfOrder { segment: ONE, from: 15 });
        assert_eq!(spans.add(&placed(ONE, 15, 30, 100, 130)), refused);
        assert_eq!(spans.add(&placed(ONE, 20, 20, 100, 130)), Ok(()), "no bytes");
        assert_eq!((spans.count(), spans.bytes()), (1, 10));
    }

    #[test]
    fn no_span_has_records_on_both_sides_of_a_split() {
        let mut spans = FileSpans::new(FILE);
        for (from, at) in [(0, 64), (10, 90), (20, 200), (30, 230)] {
            if at == 200 {
                spans.split(150);
            }
            spans.add(&placed(ONE, from, from + 10, at, at + 26)).unwrap();
        }
        let found: Vec<(u64, u64)> = spans.all().map(|(_, span)| (span.at, span.end)).collect();
        assert_eq!(found, [(64, 116), (200, 256)]);
    }

    proptest! {
        #[test]
        fn every_byte_is_found_in_the_record_that_has_it(
            appends in prop::collection::vec((any::<bool>(), 1_u64..6000, 0_u64..3000), 1..60),
        ) {
            let (mut spans, mut at, mut ends) = (FileSpans::new(FILE), 64, [0, 0]);
            let mut all = Vec::new();
            for (is_other, len, gap) in appends {
                let segment = if is_other { OTHER } else { ONE };
                let end_of = &mut ends[usize::from(is_other)];
                // Every third append leaves a gap in the segment, as a merge may.
                let from = *end_of + if gap % 3 == 0 { gap } else { 0 };
                let record = placed(segment, from, from + len, at, at + len + 32);
                spans.add(&record).unwrap();
                all.push(record);
                (*end_of, at) = (from + len, at + len + 32 + gap);
            }
            for record in &all {
                for offset in [record.from, (record.from + record.to) / 2, record.to - 1] {
                    let span = spans.find(record.segment, offset).unwrap();
                    prop_assert!(span.at <= record.record.at && record.end <= span.end);
                    prop_assert!(span.from <= offset && offset < span.to);
                }
            }
            for segment in [ONE, OTHER] {
                let within = |from: u64, to: u64| -> u64 {
                    let of = all.iter().filter(|record| record.segment == segment);
                    of.map(|record| record.to.min(to).saturating_sub(record.from.max(from))).sum()
                };
                for (from, to) in [(0, u64::MAX), (0, 5000), (3000, 9000), (7000, 7000)] {
                    prop_assert_eq!(spans.bytes_within(segment, from, to), within(from, to));
                }
            }
            let bytes: u64 = all.iter().map(|record| record.to - record.from).sum();
            prop_assert_eq!(spans.bytes(), bytes);
            prop_assert_eq!(spans.all().count(), spans.count());
        }
    }
}
