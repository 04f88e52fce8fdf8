//! Where the bytes of all segments are: in memory for the newest files, in runs for the others.
//!
//! ```text
//! the file that is written   spans in memory
//! files that ended           spans in memory, until their run is durable
//! other files                runs; eight neighbours of one size are merged to one
//! ```
//!
//! Memory grows with files and runs, not with segments or spans. A byte is looked for from the
//! newest to the oldest: first here, then in the runs that [`Index::runs_for`] names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ids::{FileNumber, Salt, SegmentNumber, SpanPlace},
    run::{Entry, Footer},
    spans::{FileSpans, OutOfOrder},
};

/// The number of runs of one size that are merged.
const MERGED: usize = 8;

/// A run, by the first and the last of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunFile {
    /// The first file.
    pub first: FileNumber,
    /// The last file.
    pub last: FileNumber,
}

impl RunFile {
    /// The run of one file.
    #[must_use]
    pub fn of(file: FileNumber) -> Self {
        Self { first: file, last: file }
    }

    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        format!("index-{:08}-{:08}", self.first.0, self.last.0)
    }

    /// The files in the name of a run; `None` if it is not the name of one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (first, last) = name.strip_prefix("index-")?.split_once('-')?;
        let run =
            Self { first: FileNumber(first.parse().ok()?), last: FileNumber(last.parse().ok()?) };
        (FileNumber::FIRST <= run.first && run.first <= run.last && run.name() == name)
            .then_some(run)
    }

    /// The kind of its files, and the size of the run: runs of one size have about as many files.
    fn size(self) -> (bool, u32) {
        (self.first.is_moved(), (self.last.0 - self.first.0 + 1).ilog(MERGED as u64))
    }
}

/// A durable run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its salt.
    pub salt: Salt,
    /// Its end.
    pub footer: Footer,
}

/// Work on runs, for a thread that no commit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexWork {
    /// The spans of a file that ended are written to a run.
    Write(FileNumber),
    /// Runs are merged to one.
    Merge(Vec<RunFile>),
}

/// The index of all segments.
#[derive(Debug, Default)]
pub struct Index {
    /// The files that exist.
    files: BTreeMap<FileNumber, Salt>,
    /// Spans that are in no run yet; the last is of the file that is written.
    spans: BTreeMap<FileNumber, FileSpans>,
    runs: BTreeMap<RunFile, Run>,
    /// How many files were removed.
    removals: u64,
}

impl Index {
    /// Adds a file, which is written from now on: the one before it has ended.
    pub fn begin(&mut self, file: FileNumber, salt: Salt) {
        self.files.insert(file, salt);
        self.spans.insert(file, FileSpans::new(file));
    }

    /// Adds a file that has a run.
    pub fn add_file(&mut self, file: FileNumber, salt: Salt) {
        self.files.insert(file, salt);
    }

    /// Adds the spans of a commit.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if the bytes of a segment do not follow those before them.
    pub fn commit(&mut self, spans: &[SpanPlace]) -> Result<(), OutOfOrder> {
        for span in spans {
            let file = span.record.file;
            self.spans.entry(file).or_insert_with(|| FileSpans::new(file)).add(span)?;
        }
        Ok(())
    }

    /// Begins new spans at an offset of a file, before which are bytes that cannot be read.
    pub fn split(&mut self, file: FileNumber, at: u64) {
        if let Some(spans) = self.spans.get_mut(&file) {
            spans.split(at);
        }
    }

