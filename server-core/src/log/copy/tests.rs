//! Copies of every kind of file, whole, damaged and cut.

use super::*;
use crate::{
    log::{
        CheckpointBuilder, CheckpointEnd, Entry, FileChange, FrameBuilder, LogRecord, Place,
        Position, RunBuilder, RunFile, SegmentNumber,
    },
    record::Sequence,
};

const FROM: FolderId = FolderId(5);
const TO: FolderId = FolderId(6);
const SALT: Salt = Salt(9);

fn head(kind: FileKind, number: FileNumber) -> FileHead {
    FileHead { kind, folder: FROM, number, salt: SALT }
}

fn frames(number: FileNumber) -> (CopiedFile, Vec<u8>) {
    let kind = FileKind::of_frames(number);
    let mut bytes = head(kind, number).encode();
    for batch in 1..20 {
        let start = Place { file: number, at: bytes.len() as u64 };
        let mut frame = FrameBuilder::new(SALT, start, BytesMut::new());
        frame.push(&LogRecord::File(FileChange::Begun { previous: None }));
        let data = Bytes::from(vec![batch as u8; 10 * batch as usize]);
        let meta = Bytes::from_static(b"meta");
        frame.push(&LogRecord::Data { segment: SegmentNumber(1), offset: 0, meta, data });
        bytes.extend_from_slice(&frame.finish(Sequence(batch)).unwrap().0);
    }
    let len = bytes.len() as u64;
    (CopiedFile::Frames(KnownFile { number, salt: SALT, len, bytes: 1, live: 1 }), bytes)
}

fn run() -> (CopiedFile, Vec<u8>) {
    let run = RunFile { first: FileNumber(1), last: FileNumber(3) };
    let mut builder = RunBuilder::new(&head(FileKind::Index, run.first), run.last);
    for from in 0..2000 {
        let (segment, file, at, end) = (SegmentNumber(1), FileNumber(2), 64 + from, 90 + from);
        builder.push(&Entry { segment, from, file, to: from + 1, at, end }).unwrap();
    }
    let bytes = builder.finish().to_vec();
    (CopiedFile::Run(KnownRun { run, salt: SALT, len: bytes.len() as u64 }), bytes)
}

fn checkpoint() -> (CopiedFile, Vec<u8>) {
    let file = CheckpointFile { base: 2, number: 3 };
    let position = Position { place: Place { file: FileNumber(4), at: 64 }, sequence: 50 };
    let mut builder = CheckpointBuilder::new(&head(FileKind::Checkpoint, FileNumber(3)), position);
    (0..40_u8).for_each(|key| builder.push(&[key], Some(&[key; 50])));
    let end = CheckpointEnd { up_to: 50, files: Vec::new(), runs: Vec::new() };
    let bytes = builder.finish(&end).to_vec();
    (CopiedFile::Checkpoint(file, bytes.len() as u64), bytes)
}

fn all() -> [(CopiedFile, Vec<u8>); 4] {
    [frames(FileNumber(7)), frames(FileNumber::moved(2)), run(), checkpoint()]
}

/// Copies a file whose reads may bring fewer bytes than it has.
fn copy(file: CopiedFile, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut copy = FileCopy::new(file, FROM, TO);
    let mut out = Vec::new();
    loop {
        match copy.poll()? {
            CopyStep::Read { at, len } => {
                assert!(at + len <= file.copied_len() && len > 0, "{at} and {len} more");
                let read = bytes.get(at as usize..).unwrap_or_default();
                copy.handle_read(Bytes::copy_from_slice(&read[..read.len().min(len as usize)]))?;
            }
            CopyStep::Write { at, bytes } => {
                assert_eq!(at, out.len() as u64, "writes follow each other");
                out.extend_from_slice(&bytes);
            }
            CopyStep::Done => return Ok(out),
        }
    }
}

#[test]
fn a_copy_differs_in_its_head_only_which_names_the_other_folder() {
    for (file, bytes) in all() {
        let copied = copy(file, &bytes).unwrap();
        let head = FileHead { folder: TO, ..FileHead::decode(&bytes).unwrap() };
        assert_eq!(FileHead::decode(&copied), Ok(head), "{}", file.name());
        assert!(copied[HEAD_LEN..] == bytes[HEAD_LEN..], "{}", file.name());
    }
}

#[test]
fn nothing_after_the_end_of_the_log_is_copied() {
    let (file, bytes) = frames(FileNumber(7));
    let longer = [&bytes[..], &[7; 100]].concat();
    assert_eq!(copy(file, &longer).unwrap().len(), bytes.len());
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_file_is_named() {
    for (file, bytes) in all() {
        // One bit of each byte: the checks are of bytes.
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let problem = copy(file, &flipped).unwrap_err();
            assert_eq!(problem.file, file.name());
            assert!(problem.at <= at as u64, "byte {at}: {problem}");
        }
        for len in 0..bytes.len() {
            assert!(copy(file, &bytes[..len]).is_err(), "{len} bytes of {}", file.name());
        }
    }
}

#[test]
fn a_file_of_another_folder_or_with_another_salt_is_not_copied() {
    for (file, bytes) in all() {
        let other = FileHead { folder: TO, ..FileHead::decode(&bytes).unwrap() }.encode();
        let problem = copy(file, &[&other[..], &bytes[HEAD_LEN..]].concat()).unwrap_err();
        assert_eq!(problem.what, What::OtherFolder(TO));
        let other = FileHead { salt: Salt(8), ..FileHead::decode(&bytes).unwrap() }.encode();
        assert!(copy(file, &[&other[..], &bytes[HEAD_LEN..]].concat()).is_err());
    }
}
