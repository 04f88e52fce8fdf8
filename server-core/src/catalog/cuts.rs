//! Cuts of a stream: which are whole, which lies before which, and what lies between two.

use super::stream::{Cut, SegmentRecord, Stream};

/// How far a place is in its segment: −1 is behind its end.
fn reached(offset: i64) -> i64 {
    if offset < 0 { i64::MAX } else { offset }
}

impl Stream {
    /// The segments of a cut with their offsets, in the order of their ranges; none if one of them
    /// is not known.
    fn parts(&self, cut: &Cut) -> Option<Vec<(SegmentRecord, i64)>> {
        let mut parts: Vec<(SegmentRecord, i64)> = cut
            .iter()
            .map(|(id, offset)| Some((self.segment(*id)?, *offset)))
            .collect::<Option<_>>()?;
        parts.sort_by(|(a, _), (b, _)| a.low.total_cmp(&b.low));
        Some(parts)
    }

    /// Says whether a cut has a place for each key, and one only.
    pub(super) fn is_complete(&self, cut: &Cut) -> bool {
        let Some(parts) = self.parts(cut) else {
            return false;
        };
        let mut reached = 0.0;
        for (part, _) in &parts {
            if part.low != reached {
                return false;
            }
            reached = part.high;
        }
        // For some counts of equal segments the last bound comes out below 1.0.
        !parts.is_empty() && self.active().last().is_none_or(|last| reached >= last.high.min(1.0))
    }

    /// Says whether a cut lies before another at no key; a segment made later is behind one made
    /// earlier.
    pub(super) fn is_at_or_after(&self, cut: &Cut, other: &Cut) -> bool {
        let (Some(ours), Some(theirs)) = (self.parts(cut), self.parts(other)) else {
            return false;
        };
        ours.iter().all(|(part, offset)| {
            theirs.iter().filter(|(other, _)| other.overlaps(*part)).all(|(other, other_offset)| {
                if part.id == other.id {
                    reached(*offset) >= reached(*other_offset)
                } else {
                    part.epoch_created() > other.epoch_created()
                }
            })
        })
    }

    /// The segments that lie wholly before a cut.
    pub(super) fn before(&self, cut: &Cut) -> Vec<SegmentRecord> {
        let Some(parts) = self.parts(cut) else {
            return Vec::new();
        };
        let is_before = |part: &SegmentRecord| {
            parts
                .iter()
                .filter(|(at, _)| at.overlaps(*part))
                .all(|(at, _)| at.id != part.id && at.epoch_created() > part.epoch_created())
        };
        self.all_segments().filter(is_before).collect()
    }

    /// The segments from one cut to another, both included; an empty cut is the beginning or the
    /// end of the stream.
    pub(super) fn between(&self, from: &Cut, to: &Cut) -> Vec<SegmentRecord> {
        let from = if from.is_empty() { self.head() } else { from.clone() };
        let to: Cut = if to.is_empty() {
            self.active().iter().map(|part| (part.id, 0)).collect()
        } else {
            to.clone()
        };
        let (Some(from), Some(to)) = (self.parts(&from), self.parts(&to)) else {
            return Vec::new();
        };
        // Where a cut has no place, as half a cut, it sets no bound either.
        let within = |cut: &[(SegmentRecord, i64)],
                      part: &SegmentRecord,
                      is_beyond: fn(i64, i64) -> bool| {
            let mut met = cut.iter().filter(|(at, _)| at.overlaps(*part)).peekable();
            met.peek().is_none()
                || met.any(|(at, _)| {
                    at.id == part.id || is_beyond(part.epoch_created(), at.epoch_created())
                })
        };
        let is_between = |part: &SegmentRecord| {
            within(&from, part, |made, start| made > start)
                && within(&to, part, |made, end| made < end)
        };
        self.all_segments().filter(is_between).collect()
    }

    /// For each key the earlier place of two cuts.
    pub(super) fn earlier(&self, one: &Cut, other: &Cut) -> Cut {
        let (Some(ones), Some(others)) = (self.parts(one), self.parts(other)) else {
            return one.clone();
        };
        let mut earlier = Cut::new();
        for (part, offset) in ones.iter().chain(&others) {
            let met = ones.iter().chain(&others).filter(|(at, _)| at.overlaps(*part));
            // A segment stays only if none that it shares keys with was made before it.
            if met
                .clone()
                .all(|(at, _)| at.id == part.id || at.epoch_created() >= part.epoch_created())
            {
                let least = earlier.entry(part.id).or_insert(*offset);
                if reached(*offset) < reached(*least) {
                    *least = *offset;
                }
            }
        }
        earlier
    }
}
