//! Writing runs: the spans of a file that ended, and those of several runs as one.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
};

use pravega_sdk_server_core::log::{
    Directory, Entry, FOOTER_LEN, FileHead, FileKind, FileNumber, FolderId, Footer, IndexWork,
    Merge, Run, RunBuilder, RunFile, Salt, read_block,
};

use super::{disk::Disk, kept::Kept};

/// The bytes of a run that are written at once.
const WRITE_LEN: usize = 256 << 10;

/// The reason why a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFailure {
    /// Its bytes are not those that were written.
    #[error("{file} is damaged at byte {at}")]
    Damaged {
        /// The file.
        file: String,
        /// The offset of the damage in it.
        at: u64,
    },
    /// The disk has failed.
    #[error("{file}: {error}")]
    Disk {
        /// The file.
        file: String,
        /// The cause.
        error: io::Error,
    },
}

/// Writes or merges runs. Returns the bytes that were written.
pub(super) fn write_run(
    disk: &dyn Disk,
    folder: FolderId,
    kept: &Kept,
    work: &IndexWork,
) -> Result<u64, RunFailure> {
    let (run, content, len) = match work {
        IndexWork::Write(file) => {
            let entry = |(segment, span)| Entry::new(segment, *file, span);
            let entries: Option<Vec<Entry>> =
                kept.keeper().index().spans_of(*file).map(|spans| spans.all().map(entry).collect());
            let Some(entries) = entries else { return Ok(0) };
            let mut writing = Writing::begin(disk, folder, RunFile::of(*file));
            entries.iter().try_for_each(|entry| writing.push(entry))?;
            writing.finish()?
        }
        IndexWork::Merge(runs) => {
            let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(0) };
            let contents: Vec<(RunFile, Run)> =
                kept.keeper().index().runs().filter(|(run, _)| runs.contains(run)).collect();
            let failure = RefCell::new(None);
            let all = contents.into_iter().map(|run| RunEntries::open(disk, run, &failure));
            let all: Vec<RunEntries<'_>> = all.collect::<Result<_, _>>()?;
            let known = RefCell::new(HashMap::new());
            let exists = |file: FileNumber| {
                let mut known = known.borrow_mut();
                let exists = || kept.keeper().index().salt(file).is_some();
                *known.entry(file).or_insert_with(exists)
            };
            let run = RunFile { first: first.first, last: last.last };
            let mut writing = Writing::begin(disk, folder, run);
            Merge::new(all, exists).try_for_each(|entry| writing.push(&entry))?;
            if let Some(failure) = failure.take() {
                writing.give_up();
                return Err(failure);
            }
            writing.finish()?
        }
    };
    kept.keeper().handle_run(run, content, len);
    Ok(len)
}

/// A run that is being written; it has its name once it is whole.
struct Writing<'a> {
    disk: &'a dyn Disk,
    run: RunFile,
    unfinished: String,
    salt: Salt,
    /// `None` after its end.
    builder: Option<RunBuilder>,
    buffer: Vec<u8>,
    len: u64,
}

impl<'a> Writing<'a> {
    fn begin(disk: &'a dyn Disk, folder: FolderId, run: RunFile) -> Self {
        let salt = Salt(fastrand::u64(..));
        let head = FileHead { kind: FileKind::Index, folder, number: run.first, salt };
        let unfinished = format!("{}.new", run.name());
        let builder = Some(RunBuilder::new(&head, run.last));
        Self { disk, run, unfinished, salt, builder, buffer: Vec::new(), len: 0 }
    }

    fn push(&mut self, entry: &Entry) -> Result<(), RunFailure> {
        if let Some(builder) = &mut self.builder {
            if let Err(error) = builder.push(entry) {
                return Err(self.failed(io::Error::other(error)));
            }
            self.buffer.extend_from_slice(&builder.take());
        }
        if self.buffer.len() >= WRITE_LEN { self.write() } else { Ok(()) }
    }

    fn failed(&self, error: io::Error) -> RunFailure {
        RunFailure::Disk { file: self.run.name(), error }
    }

    fn write(&mut self) -> Result<(), RunFailure> {
        let written = match self.len {
            0 => self.disk.create(&self.unfinished, &self.buffer),
            at => self.disk.write_at(&self.unfinished, at, &self.buffer),
        };
        written.map_err(|error| self.failed(error))?;
        self.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(RunFile, Run, u64), RunFailure> {
        let Some(builder) = self.builder.take() else {
            return Err(self.failed(io::Error::other("it has ended")));
        };
        self.buffer.extend_from_slice(&builder.finish());
        let footer = self.buffer.len().checked_sub(FOOTER_LEN);
        let place = self.len + footer.unwrap_or_default() as u64;
        let bytes = footer.and_then(|at| self.buffer.get(at..)).unwrap_or_default();
        let Some(footer) = Footer::decode(bytes, self.salt, place) else {
            return Err(self.failed(io::Error::other("it would be too long")));
        };
        self.write()?;
        let name = self.run.name();
        let named = self
            .disk
            .sync(&self.unfinished)
            .and_then(|()| self.disk.rename(&self.unfinished, &name))
            .and_then(|()| self.disk.sync_folder());
        named.map_err(|error| self.failed(error))?;
        Ok((self.run, Run { salt: self.salt, footer }, self.len))
    }

    fn give_up(self) {
        self.disk.remove(&self.unfinished).ok();
    }
}

/// The spans of a run in their order, read block by block. After a failure there are no more.
pub(super) struct RunEntries<'a> {
    disk: &'a dyn Disk,
    name: String,
    salt: Salt,
    blocks: VecDeque<Range<u64>>,
    entries: std::vec::IntoIter<Entry>,
    failure: &'a RefCell<Option<RunFailure>>,
}

impl<'a> RunEntries<'a> {
    pub(super) fn open(
        disk: &'a dyn Disk,
        (run, content): (RunFile, Run),
        failure: &'a RefCell<Option<RunFailure>>,
    ) -> Result<Self, RunFailure> {
        let (name, salt) = (run.name(), content.salt);
        let place = content.footer.directory_place();
        let bytes = read(disk, &name, &place)?;
        let Some(directory) = Directory::decode(&bytes, salt, &content.footer) else {
            return Err(RunFailure::Damaged { file: name, at: place.start });
        };
        let blocks = directory.blocks().collect();
        Ok(Self { disk, name, salt, blocks, entries: Vec::new().into_iter(), failure })
    }

    fn block(&self, place: &Range<u64>) -> Result<Vec<Entry>, RunFailure> {
        let bytes = read(self.disk, &self.name, place)?;
        let damaged = || RunFailure::Damaged { file: self.name.clone(), at: place.start };
        read_block(&bytes, self.salt, place.start).ok_or_else(damaged)
    }
}

impl Iterator for RunEntries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry);
            }
            let place = self.blocks.pop_front()?;
            match self.block(&place) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(failure) => {
                    self.failure.replace(Some(failure));
                    self.blocks.clear();
                }
            }
        }
    }
}

fn read(disk: &dyn Disk, name: &str, place: &Range<u64>) -> Result<bytes::Bytes, RunFailure> {
    let len = place.end.saturating_sub(place.start);
    disk.read_at(name, place.start, len)
        .map_err(|error| RunFailure::Disk { file: name.to_owned(), error })
}