    /// Returns true if the file that is written should end, because it has many spans.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.spans.last_key_value().is_some_and(|(_, spans)| spans.is_full())
    }

    /// Forgets a file that was removed. Its spans in runs are passed over. Returns the runs without
    /// any file that exists.
    pub fn remove_file(&mut self, file: FileNumber) -> Vec<RunFile> {
        self.removals += 1;
        self.files.remove(&file);
        self.spans.remove(&file);
        let is_gone = |run: &RunFile| self.files.range(run.first..=run.last).next().is_none();
        let gone: Vec<RunFile> = self.runs.keys().filter(|run| is_gone(run)).copied().collect();
        for run in &gone {
            self.runs.remove(run);
        }
        gone
    }

    /// How many files were removed. If some were during a search, what they had may be in a file
    /// whose run was passed over before it existed.
    pub(super) fn removals(&self) -> u64 {
        self.removals
    }

    /// The files that exist.
    pub fn files(&self) -> impl Iterator<Item = FileNumber> + '_ {
        self.files.keys().copied()
    }

    /// The salt of a file; `None` if it does not exist.
    #[must_use]
    pub fn salt(&self, file: FileNumber) -> Option<Salt> {
        self.files.get(&file).copied()
    }

    /// A run; `None` if others replaced it, or its files are gone.
    #[must_use]
    pub fn run(&self, run: RunFile) -> Option<Run> {
        self.runs.get(&run).copied()
    }

    /// Adds a durable run, which replaces spans in memory and smaller runs. Returns those runs:
    /// once no fetch reads them, and a checkpoint that was begun after this is complete, their
    /// files can be removed.
    pub fn add_run(&mut self, run: RunFile, content: Run) -> Vec<RunFile> {
        let within = |other: &RunFile| run.first <= other.first && other.last <= run.last;
        let replaced: Vec<RunFile> =
            self.runs.keys().filter(|other| within(other)).copied().collect();
        for other in &replaced {
            self.runs.remove(other);
        }
        self.spans.retain(|file, _| *file < run.first || run.last < *file);
        self.runs.insert(run, content);
        replaced
    }

    /// The runs, from the oldest to the newest.
    pub fn runs(&self) -> impl Iterator<Item = (RunFile, Run)> + '_ {
        self.runs.iter().map(|(run, content)| (*run, *content))
    }

    /// The oldest log file whose spans are in no run; `None` if there is no file.
    #[must_use]
    pub fn oldest_in_memory(&self) -> Option<FileNumber> {
        self.spans.keys().next().copied()
    }

    /// The spans of a file that is in no run yet.
    #[must_use]
    pub fn spans_of(&self, file: FileNumber) -> Option<&FileSpans> {
        self.spans.get(&file)
    }

    /// The span with a byte of a segment, if it is in memory.
    #[must_use]
    pub fn find(&self, segment: SegmentNumber, offset: u64) -> Option<Entry> {
        self.spans.iter().rev().find_map(|(file, spans)| {
            Some(Entry::new(segment, *file, spans.find(segment, offset)?))
        })
    }

    /// The bytes of a segment within a range that are in files whose spans are in memory.
    pub fn bytes_within(
        &self,
        segment: SegmentNumber,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (FileNumber, u64)> + '_ {
        let counts = self
            .spans
            .iter()
            .map(move |(file, spans)| (*file, spans.bytes_within(segment, from, to)));
        counts.filter(|(_, bytes)| *bytes > 0)
    }

    /// The runs that may have the span of a byte that is not in memory, the newest first.
    pub fn runs_for(&self) -> impl Iterator<Item = (RunFile, Run)> + '_ {
        self.runs.iter().rev().map(|(run, content)| (*run, *content))
    }

    /// The next work on runs; `None` if there is none.
    #[must_use]
    pub fn work(&self) -> Option<IndexWork> {
        let ended = self.spans.keys().rev().nth(1).and_then(|_| self.spans.keys().next());
        if let Some(file) = ended {
            return Some(IndexWork::Write(*file));
        }
        // Only neighbours, as a run replaces all within it. The smallest first, as a merge of them
        // makes a larger one.
        let runs: Vec<RunFile> = self.runs.keys().copied().collect();
        let size = |runs: &&[RunFile]| {
            let size = runs.first()?.size();
            runs.iter().all(|run| run.size() == size).then_some(size)
        };
        let neighbours = runs.windows(MERGED).filter(|runs| size(runs).is_some());
        let merged = neighbours.min_by_key(|runs| size(runs))?;
        Some(IndexWork::Merge(merged.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            head::{FileHead, FileKind},
            ids::{FolderId, Place},
            run::{FOOTER_LEN, RunBuilder},
        },
        *,
    };

    impl Run {
        /// A run with this content.
        pub(in crate::log) fn of_content(content: &[u8], salt: Salt) -> Self {
            let at = content.len() - FOOTER_LEN;
            Self { salt, footer: Footer::decode(&content[at..], salt, at as u64).unwrap() }
        }

        /// A run of a file, without spans, and its length.
        pub(in crate::log) fn empty(file: FileNumber) -> (Self, u64) {
            let (salt, folder) = (Salt(1), FolderId(1));
            let head = FileHead { kind: FileKind::Index, folder, number: file, salt };
            let content = RunBuilder::new(&head, file).finish();
            (Self::of_content(&content, salt), content.len() as u64)
        }
    }

    const ONE: SegmentNumber = SegmentNumber(1);

    fn span(file: u64, from: u64) -> SpanPlace {
        let record = Place { file: FileNumber(file), at: 64 + from };
        SpanPlace { segment: ONE, from, to: from + 10, record, end: 80 + from }
    }

    fn run() -> Run {
        Run::empty(FileNumber(1)).0
    }

    #[test]
    fn names_of_runs_are_exact() {
        let run = RunFile { first: FileNumber(3), last: FileNumber(10) };
        assert_eq!(run.name(), "index-00000003-00000010");
        assert_eq!(RunFile::of_name(&run.name()), Some(run));
        for name in ["index-3-10", "index-00000004-00000003", "index-00000000-00000001", "index-"] {
            assert_eq!(RunFile::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_byte_of_a_recent_file_is_found_in_memory_until_its_run_is_durable() {
        let mut index = Index::default();
        index.begin(FileNumber(1), Salt(1));
        index.commit(&[span(1, 0)]).unwrap();
        assert_eq!(index.work(), None, "the file is written");
        index.begin(FileNumber(2), Salt(2));
        index.commit(&[span(2, 10)]).unwrap();
        assert_eq!(index.work(), Some(IndexWork::Write(FileNumber(1))));
        assert_eq!(index.find(ONE, 5).map(|entry| entry.file), Some(FileNumber(1)));
        assert_eq!(index.add_run(RunFile::of(FileNumber(1)), run()), []);
        assert_eq!(index.find(ONE, 5), None);
        assert_eq!(index.find(ONE, 15).map(|entry| entry.file), Some(FileNumber(2)));
        assert_eq!(index.work(), None);
    }

    #[test]
    fn few_runs_are_left_however_many_files_there_are() {
        let (mut index, mut merges) = (Index::default(), 0);
        for file in 1..=1000 {
            index.begin(FileNumber(file), Salt(file));
            while let Some(work) = index.work() {
                let made = match &work {
                    IndexWork::Write(file) => RunFile::of(*file),
                    IndexWork::Merge(runs) => {
                        merges += 1;
                        let (first, last) = (runs[0].first, runs[runs.len() - 1].last);
                        RunFile { first, last }
                    }
                };
                index.add_run(made, run());
            }
            let mut next = FileNumber::FIRST;
            for (run, _) in index.runs() {
                assert_eq!(run.first, next, "runs are neighbours");
                next = run.last.next();
            }
            assert_eq!(next, FileNumber(file), "every file that ended is in one");
            assert!(index.runs().count() <= 4 * MERGED, "{} runs", index.runs().count());
        }
        assert!(merges <= 1000 / 7, "{merges} merges");
    }

    #[test]
    fn only_neighbours_are_merged() {
        let mut index = Index::default();
        index.begin(FileNumber(100), Salt(1));
        let single = |file| RunFile::of(FileNumber(file));
        (1..=7).for_each(|file| drop(index.add_run(single(file), run())));
        index.add_run(RunFile { first: FileNumber(8), last: FileNumber(20) }, run());
        index.add_run(single(21), run());
        assert_eq!(index.work(), None, "a large one is between");
        (22..=28).for_each(|file| drop(index.add_run(single(file), run())));
        let merged: Vec<RunFile> = (21..=28).map(single).collect();
        assert_eq!(index.work(), Some(IndexWork::Merge(merged)));
    }

    #[test]
    fn a_run_goes_with_the_last_of_its_files() {
        let mut index = Index::default();
        (1..=3).for_each(|file| index.begin(FileNumber(file), Salt(file)));
        index.add_run(RunFile { first: FileNumber(1), last: FileNumber(2) }, run());
        index.remove_file(FileNumber(1));
        assert_eq!(index.runs().count(), 1);
        index.remove_file(FileNumber(2));
        assert_eq!((index.runs().count(), index.salt(FileNumber(2))), (0, None));
    }
}
