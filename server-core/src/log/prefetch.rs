//! What the system should read from log files before it is asked for.
//!
//! Several segments that are read in order have their bytes in the same stretch of a file, between
//! those of others. Each read takes what it wants and no more, so the system sees jumps, and does
//! not read ahead by itself. Here the reads of all segments are followed together: a stretch in
//! which reads go on is asked for a window ahead.

use std::{collections::VecDeque, ops::Range};

use super::ids::FileNumber;

/// What is asked for ahead of the reads, in bytes.
const WINDOW: u64 = 8 << 20;
/// The most stretches that are followed.
const MAX_STRETCHES: usize = 16;

/// A stretch of a file in which reads go on.
#[derive(Debug)]
struct Stretch {
    file: FileNumber,
    /// Where it began.
    from: u64,
    /// The end of the read that went furthest.
    read: u64,
    /// The end of what was asked for.
    asked: u64,
}

impl Stretch {
    /// Returns true if a read that begins at an offset goes on here.
    fn has(&self, file: FileNumber, at: u64) -> bool {
        let from = self.from.max(self.read.saturating_sub(WINDOW));
        let end = self.read.max(self.asked).saturating_add(WINDOW / 2);
        self.file == file && (from..end).contains(&at)
    }
}

/// The stretches of log files in which reads go on.
#[derive(Debug, Default)]
pub struct Prefetch {
    /// In the order of their last reads.
    stretches: VecDeque<Stretch>,
}

impl Prefetch {
    /// Follows a read; returns the bytes of the file that the system should read next, if it is
    /// time for that.
    pub fn follow(&mut self, file: FileNumber, range: &Range<u64>) -> Option<Range<u64>> {
        let found = self.stretches.iter().position(|stretch| stretch.has(file, range.start));
        let Some(mut stretch) = found.and_then(|at| self.stretches.remove(at)) else {
            if self.stretches.len() >= MAX_STRETCHES {
                self.stretches.pop_front();
            }
            // One read says nothing about a next one.
            let (from, read) = (range.start, range.end);
            self.stretches.push_back(Stretch { file, from, read, asked: read });
            return None;
        };
        stretch.read = stretch.read.max(range.end);
        let (from, to) = (stretch.asked.max(stretch.read), stretch.read.saturating_add(WINDOW));
        let next = (to - from >= WINDOW / 2).then_some(from..to);
        if next.is_some() {
            stretch.asked = to;
        }
        self.stretches.push_back(stretch);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileNumber = FileNumber(3);
    const STEP: u64 = 64 << 10;

    #[test]
    fn reads_that_go_on_have_each_byte_ahead_of_them_asked_for_once() {
        let mut prefetch = Prefetch::default();
        let (mut asked, mut calls) = (STEP, 0);
        for at in 0..2000 {
            // Four segments in turn, each a step apart.
            let range = at * STEP..(at + 1) * STEP;
            if let Some(next) = prefetch.follow(FILE, &range) {
                assert_eq!(next.start, asked.max(range.end));
                (asked, calls) = (next.end, calls + 1);
            }
            assert!(at == 0 || asked >= range.end + WINDOW / 2, "read {at}");
        }
        assert!(calls <= 2 + 2000 * STEP / (WINDOW / 2), "{calls} calls");
    }

    #[test]
    fn a_read_that_is_somewhat_behind_or_ahead_goes_on_where_the_others_do() {
        let mut prefetch = Prefetch::default();
        let mut follow = |at: u64| prefetch.follow(FILE, &(at..at + STEP));
        assert_eq!(follow(0), None);
        assert_eq!(follow(10 * STEP), Some(11 * STEP..11 * STEP + WINDOW));
        for at in [3 * STEP, STEP, 12 * STEP, 2 * STEP] {
            assert_eq!(follow(at), None);
        }
    }

    #[test]
    fn a_file_that_is_read_again_has_its_bytes_asked_for_again() {
        let mut prefetch = Prefetch::default();
        for pass in 0..3 {
            let steps = 0..4 * WINDOW / STEP;
            let asked = steps
                .filter_map(|at| prefetch.follow(FILE, &(at * STEP..(at + 1) * STEP)))
                .map(|range| range.end - range.start)
                .sum::<u64>();
            assert!(asked >= 4 * WINDOW, "pass {pass}: {asked} bytes");
        }
    }

    #[test]
    fn single_reads_here_and_there_ask_for_nothing() {
        let mut prefetch = Prefetch::default();
        for at in 0..1000 {
            assert_eq!(prefetch.follow(FILE, &(3 * at * WINDOW..3 * at * WINDOW + STEP)), None);
            assert_eq!(prefetch.follow(FileNumber(4 + at), &(0..STEP)), None);
        }
        assert_eq!(prefetch.stretches.len(), MAX_STRETCHES);
        assert_eq!(prefetch.follow(FILE, &(u64::MAX - 1..u64::MAX)), None);
        assert_eq!(prefetch.follow(FILE, &(u64::MAX - 1..u64::MAX)), None);
    }
}
