//! Which files had the bytes of a segment that are not read any longer.
//!
//! A truncation or a deletion frees a range of a segment, which may be in many files. Its spans are
//! neighbours in each run, so only their blocks are read, by a thread that no commit waits for.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use super::{
    fetch::ReadFile,
    ids::{FileNumber, SegmentNumber},
    index::{Index, Run, RunFile},
    run::{Directory, read_block},
};

/// The next step of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FreedStep {
    /// Bytes of a run are needed.
    Read {
        /// The run.
        file: ReadFile,
        /// The places of the bytes.
        range: Range<u64>,
    },
    /// The bytes of the range in each file.
    Done(BTreeMap<FileNumber, u64>),
}

/// Bytes of a run are not those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {at}", .file.name())]
pub struct DamagedRun {
    /// The run.
    pub file: ReadFile,
    /// The offset of the damage in the file.
    pub at: u64,
}

/// The count of a freed range of a segment, by files.
#[derive(Debug)]
pub struct Freed {
    segment: SegmentNumber,
    range: Range<u64>,
    counts: BTreeMap<FileNumber, u64>,
    runs: VecDeque<(RunFile, Run)>,
    blocks: Option<VecDeque<Range<u64>>>,
}

impl Freed {
    /// The count of a range, which begins with the files whose spans are in memory.
    #[must_use]
    pub fn new(segment: SegmentNumber, range: Range<u64>, index: &Index) -> Self {
        let counts = index.bytes_within(segment, range.start, range.end).collect();
        Self { segment, range, counts, runs: index.runs_for().collect(), blocks: None }
    }

    /// The next step.
    pub fn poll(&mut self) -> FreedStep {
        loop {
            let Some((run, content)) = self.runs.front() else {
                return FreedStep::Done(std::mem::take(&mut self.counts));
            };
            let file = ReadFile::Run(*run);
            match &self.blocks {
                None => {
                    return FreedStep::Read { file, range: content.footer.directory_place() };
                }
                Some(blocks) => match blocks.front() {
                    Some(range) => return FreedStep::Read { file, range: range.clone() },
                    None => self.next_run(),
                },
            }
        }
    }

    /// Continues with the bytes of the last [`FreedStep::Read`].
    ///
    /// # Errors
    ///
    /// [`DamagedRun`] if they are damaged. What they have of the range is not counted.
    pub fn handle_read(&mut self, bytes: &[u8]) -> Result<(), DamagedRun> {
        let Some((run, content)) = self.runs.front().copied() else { return Ok(()) };
        let file = ReadFile::Run(run);
        let Some(blocks) = &mut self.blocks else {
            let Some(directory) = Directory::decode(bytes, content.salt, &content.footer) else {
                self.next_run();
                let at = content.footer.directory_place().start;
                return Err(DamagedRun { file, at });
            };
            let Range { start, end } = self.range;
            self.blocks = Some(directory.blocks_within(self.segment, start, end).collect());
            return Ok(());
        };
        let Some(place) = blocks.pop_front() else { return Ok(()) };
        let Some(entries) = read_block(bytes, content.salt, place.start) else {
            return Err(DamagedRun { file, at: place.start });
        };
        for entry in entries.iter().filter(|entry| entry.segment == self.segment) {
            let to = entry.to.min(self.range.end);
            let bytes = to.saturating_sub(entry.from.max(self.range.start));
            if bytes > 0 {
                *self.counts.entry(entry.file).or_default() += bytes;
            }
        }
        Ok(())
    }

    /// Continues after the run of the last [`FreedStep::Read`] was not found: it was merged, and
    /// what it has of the range is not counted.
    pub fn handle_gone(&mut self) {
        self.next_run();
    }

    fn next_run(&mut self) {
        self.runs.pop_front();
        self.blocks = None;
    }
}
