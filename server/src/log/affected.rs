//! Which bytes of segments are in a part of a file.

use std::{cell::RefCell, ops::Range};

use pravega_sdk_server_core::log::{Entry, FileNumber, Keeper, Run, RunFile};

use super::{
    disk::Disk,
    owner::SegmentRange,
    runs::{RunEntries, RunFailure},
};

/// The most ranges.
const MOST: usize = 1000;

/// Where it is known which bytes a part of a file has.
#[derive(Debug)]
pub(crate) struct Places {
    file: FileNumber,
    part: Range<u64>,
    found: Vec<SegmentRange>,
    runs: Vec<(RunFile, Run)>,
}

impl Places {
    /// The places, as the files are now.
    pub(crate) fn of(keeper: &Keeper, file: FileNumber, part: &Range<u64>) -> Self {
        let index = keeper.index();
        let has_file = |(run, _): &(RunFile, Run)| run.first <= file && file <= run.last;
        let mut places = Self { file, part: part.clone(), found: Vec::new(), runs: Vec::new() };
        match index.spans_of(file) {
            Some(spans) => {
                let entries = spans.all().map(|(segment, span)| Entry::new(segment, file, span));
                let found = entries.filter(|entry| places.has(entry)).take(MOST).map(range);
                places.found = found.collect();
            }
            None => places.runs = index.runs().filter(has_file).collect(),
        }
        places
    }

    fn has(&self, entry: &Entry) -> bool {
        entry.file == self.file && entry.at < self.part.end && self.part.start < entry.end
    }

    /// The ranges of segments with a byte in the part, or with one that is read through it.
    ///
    /// # Errors
    ///
    /// [`RunFailure`] if the index of the file cannot be read.
    pub(crate) fn ranges(mut self, disk: &dyn Disk) -> Result<Vec<SegmentRange>, RunFailure> {
        for run in std::mem::take(&mut self.runs) {
            let failure = RefCell::new(None);
            let entries = RunEntries::open(disk, run, &failure)?;
            let left = MOST.saturating_sub(self.found.len());
            let found: Vec<SegmentRange> =
                entries.filter(|entry| self.has(entry)).take(left).map(range).collect();
            self.found.extend(found);
            if let Some(failure) = failure.take() {
                return Err(failure);
            }
        }
        Ok(self.found)
    }
}

fn range(Entry { segment, from, to, .. }: Entry) -> SegmentRange {
    (segment, from..to)
}

/// The ranges of each key in order, those that touch as one.
pub(crate) fn joined<K: Ord>(mut ranges: Vec<(K, Range<u64>)>) -> Vec<(K, Range<u64>)> {
    ranges.sort_by(|one, other| (&one.0, one.1.start).cmp(&(&other.0, other.1.start)));
    ranges.dedup_by(|next, last| {
        let continues = next.0 == last.0 && next.1.start <= last.1.end;
        if continues {
            last.1.end = last.1.end.max(next.1.end);
        }
        continues
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_follow_each_other_are_one() {
        let ranges = [("b", 5..9), ("a", 4..6), ("a", 0..4), ("a", 7..8), ("b", 6..7)];
        let ranges = ranges.map(|(name, range)| (name.to_owned(), range)).to_vec();
        let expected = [("a", 0..6), ("a", 7..8), ("b", 5..9)];
        assert_eq!(joined(ranges), expected.map(|(name, range)| (name.to_owned(), range)));
    }
}
