//! Checking a file of a folder, byte by byte, without the rest of the folder.
//!
//! ```text
//! folder, mark    read as a whole
//! checkpoint      block after block
//! run             head, footer, directory, and every block that it names
//! log, moved      head, and frames that follow each other, record by record
//! ```
//!
//! After damage the check goes on where something whole begins again, so that all damage of a file
//! is found, and each stretch is no longer than it must be. A read is short, whatever a damaged
//! length says, and only one is in memory: a record that is longer is checked piece by piece.
//!
//! Deliberately absent: which files a folder needs, and what they have to do with each other. That
//! is what a [recovery](super::Recovery) finds out.

mod frames;
mod run;
mod target;
mod window;

use std::fmt;

use bytes::Bytes;

pub use self::target::{Damage, Extent, ScrubEnd, ScrubFile, ScrubStep, ScrubTarget};
use self::{frames::FrameWalk, run::RunWalk, window::Window};
use super::{
    checkpoint::{CheckpointReader, CheckpointStep},
    folder::read_identity,
    ids::FolderId,
    mark::{MARK_LEN, Mark},
    problem::{Problem, What},
};

/// How often the mark is read before it is damaged: it may be written meanwhile.
const MARK_READS: u32 = 3;

enum Walk {
    Whole(Window, u32),
    Checkpoint(Box<CheckpointReader>),
    Run(RunWalk),
    Frames(FrameWalk),
    /// The file ends at an offset, and has more elsewhere.
    Shortened(u64),
    Ended(ScrubEnd),
}

/// The check of one file.
pub struct Scrub {
    folder: FolderId,
    target: ScrubTarget,
    /// The last read.
    asked: Option<(u64, u64)>,
    walk: Walk,
}

impl fmt::Debug for Scrub {
    /// Shows the file, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub")
            .field("target", &self.target)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Scrub {
    /// The check of a file of a folder.
    #[must_use]
    pub fn new(folder: FolderId, target: ScrubTarget) -> Self {
        let ScrubTarget { file, salt, extent } = target;
        let len = extent.len();
        let walk = match file {
            // One byte more than it should have: a longer file is another one.
            ScrubFile::Folder | ScrubFile::Mark => Walk::Whole(Window::new(len + 1), 0),
            ScrubFile::Checkpoint(file) => {
                Walk::Checkpoint(Box::new(CheckpointReader::new(folder, file, len)))
            }
            ScrubFile::Run(run) => Walk::Run(RunWalk::new(folder, run, salt, len)),
            ScrubFile::Log(number) => Walk::Frames(FrameWalk::new(folder, number, salt, extent)),
        };
        Self { folder, target, asked: None, walk }
    }

    /// Continues with the bytes of the last [`ScrubStep::Read`]: fewer, if the file has no more.
    pub fn handle_read(&mut self, bytes: Bytes) {
        let Some((at, len)) = self.asked.take() else { return };
        match &mut self.walk {
            Walk::Whole(window, reads) => {
                *reads += 1;
                window.take(at, len, bytes);
            }
            Walk::Checkpoint(_) if (bytes.len() as u64) < len => {
                self.walk = Walk::Shortened(at.saturating_add(bytes.len() as u64));
            }
            Walk::Checkpoint(reader) => reader.handle_read(bytes),
            Walk::Run(walk) => walk.window.take(at, len, bytes),
            Walk::Frames(walk) => walk.window.take(at, len, bytes),
            Walk::Shortened(_) | Walk::Ended(_) => {}
        }
    }

    /// The damage of a file that does not exist, but should.
    #[must_use]
    pub fn missing(&self) -> Damage {
        let range = 0..self.target.extent.len();
        Damage { file: self.target.file, range, what: What::Missing }
    }

    /// The next step.
    pub fn poll(&mut self) -> ScrubStep {
        let step = match &mut self.walk {
            Walk::Whole(..) => self.whole(),
            Walk::Checkpoint(reader) => match checkpoint(reader) {
                Ok(step) => step,
                Err(Problem { at, what, .. }) => self.damaged_from(at, what),
            },
            Walk::Run(walk) => walk.poll(),
            Walk::Frames(walk) => walk.poll(),
            Walk::Shortened(at) => {
                let at = *at;
                self.damaged_from(at, What::Shortened)
            }
            Walk::Ended(end) => ScrubStep::Done(*end),
        };
        match &step {
            ScrubStep::Read { at, len } => self.asked = Some((*at, *len)),
            ScrubStep::Done(end) => self.walk = Walk::Ended(*end),
            ScrubStep::Damaged(_) => {}
        }
        step
    }

    fn damaged_from(&mut self, at: u64, what: What) -> ScrubStep {
        self.walk = Walk::Ended(ScrubEnd::Reached);
        let end = self.target.extent.len();
        let range = at..end.max(at.saturating_add(1));
        ScrubStep::Damaged(Damage { file: self.target.file, range, what })
    }

    fn whole(&mut self) -> ScrubStep {
        let Walk::Whole(window, reads) = &self.walk else {
            return ScrubStep::Done(ScrubEnd::Reached);
        };
        let Some(bytes) = window.all() else { return window.read(0, window.end()) };
        let found = match self.target.file {
            ScrubFile::Folder => read_identity(&bytes).map_err(|problem| problem.what),
            _ if !Mark::is_whole(&bytes) => Err(What::DamagedMark),
            _ => Mark::read(&bytes).map(|(mark, _)| mark.folder).ok_or(What::DamagedMark),
        };
        match found {
            Ok(found) if found == self.folder => ScrubStep::Done(ScrubEnd::Reached),
            Ok(found) => self.damaged_from(0, What::OtherFolder(found)),
            Err(What::DamagedMark) if *reads < MARK_READS => window.read(0, MARK_LEN as u64 + 1),
            Err(what) => self.damaged_from(0, what),
        }
    }
}

/// The next step of a checkpoint. Its state is not looked at.
fn checkpoint(reader: &mut CheckpointReader) -> Result<ScrubStep, Problem> {
    loop {
        match reader.poll()? {
            CheckpointStep::Read { at, len } => return Ok(ScrubStep::Read { at, len }),
            CheckpointStep::Entries(_) => {}
            CheckpointStep::Done(..) => return Ok(ScrubStep::Done(ScrubEnd::Reached)),
        }
    }
}
