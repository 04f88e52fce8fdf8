//! The copy of a file in another folder: every byte is checked, and the head names that folder.
//!
//! ```text
//! read ──> checked, block by block
//!   └────> written, with another head
//! ```
//!
//! Checksums include the salt of the file and the place in it, and no id of a folder. So a copy
//! keeps the salt, and of its bytes only the head differs. A part is written before all of it was
//! checked: a copy that fails is given up as a whole.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use super::{
    checkpoint::{CheckpointFile, CheckpointReader, CheckpointStep, KnownFile, KnownRun},
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Salt},
    problem::{Problem, What},
    reading::{Found, READ_LEN, Reading},
    run::{BLOCK_HEAD_LEN, FOOTER_LEN, Footer, is_block},
};

/// A file that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiedFile {
    /// The frames of a log file, or of one that bytes were moved to, up to its length.
    Frames(KnownFile),
    /// A run.
    Run(KnownRun),
    /// A checkpoint of a length.
    Checkpoint(CheckpointFile, u64),
}

impl CopiedFile {
    /// The name of the file, in both folders.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Frames(file) => file.number.name(),
            Self::Run(known) => known.run.name(),
            Self::Checkpoint(file, _) => file.name(),
        }
    }

    /// The bytes that are copied.
    #[must_use]
    pub fn copied_len(&self) -> u64 {
        match self {
            Self::Frames(KnownFile { len, .. })
            | Self::Run(KnownRun { len, .. })
            | Self::Checkpoint(_, len) => *len,
        }
    }

    /// The head that it has in a folder, but for a salt that is not known.
    fn expected(&self) -> ((FileKind, FileNumber), Option<Salt>) {
        match self {
            Self::Frames(KnownFile { number, salt, .. }) => {
                ((FileKind::of_frames(*number), *number), Some(*salt))
            }
            Self::Run(KnownRun { run, salt, .. }) => ((FileKind::Index, run.first), Some(*salt)),
            Self::Checkpoint(file, _) => ((FileKind::Checkpoint, FileNumber(file.number)), None),
        }
    }
}

/// The next step of a copy.
#[derive(Clone, PartialEq, Eq)]
pub enum CopyStep {
    /// Bytes of the file are needed, for [`FileCopy::handle_read`].
    Read {
        /// The offset of the first.
        at: u64,
        /// Their number.
        len: u64,
    },
    /// Bytes are written at the end of the copy.
    Write {
        /// The length of the copy before.
        at: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// All was read, checked and written.
    Done,
}

impl fmt::Debug for CopyStep {
    /// Shows lengths, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { at, len } => {
                f.debug_struct("Read").field("at", at).field("len", len).finish()
            }
            Self::Write { at, bytes } => {
                f.debug_struct("Write").field("at", at).field("len", &bytes.len()).finish()
            }
            Self::Done => f.write_str("Done"),
        }
    }
}

/// The check of the content.
enum Check {
    /// The head is needed first.
    Head,
    Frames(Reading),
    Run(RunCheck),
    Checkpoint(Box<CheckpointReader>),
}

/// What a check needs.
enum Needs {
    Bytes { at: u64, len: u64 },
    Nothing,
}

/// Bytes are not those that were written.
struct Altered;

/// The copy of one file.
pub struct FileCopy {
    file: CopiedFile,
    from: FolderId,
    to: FolderId,
    check: Check,
    /// The offset of the read that was asked for last.
    asked: u64,
    asked_len: u64,
    /// The bytes of the file that were read, and are written.
    taken: u64,
    pending: Option<(u64, Bytes)>,
}

impl fmt::Debug for FileCopy {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCopy")
            .field("file", &self.file)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

impl FileCopy {
    /// The copy of a file of one folder in another one.
    #[must_use]
    pub fn new(file: CopiedFile, from: FolderId, to: FolderId) -> Self {
        let (asked, asked_len, taken, pending) = (0, 0, 0, None);
        Self { file, from, to, check: Check::Head, asked, asked_len, taken, pending }
    }

    /// The next step.
    ///
    /// # Errors
    ///
    /// [`Problem`] if the file is damaged, shorter than it should be, or another one.
    pub fn poll(&mut self) -> Result<CopyStep, Problem> {
        if let Some((at, bytes)) = self.pending.take() {
            return Ok(CopyStep::Write { at, bytes });
        }
        let len = self.file.copied_len();
        let needs = match &mut self.check {
            Check::Head => Ok(Needs::Bytes { at: 0, len: READ_LEN.min(len) }),
            Check::Frames(reading) => check_frames(reading),
            Check::Run(run) => run.poll(),
            Check::Checkpoint(reader) => loop {
                match reader.poll()? {
                    CheckpointStep::Entries(_) => {}
                    CheckpointStep::Read { at, len } => break Ok(Needs::Bytes { at, len }),
                    CheckpointStep::Done(..) => break Ok(Needs::Nothing),
                }
            },
        };
        match needs {
            Ok(Needs::Bytes { at, len }) => {
                (self.asked, self.asked_len) = (at, len);
                Ok(CopyStep::Read { at, len })
            }
            Ok(Needs::Nothing) => Ok(CopyStep::Done),
            Err(Altered) => Err(self.problem(self.at(), What::Altered)),
        }
    }

