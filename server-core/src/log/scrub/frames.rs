//! The check of a file with frames.
//!
//! ```text
//! frame ──> its records ──> next frame
//!   │            └─ no record ──> the record after it, or the next frame
//!   └─ no frame ──> the records that follow its head ──> anything that is a frame
//! ```

use std::ops::Range;

use super::{
    target::{Damage, Extent, ScrubEnd, ScrubFile, ScrubStep},
    window::{Part, READ_LEN, Window},
};
use crate::log::{
    checksum::Hashing,
    frame::{FRAME_HEAD_LEN, FrameHead, RECORD_HEAD_LEN, RecordHead, find_frame, read_record},
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Salt},
    problem::What,
};

/// The frame whose records are checked.
#[derive(Debug, Clone, Copy)]
struct Frame {
    at: u64,
    end: u64,
    /// The records that were not checked; `None` after damage, which may have any number.
    left: Option<u32>,
}

#[derive(Debug)]
enum State {
    Head,
    /// A frame begins.
    Frame,
    Records(Frame),
    /// A record that is longer than a read is checked up to an offset.
    Long(Frame, RecordHead, Hashing, u64),
    /// After a damaged head: a record or a frame begins.
    Loose,
    /// A frame is looked for, from an offset on.
    Search(u64),
    Ended(ScrubEnd),
}

/// Whether a record is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Whole,
    Damaged,
}

/// What the search has found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Zeros,
    Others,
}

/// The check of a file with frames.
#[derive(Debug)]
pub(super) struct FrameWalk {
    folder: FolderId,
    number: FileNumber,
    salt: Salt,
    known: Option<Salt>,
    extent: Extent,
    pub(super) window: Window,
    at: u64,
    /// The offset from which on bytes are damaged.
    bad: Option<u64>,
    rest: Rest,
    /// The last batch so far.
    sequence: Option<u64>,
    state: State,
}

impl FrameWalk {
    pub(super) fn new(
        folder: FolderId,
        number: FileNumber,
        known: Option<Salt>,
        extent: Extent,
    ) -> Self {
        Self {
            folder,
            number,
            salt: known.unwrap_or(Salt(0)),
            known,
            extent,
            window: Window::new(extent.len()),
            at: 0,
            bad: None,
            rest: Rest::Zeros,
            sequence: None,
            state: State::Head,
        }
    }

