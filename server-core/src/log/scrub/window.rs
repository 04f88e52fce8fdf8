//! The part of a file that is in memory.

use bytes::Bytes;

use super::target::ScrubStep;

/// The usual length of a read, in bytes.
pub(super) const READ_LEN: u64 = 256 << 10;

/// What a file has at an offset.
pub(super) enum Part {
    /// The bytes.
    Bytes(Bytes),
    /// They are needed.
    Read(ScrubStep),
    /// The file ends before them.
    Beyond,
}

/// The bytes of the last read, and how much of the file is read.
#[derive(Debug)]
pub(super) struct Window {
    at: u64,
    bytes: Bytes,
    end: u64,
    is_read: bool,
}

impl Window {
    /// Nothing yet, of a file of a length.
    pub(super) fn new(len: u64) -> Self {
        Self { at: 0, bytes: Bytes::new(), end: len, is_read: false }
    }

    /// The offset after the last byte that is read: less than expected, if the file is shorter.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Takes the bytes of a read.
    pub(super) fn take(&mut self, at: u64, len: u64, bytes: Bytes) {
        if (bytes.len() as u64) < len {
            self.end = self.end.min(at.saturating_add(bytes.len() as u64));
        }
        (self.at, self.bytes, self.is_read) = (at, bytes, true);
    }

    /// The bytes of the last read; `None` before it.
    pub(super) fn all(&self) -> Option<Bytes> {
        self.is_read.then(|| self.bytes.clone())
    }

    /// This many bytes at an offset.
    pub(super) fn part(&self, at: u64, len: u64) -> Part {
        if at.checked_add(len).is_none_or(|end| end > self.end) {
            return Part::Beyond;
        }
        let place = |at: u64| usize::try_from(at.checked_sub(self.at)?).ok();
        let found = place(at).zip(place(at + len)).filter(|(_, to)| *to <= self.bytes.len());
        match found {
            Some((from, to)) => Part::Bytes(self.bytes.slice(from..to)),
            None => Part::Read(self.read(at, len)),
        }
    }

    /// The read of some bytes, and of those after them up to a usual length.
    pub(super) fn read(&self, at: u64, len: u64) -> ScrubStep {
        ScrubStep::Read { at, len: len.max(READ_LEN).min(self.end.saturating_sub(at)).max(len) }
    }
}
