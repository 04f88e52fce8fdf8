//! The server's index: the code of the server, which writes runs and merges them when it would.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    rc::Rc,
};

use pravega_sdk_server_core::log::{
    Directory, Entry, FOOTER_LEN, FileHead, FileKind, FileNumber, FolderId, Footer, HEAD_LEN,
    Index, IndexWork, Merge, Run, RunBuilder, RunFile, Salt, SegmentNumber, read_block,
};

use crate::{
    machine::Failure,
    ranges::{Ranges, read},
};

const WRITE_LEN: usize = 256 << 10;

/// What a look-up knows of directories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Directories {
    /// Each reads them, as in the server.
    Read,
    /// They are held in memory after they were read once.
    Held,
}

/// The runs in a folder.
pub struct Runs {
    dir: PathBuf,
    directories: Directories,
    held: RefCell<BTreeMap<RunFile, Rc<Directory>>>,
    index: Index,
    files: BTreeMap<RunFile, File>,
}

impl Runs {
    /// Reads the head and the footer of each run.
    pub fn open(dir: &Path, directories: Directories) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        let mut runs = Self {
            dir: dir.to_owned(),
            directories,
            held: RefCell::default(),
            index: Index::default(),
            files: BTreeMap::new(),
        };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| "not a name of ours")?;
            let Some(run) = RunFile::of_name(&name) else { continue };
            let file = File::open(entry.path())?;
            let head = read(&file, 0, HEAD_LEN as u64)?;
            let head = FileHead::decode(&head).map_err(|why| format!("{name}: {why:?}"))?;
            let at = file.metadata()?.len() - FOOTER_LEN as u64;
            let footer = read(&file, at, FOOTER_LEN as u64)?;
            let footer = Footer::decode(&footer, head.salt, at).ok_or("a damaged footer")?;
            for number in run.first.0..=run.last.0 {
                runs.index.add_file(FileNumber(number), Salt(number));
            }
            runs.index.add_run(run, Run { salt: head.salt, footer });
            runs.files.insert(run, file);
        }
        Ok(runs)
    }

    /// The directory of a run.
    fn directory(&self, run: RunFile, content: &Run) -> Result<Rc<Directory>, Failure> {
        if let Some(directory) = self.held.borrow().get(&run) {
            return Ok(Rc::clone(directory));
        }
        let file = self.files.get(&run).ok_or("no such run")?;
        let read = Rc::new(directory(file, content)?);
        if self.directories == Directories::Held {
            self.held.borrow_mut().insert(run, Rc::clone(&read));
        }
        Ok(read)
    }

    fn entries(&self, run: RunFile, content: Run) -> Result<Vec<Entry>, Failure> {
        let file = self.files.get(&run).ok_or("no such run")?;
        let mut out = Vec::new();
        for place in directory(file, &content)?.blocks() {
            let block = read(file, place.start, place.end - place.start)?;
            out.extend(read_block(&block, content.salt, place.start).ok_or("a damaged block")?);
        }
        Ok(out)
    }

    fn write(&mut self, run: RunFile, all: impl Iterator<Item = Entry>) -> Result<(), Failure> {
        use std::io::Write as _;
        let salt = Salt(run.first.0 << 32 | run.last.0);
        let head = FileHead { kind: FileKind::Index, folder: FolderId(1), number: run.first, salt };
        let (name, new) = (self.dir.join(run.name()), self.dir.join("new"));
        let mut file = File::create(&new)?;
        let (mut builder, mut buffer) = (RunBuilder::new(&head, run.last), Vec::new());
        let mut len = 0;
        for entry in all {
            builder.push(&entry)?;
            buffer.extend_from_slice(&builder.take());
            if buffer.len() >= WRITE_LEN {
                file.write_all(&buffer)?;
                len += buffer.len();
                buffer.clear();
            }
        }
        buffer.extend_from_slice(&builder.finish());
        file.write_all(&buffer)?;
        file.sync_data()?;
        fs::rename(&new, &name)?;
        File::open(&self.dir)?.sync_all()?;
        let at = buffer.len() - FOOTER_LEN;
        let footer =
            buffer.get(at..).and_then(|bytes| Footer::decode(bytes, salt, (len + at) as u64));
        let footer = footer.ok_or("a damaged footer")?;
        self.files.insert(run, File::open(&name)?);
        for replaced in self.index.add_run(run, Run { salt, footer }) {
            self.files.remove(&replaced);
            fs::remove_file(self.dir.join(replaced.name()))?;
        }
        Ok(())
    }
}

fn directory(file: &File, run: &Run) -> Result<Directory, Failure> {
    let place = run.footer.directory_place();
    let bytes = read(file, place.start, place.end - place.start)?;
    Directory::decode(&bytes, run.salt, &run.footer).ok_or_else(|| "a damaged directory".into())
}

impl Ranges for Runs {
    fn insert(&mut self, ranges: &[Entry]) -> Result<(), Failure> {
        let file = ranges.first().ok_or("no ranges")?.file;
        self.index.begin(file, Salt(file.0));
        // In the server the file ends when the next one is begun, which has no spans yet.
        self.write(RunFile::of(file), ranges.iter().copied())?;
        while let Some(work) = self.index.work() {
            let IndexWork::Merge(runs) = work else { break };
            let (Some(first), Some(last)) = (runs.first(), runs.last()) else { break };
            let run = RunFile { first: first.first, last: last.last };
            let contents: Vec<(RunFile, Run)> =
                self.index.runs().filter(|(run, _)| runs.contains(run)).collect();
            let mut all = Vec::new();
            for (run, content) in contents {
                all.push(self.entries(run, content)?.into_iter());
            }
            self.write(run, Merge::new(all, |_| true))?;
        }
        Ok(())
    }

    fn find(&self, segment: u64, offset: u64) -> Result<Option<Entry>, Failure> {
        let segment = SegmentNumber(segment);
        for (run, content) in self.index.runs_for() {
            let file = self.files.get(&run).ok_or("no such run")?;
            for place in self.directory(run, &content)?.blocks_for(segment, offset) {
                let block = read(file, place.start, place.end - place.start)?;
                let entries =
                    read_block(&block, content.salt, place.start).ok_or("a damaged block")?;
                let has = |entry: &&Entry| {
                    entry.segment == segment && entry.from <= offset && offset < entry.to
                };
                if let Some(entry) = entries.iter().find(has) {
                    return Ok(Some(*entry));
                }
            }
        }
        Ok(None)
    }
}
