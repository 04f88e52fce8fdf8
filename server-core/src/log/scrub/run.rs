//! The check of a run.

use std::{collections::VecDeque, ops::Range};

use super::{
    target::{Damage, ScrubEnd, ScrubFile, ScrubStep},
    window::{Part, Window},
};
use crate::log::{
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FolderId, Salt},
    index::RunFile,
    problem::What,
    run::{Directory, Entry, FOOTER_LEN, Footer, read_block},
};

#[derive(Debug)]
enum State {
    Head,
    Footer(Salt),
    Directory(Salt, Footer),
    Blocks(Salt, Footer, VecDeque<Range<u64>>),
    Ended,
}

/// The check of a run: each part is known by the one before it.
#[derive(Debug)]
pub(super) struct RunWalk {
    folder: FolderId,
    run: RunFile,
    salt: Option<Salt>,
    len: u64,
    pub(super) window: Window,
    /// The last span, and the number of those so far.
    last: Option<Entry>,
    count: u64,
    /// The number of blocks that could not be read.
    damaged: u64,
    state: State,
}

impl RunWalk {
    pub(super) fn new(folder: FolderId, run: RunFile, salt: Option<Salt>, len: u64) -> Self {
        let window = Window::new(len);
        let state = State::Head;
        Self { folder, run, salt, len, window, last: None, count: 0, damaged: 0, state }
    }

    pub(super) fn poll(&mut self) -> ScrubStep {
        loop {
            let (salt, range) = match &self.state {
                State::Head => (None, 0..HEAD_LEN as u64),
                State::Footer(salt) => {
                    (Some(*salt), self.len.saturating_sub(FOOTER_LEN as u64)..self.len)
                }
                State::Directory(salt, footer) => (Some(*salt), footer.directory_place()),
                State::Blocks(salt, _, blocks) => match blocks.front() {
                    Some(range) => (Some(*salt), range.clone()),
                    None => return self.end(),
                },
                State::Ended => return ScrubStep::Done(ScrubEnd::Reached),
            };
            let bytes = match self.window.part(range.start, range.end.saturating_sub(range.start)) {
                Part::Bytes(bytes) => bytes,
                Part::Read(step) => return step,
                Part::Beyond => {
                    self.state = State::Ended;
                    return self.damaged(self.window.end()..self.len, What::Shortened);
                }
            };
            let checked = match salt {
                None => self.check_head(&bytes),
                Some(salt) => self.check(&bytes, salt, &range),
            };
            if let Err(what) = checked {
                return self.damaged(range, what);
            }
        }
    }

    fn damaged(&self, range: Range<u64>, what: What) -> ScrubStep {
        ScrubStep::Damaged(Damage { file: ScrubFile::Run(self.run), range, what })
    }

    fn check_head(&mut self, bytes: &[u8]) -> Result<(), What> {
        let file = (FileKind::Index, self.run.first);
        let checked = FileHead::decode_of(bytes, self.folder, file, self.salt);
        let salt = self.salt.or(checked.ok().map(|head| head.salt));
        self.state = salt.map_or(State::Ended, State::Footer);
        checked.map(drop)
    }

    fn check(&mut self, bytes: &[u8], salt: Salt, range: &Range<u64>) -> Result<(), What> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Footer(_) => {
                let footer = Footer::decode(bytes, salt, range.start).ok_or(What::DamagedRun)?;
                let files = (self.run.first, self.run.last);
                let is_same = footer.files == files;
                self.state = State::Directory(salt, footer);
                if is_same { Ok(()) } else { Err(What::DamagedRun) }
            }
            State::Directory(_, footer) => {
                let directory = Directory::decode(bytes, salt, &footer).ok_or(What::DamagedRun)?;
                let blocks: VecDeque<_> = directory.blocks().collect();
                let first = blocks.front().map_or(range.start, |block| block.start);
                self.state = State::Blocks(salt, footer, blocks);
                if first == HEAD_LEN as u64 { Ok(()) } else { Err(What::DamagedRun) }
            }
            State::Blocks(_, footer, mut blocks) => {
                blocks.pop_front();
                self.state = State::Blocks(salt, footer, blocks);
                let entries = read_block(bytes, salt, range.start);
                if entries.is_none() {
                    self.damaged += 1;
                }
                let entries = entries.ok_or(What::DamagedRun)?;
                self.count += entries.len() as u64;
                let files = self.run.first..=self.run.last;
                let is_sorted = self.last.iter().chain(&entries).is_sorted_by(|a, b| a < b);
                self.last = entries.last().copied().or(self.last);
                match is_sorted && entries.iter().all(|entry| files.contains(&entry.file)) {
                    true => Ok(()),
                    false => Err(What::DamagedRun),
                }
            }
            State::Head | State::Ended => Ok(()),
        }
    }

    /// After the last block: all spans were in one.
    fn end(&mut self) -> ScrubStep {
        let State::Blocks(_, footer, _) = std::mem::replace(&mut self.state, State::Ended) else {
            return ScrubStep::Done(ScrubEnd::Reached);
        };
        match footer.count == self.count || self.damaged > 0 {
            true => ScrubStep::Done(ScrubEnd::Reached),
            false => self.damaged(footer.directory_place(), What::DamagedRun),
        }
    }
}
