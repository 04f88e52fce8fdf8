//! The reading of the frames of one file, and its end.

use std::fmt;

use bytes::Bytes;

use super::{
    frame::{FRAME_HEAD_LEN, FrameHead, PlacedRecord, read_frame},
    head::{FileHead, HEAD_LEN},
    ids::Place,
    writer::CurrentFile,
};

/// The usual length of a read, in bytes.
pub(super) const READ_LEN: u64 = 1 << 20;

/// What follows the last frame of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Zeros, or the end of the file.
    Nothing,
    /// Bytes that are no frame.
    Torn,
}

/// The end of the frames of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileEnd {
    pub(super) file: CurrentFile,
    pub(super) rest: Rest,
    /// The offset after the zeros that follow.
    pub(super) zeros: u64,
}

impl FileEnd {
    pub(super) fn is_begun(&self) -> bool {
        self.file.len > HEAD_LEN as u64
    }

    pub(super) fn place(&self) -> Place {
        Place { file: self.file.number, at: self.file.len }
    }
}

/// The position in a file that is being read.
pub(super) struct Reading {
    pub(super) head: FileHead,
    /// The length of the file.
    pub(super) len: u64,
    /// The offset of the next frame.
    pub(super) at: u64,
    /// Bytes from an offset on.
    pub(super) buffer: Bytes,
    pub(super) buffer_at: u64,
}

/// What a buffer has at an offset.
pub(super) enum Found {
    Frame(FrameHead, Vec<PlacedRecord>),
    /// It needs this many bytes from there on.
    Needs(u64),
    NoFrame,
}

impl fmt::Debug for Reading {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("file", &self.head.number)
            .field("len", &self.len)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Reading {
    fn buffered(&self) -> Bytes {
        let start = usize::try_from(self.at.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        if start >= self.buffer.len() { Bytes::new() } else { self.buffer.slice(start..) }
    }

    pub(super) fn find(&self) -> Found {
        let (bytes, left) = (self.buffered(), self.len - self.at);
        let buffered = bytes.len() as u64;
        if left < FRAME_HEAD_LEN as u64 {
            return Found::NoFrame;
        }
        if buffered < FRAME_HEAD_LEN as u64 {
            return Found::Needs(FRAME_HEAD_LEN as u64);
        }
        let head = FrameHead::decode(&bytes, self.head.salt, self.at);
        let Some(head) = head.filter(|head| head.frame_len() <= left) else {
            return Found::NoFrame;
        };
        if buffered < head.frame_len() {
            return Found::Needs(head.frame_len());
        }
        match read_frame(&bytes, self.head.salt, self.at) {
            Some((head, records)) => Found::Frame(head, records),
            None => Found::NoFrame,
        }
    }

    pub(super) fn read(&self, at: u64, len: u64) -> (Place, u64) {
        let place = Place { file: self.head.number, at };
        (place, len.max(READ_LEN).min(self.len - at))
    }

    pub(super) fn end(&self, rest: Rest) -> FileEnd {
        let FileHead { number, salt, .. } = self.head;
        let zeros = if rest == Rest::Nothing { self.len } else { self.at };
        FileEnd { file: CurrentFile { number, salt, len: self.at }, rest, zeros }
    }
}
