//! A file with bytes of segments that are written one after the other, and its run.

use bytes::{Bytes, BytesMut};

use super::{
    checkpoint::{KnownFile, KnownRun},
    frame::{FrameBuilder, LogRecord},
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt, SegmentNumber},
    index::RunFile,
    run::{Entry, RunBuilder},
    spans::{FileSpans, OutOfOrder},
};
use crate::record::Sequence;

/// A file that is filled. It is one that bytes are moved to: no start reads its frames.
#[derive(Debug)]
pub struct FileFill {
    head: FileHead,
    at: u64,
    frames: u64,
    spans: FileSpans,
}

impl FileFill {
    /// The n-th file of a folder, and its first bytes.
    #[must_use]
    pub fn new(folder: FolderId, n: u64, salt: Salt) -> (Self, Bytes) {
        let number = FileNumber::moved(n);
        let head = FileHead { kind: FileKind::Moved, folder, number, salt };
        let spans = FileSpans::new(number);
        (Self { head, at: HEAD_LEN as u64, frames: 0, spans }, head.encode().into())
    }

    /// The number of the file.
    #[must_use]
    pub fn number(&self) -> FileNumber {
        self.head.number
    }

    /// The length of the file.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.at
    }

    /// Returns true if it has no bytes of a segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Returns true if the file should end, because it has many spans.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.spans.is_full()
    }

    /// Adds bytes of a segment, at most 1 MiB. Returns those to write at the end of the file.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if they are before others of the segment in the file.
    pub fn add(
        &mut self,
        segment: SegmentNumber,
        offset: u64,
        data: Bytes,
    ) -> Result<Bytes, OutOfOrder> {
        self.frames += 1;
        let start = Place { file: self.head.number, at: self.at };
        let mut frame = FrameBuilder::new(self.head.salt, start, BytesMut::new());
        frame.push(&LogRecord::Data { segment, offset, meta: Bytes::new(), data });
        let failed = |_| OutOfOrder { segment, from: offset };
        let (bytes, spans) = frame.finish(Sequence(self.frames)).map_err(failed)?;
        for span in &spans {
            self.spans.add(span)?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// The file and its run, with the bytes of the run.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if spans of the file overlap.
    pub fn finish(self, salt: Salt) -> Result<(KnownFile, KnownRun, Bytes), OutOfOrder> {
        let FileHead { number, folder, salt: of_file, .. } = self.head;
        let head = FileHead { kind: FileKind::Index, folder, number, salt };
        let mut run = RunBuilder::new(&head, number);
        for (segment, span) in self.spans.all() {
            run.push(&Entry::new(segment, number, span))?;
        }
        let bytes = run.finish();
        let held = self.spans.bytes();
        let file = KnownFile { number, salt: of_file, len: self.at, bytes: held, live: held };
        let run = KnownRun { run: RunFile::of(number), salt, len: bytes.len() as u64 };
        Ok((file, run, bytes))
    }
}