    /// Continues with the bytes of the last [`CopyStep::Read`].
    ///
    /// # Errors
    ///
    /// [`Problem`] if they are too few, or the head is not that of the file.
    pub fn handle_read(&mut self, bytes: Bytes) -> Result<(), Problem> {
        if (bytes.len() as u64) < self.asked_len {
            return Err(self.problem(self.asked + bytes.len() as u64, What::Shortened));
        }
        // A check may ask again for bytes that it had.
        let known = usize::try_from(self.taken.saturating_sub(self.asked)).unwrap_or(usize::MAX);
        let new = bytes.slice(known.min(bytes.len())..);
        let at = self.taken;
        self.taken += new.len() as u64;
        match &mut self.check {
            Check::Head => {
                let (file, salt) = self.file.expected();
                let head = FileHead::decode_of(&bytes, self.from, file, salt);
                let head = head.map_err(|what| self.problem(0, what))?;
                self.begin(&head, &bytes);
                let mut out = BytesMut::from(&FileHead { folder: self.to, ..head }.encode()[..]);
                out.extend_from_slice(new.get(HEAD_LEN..).unwrap_or_default());
                self.pending = Some((0, out.freeze()));
                return Ok(());
            }
            Check::Frames(reading) => (reading.buffer, reading.buffer_at) = (bytes, self.asked),
            Check::Run(run) => run.buffer = bytes,
            Check::Checkpoint(reader) => reader.handle_read(bytes),
        }
        if !new.is_empty() {
            self.pending = Some((at, new));
        }
        Ok(())
    }

    fn begin(&mut self, head: &FileHead, bytes: &Bytes) {
        let body = bytes.slice(HEAD_LEN.min(bytes.len())..);
        let (len, at) = (self.file.copied_len(), HEAD_LEN as u64);
        self.check = match self.file {
            CopiedFile::Frames(_) => {
                Check::Frames(Reading { head: *head, len, at, buffer: body, buffer_at: at })
            }
            CopiedFile::Run(known) => {
                let files = (known.run.first, known.run.last);
                Check::Run(RunCheck { salt: head.salt, files, len, at, buffer: body })
            }
            CopiedFile::Checkpoint(file, len) => {
                let mut reader = CheckpointReader::new(self.from, file, len);
                reader.handle_read(bytes.clone());
                Check::Checkpoint(Box::new(reader))
            }
        };
    }

    /// The offset up to which the content was checked.
    fn at(&self) -> u64 {
        match &self.check {
            Check::Frames(reading) => reading.at,
            Check::Run(run) => run.at,
            Check::Head | Check::Checkpoint(_) => self.taken,
        }
    }

    fn problem(&self, at: u64, what: What) -> Problem {
        Problem { file: self.file.name(), at, what }
    }
}

/// Checks the frames in a buffer.
fn check_frames(reading: &mut Reading) -> Result<Needs, Altered> {
    while reading.at < reading.len {
        match reading.find() {
            Found::Frame(head, _) => reading.at += head.frame_len(),
            Found::Needs(len) => {
                let (place, len) = reading.read(reading.at, len);
                return Ok(Needs::Bytes { at: place.at, len });
            }
            Found::NoFrame => return Err(Altered),
        }
    }
    Ok(Needs::Nothing)
}

/// The check of a run: its blocks, the directory, which is one, and the footer.
struct RunCheck {
    salt: Salt,
    files: (FileNumber, FileNumber),
    len: u64,
    at: u64,
    /// Bytes from `at` on.
    buffer: Bytes,
}

impl RunCheck {
    fn poll(&mut self) -> Result<Needs, Altered> {
        let footer = self.len.checked_sub(FOOTER_LEN as u64).ok_or(Altered)?;
        while self.at < footer {
            if let Some(needs) = self.needs(BLOCK_HEAD_LEN as u64, footer)? {
                return Ok(needs);
            }
            let mut head = self.buffer.get(..BLOCK_HEAD_LEN).unwrap_or_default();
            let body = head.try_get_u32().map_err(|_| Altered)?;
            let len = u64::from(body) + BLOCK_HEAD_LEN as u64;
            if let Some(needs) = self.needs(len, footer)? {
                return Ok(needs);
            }
            let block = self.buffer.split_to(usize::try_from(len).map_err(|_| Altered)?);
            if !is_block(&block, self.salt, self.at) {
                return Err(Altered);
            }
            self.at += len;
        }
        if self.at < self.len {
            if let Some(needs) = self.needs(FOOTER_LEN as u64, self.len)? {
                return Ok(needs);
            }
            let found = Footer::decode(&self.buffer, self.salt, footer).ok_or(Altered)?;
            if found.files != self.files {
                return Err(Altered);
            }
            self.at = self.len;
        }
        Ok(Needs::Nothing)
    }

    /// What must be read before this many bytes, which end before an offset, are in the buffer;
    /// `None` if they are.
    fn needs(&self, len: u64, end: u64) -> Result<Option<Needs>, Altered> {
        if end.checked_sub(self.at).is_none_or(|left| left < len) {
            return Err(Altered);
        }
        if self.buffer.len() as u64 >= len {
            return Ok(None);
        }
        let len = len.max(READ_LEN).min(self.len - self.at);
        Ok(Some(Needs::Bytes { at: self.at, len }))
    }
}

#[cfg(test)]
mod tests;