    pub(super) fn poll(&mut self) -> ScrubStep {
        loop {
            let step = match std::mem::replace(&mut self.state, State::Head) {
                State::Head => self.head(),
                State::Frame => self.frame(),
                State::Records(frame) => self.record(frame),
                State::Long(frame, head, hashing, to) => self.long(frame, head, hashing, to),
                State::Loose => self.loose(),
                State::Search(from) => self.search(from),
                State::Ended(end) => self.done(end),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn go(&mut self, state: State) -> Option<ScrubStep> {
        self.state = state;
        None
    }

    fn wait(&mut self, state: State, read: ScrubStep) -> Option<ScrubStep> {
        self.state = state;
        Some(read)
    }

    fn done(&mut self, end: ScrubEnd) -> Option<ScrubStep> {
        self.state = State::Ended(end);
        Some(ScrubStep::Done(end))
    }

    fn damaged(&self, range: Range<u64>, what: What) -> ScrubStep {
        ScrubStep::Damaged(Damage { file: ScrubFile::Log(self.number), range, what })
    }

    /// Something whole begins at an offset: what is damaged ends there.
    fn whole_at(&mut self, at: u64) -> Option<ScrubStep> {
        let from = self.bad.take()?;
        self.rest = Rest::Zeros;
        Some(self.damaged(from..at, What::Damaged))
    }

    /// The end of the file, or of what can be read of it.
    fn finish(&mut self, bad: Option<u64>) -> Option<ScrubStep> {
        let bad = self.bad.take().or(bad);
        match (self.extent, bad) {
            (Extent::Exactly(end), _) if self.window.end() < end => {
                self.state = State::Ended(ScrubEnd::Reached);
                Some(self.damaged(bad.unwrap_or(self.window.end())..end, What::Shortened))
            }
            (Extent::Exactly(end), Some(from)) if from < end => {
                self.state = State::Ended(ScrubEnd::Reached);
                Some(self.damaged(from..end, What::Damaged))
            }
            (Extent::UpTo(_), Some(from)) if self.rest == Rest::Others => {
                self.done(ScrubEnd::Torn(from))
            }
            _ => self.done(ScrubEnd::Reached),
        }
    }

    fn head(&mut self) -> Option<ScrubStep> {
        let bytes = match self.window.part(0, HEAD_LEN as u64) {
            Part::Bytes(bytes) => bytes,
            Part::Read(step) => return self.wait(State::Head, step),
            Part::Beyond => {
                let end = self.extent.len().max(HEAD_LEN as u64);
                self.state = State::Ended(ScrubEnd::Reached);
                return Some(self.damaged(self.window.end()..end, What::Shortened));
            }
        };
        let file = (FileKind::of_frames(self.number), self.number);
        let checked = FileHead::decode_of(&bytes, self.folder, file, self.known);
        (self.at, self.state) = (HEAD_LEN as u64, State::Frame);
        match (checked, self.known) {
            (Ok(head), _) => {
                self.salt = head.salt;
                None
            }
            (Err(what), Some(_)) => Some(self.damaged(0..HEAD_LEN as u64, what)),
            (Err(what), None) => {
                self.state = State::Ended(ScrubEnd::Reached);
                Some(self.damaged(0..self.extent.len(), what))
            }
        }
    }

    fn frame(&mut self) -> Option<ScrubStep> {
        let (at, end) = (self.at, self.window.end());
        if at >= end {
            return self.finish(None);
        }
        let head = match self.window.part(at, FRAME_HEAD_LEN as u64) {
            Part::Bytes(bytes) => FrameHead::decode(&bytes, self.salt, at),
            Part::Read(step) => return self.wait(State::Frame, step),
            Part::Beyond => None,
        };
        let Some(head) = head.filter(|head| head.frame_len() <= end - at) else {
            self.bad.get_or_insert(at);
            self.at = at.saturating_add(FRAME_HEAD_LEN as u64);
            return self.go(State::Loose);
        };
        let frame = Frame { at, end: at + head.frame_len(), left: Some(head.count) };
        self.at = at + FRAME_HEAD_LEN as u64;
        self.state = State::Records(frame);
        let is_older = self.sequence.is_some_and(|last| head.sequence.0 <= last);
        self.sequence = Some(head.sequence.0);
        let damaged = self.whole_at(at);
        if is_older && damaged.is_none() {
            return Some(self.damaged(at..self.at, What::Older));
        }
        damaged
    }

    fn record(&mut self, frame: Frame) -> Option<ScrubStep> {
        let at = self.at;
        if at >= frame.end {
            self.state = State::Frame;
            return match self.whole_at(frame.end) {
                None if frame.left.is_some_and(|left| left > 0) => {
                    Some(self.damaged(frame.at..frame.end, What::Damaged))
                }
                damaged => damaged,
            };
        }
        let head = match self.window.part(at, RECORD_HEAD_LEN as u64) {
            Part::Bytes(bytes) => RecordHead::decode(&bytes),
            Part::Read(step) => return self.wait(State::Records(frame), step),
            Part::Beyond => None,
        };
        let Some(head) = head.filter(|head| head.len() <= frame.end - at) else {
            return self.no_record(frame, None);
        };
        if head.len() > READ_LEN {
            let hashing = head.hashing();
            return self.go(State::Long(frame, head, hashing, at + RECORD_HEAD_LEN as u64));
        }
        let found = match self.window.part(at, head.len()) {
            Part::Bytes(bytes) => read_record(&bytes, self.salt, at).is_some(),
            Part::Read(step) => return self.wait(State::Records(frame), step),
            Part::Beyond => return self.finish(Some(at)),
        };
        match found {
            true => self.after_record(frame, head.len(), Found::Whole),
            false => self.after_record(frame, head.len(), Found::Damaged),
        }
    }

    fn after_record(&mut self, frame: Frame, len: u64, found: Found) -> Option<ScrubStep> {
        if found == Found::Damaged {
            return self.no_record(frame, Some(len));
        }
        let damaged = self.whole_at(self.at);
        self.at += len;
        let left = frame.left.map(|left| left.saturating_sub(1));
        self.state = State::Records(Frame { left, ..frame });
        damaged
    }

    /// Bytes of a frame that are no record, which may have been this long.
    fn no_record(&mut self, frame: Frame, len: Option<u64>) -> Option<ScrubStep> {
        if let Extent::UpTo(_) = self.extent {
            // Perhaps the last frame, and torn.
            self.bad.get_or_insert(frame.at);
            self.rest = Rest::Others;
            return self.go(State::Search(frame.at));
        }
        let is_first = self.bad.is_none();
        self.bad.get_or_insert(self.at);
        self.at = len.filter(|_| is_first).map_or(frame.end, |len| self.at + len);
        self.go(State::Records(Frame { left: None, ..frame }))
    }

    /// Checks the next piece of a long record.
    fn long(
        &mut self,
        frame: Frame,
        head: RecordHead,
        mut hashing: Hashing,
        from: u64,
    ) -> Option<ScrubStep> {
        let end = self.at + head.len();
        if from >= end {
            let is_whole = head.is_of_long() && head.crc == hashing.finish(self.salt, self.at);
            let found = if is_whole { Found::Whole } else { Found::Damaged };
            return self.after_record(frame, head.len(), found);
        }
        let len = READ_LEN.min(end - from);
        match self.window.part(from, len) {
            Part::Bytes(bytes) => {
                hashing.update(&bytes);
                self.go(State::Long(frame, head, hashing, from + len))
            }
            Part::Read(step) => self.wait(State::Long(frame, head, hashing, from), step),
            Part::Beyond => self.finish(Some(self.at)),
        }
    }

    fn loose(&mut self) -> Option<ScrubStep> {
        let (at, end) = (self.at, self.window.end());
        if at >= end {
            return self.search_after_bad(at);
        }
        match self.window.part(at, FRAME_HEAD_LEN as u64) {
            Part::Bytes(bytes) => {
                let head = FrameHead::decode(&bytes, self.salt, at);
                if head.is_some_and(|head| head.frame_len() <= end - at) {
                    return self.go(State::Frame);
                }
            }
            Part::Read(step) => return self.wait(State::Loose, step),
            Part::Beyond => {}
        }
        let head = match self.window.part(at, RECORD_HEAD_LEN as u64) {
            Part::Bytes(bytes) => RecordHead::decode(&bytes),
            Part::Read(step) => return self.wait(State::Loose, step),
            Part::Beyond => None,
        };
        let Some(head) = head.filter(|head| head.len() <= READ_LEN) else {
            return self.search_after_bad(at);
        };
        match self.window.part(at, head.len()) {
            Part::Bytes(bytes) if read_record(&bytes, self.salt, at).is_some() => {
                let damaged = self.whole_at(at);
                (self.at, self.state) = (at + head.len(), State::Loose);
                damaged
            }
            Part::Read(step) => self.wait(State::Loose, step),
            Part::Bytes(_) | Part::Beyond => self.search_after_bad(at),
        }
    }

    fn search_after_bad(&mut self, at: u64) -> Option<ScrubStep> {
        if at >= self.window.end() && self.bad.is_none() {
            return self.finish(None);
        }
        let bad = *self.bad.get_or_insert(at);
        self.go(State::Search(bad))
    }

    fn search(&mut self, from: u64) -> Option<ScrubStep> {
        let end = self.window.end();
        let Some(left) = end.checked_sub(from).filter(|left| *left > 0) else {
            return self.finish(None);
        };
        let len = READ_LEN.min(left);
        let bytes = match self.window.part(from, len) {
            Part::Bytes(bytes) => bytes,
            Part::Read(step) => return self.wait(State::Search(from), step),
            Part::Beyond => return self.finish(None),
        };
        if bytes.iter().any(|byte| *byte != 0) {
            self.rest = Rest::Others;
        }
        // At the first offset there is no whole frame, though the head may be one.
        let skipped = usize::from(self.bad == Some(from));
        let others = bytes.get(skipped..).unwrap_or_default();
        if let Some(start) = find_frame(others, self.salt, from + skipped as u64) {
            let start = start + skipped;
            let at = from + start as u64;
            let head = bytes.get(start..).and_then(|head| FrameHead::decode(head, self.salt, at));
            if head.is_none_or(|head| head.frame_len() > end - at) {
                // It was begun, and what was written before it was whole then.
                let damaged = self.whole_at(at);
                (self.bad, self.rest) = (Some(at), Rest::Others);
                self.state = State::Search(at);
                return damaged;
            }
            self.at = at;
            return self.go(State::Frame);
        }
        // The head of a frame may begin in these bytes and end in the next.
        let next = match len < left {
            true => from + (len - (FRAME_HEAD_LEN as u64 - 1)),
            false => end,
        };
        self.go(State::Search(next))
    }
}
