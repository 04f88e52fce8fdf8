//! The room that is left on a full disk, and zeros that are not worth their time.

use std::time::Duration;

use bytes::Bytes;

use super::{
    super::{
        CurrentFile, Extend, Extended, FileHead, FileKind, FileNumber, LogRecord, LogWriter,
        MarkSlot, Outcome, Salt, SegmentNumber,
    },
    FOLDER, settings,
};
use crate::record::Sequence;

const NEXT: FileNumber = FileNumber(2);

/// A writer at a place of its first file; the next one is prepared.
fn writer(len: u64) -> LogWriter {
    let salt = Salt(7);
    let current = CurrentFile { number: FileNumber::FIRST, salt, len };
    let next = FileHead { kind: FileKind::Log, folder: FOLDER, number: NEXT, salt };
    LogWriter::new(settings(), Some(current), Some(next), Sequence(1), MarkSlot::Second)
}

fn extend(writer: &mut LogWriter, outcome: Extended) -> Extend {
    let extend = writer.poll_extend(Duration::ZERO).unwrap();
    writer.handle_extended(&outcome);
    extend
}

fn full() -> Extended {
    Extended::NotWritten("full".to_owned())
}

#[test]
fn after_the_last_frame_of_a_file_the_room_is_that_of_the_next_one() {
    let mut writer = writer(settings().file_len);
    let slices: u64 = (0..4)
        .map(|_| {
            let Extend { from, to } = extend(&mut writer, Extended::Done);
            assert_eq!(from.file, NEXT);
            to - from.at
        })
        .sum();
    extend(&mut writer, full());
    // What begins a file needs some of it.
    assert!(writer.has_room(slices / 2), "{slices} bytes");
    assert!(!writer.has_room(slices));
}

#[test]
fn the_zeros_of_a_file_that_ends_early_are_no_room() {
    let mut writer = writer(1000);
    writer.set_zeros(1500);
    extend(&mut writer, full());
    assert!(writer.has_room(300) && !writer.has_room(500));
    writer.end_file();
    assert!(!writer.has_room(300), "the next frame is in the next file");
}

#[test]
fn large_frames_have_no_zeros_before_them_and_the_system_need_not_keep_their_files() {
    let now = Duration::from_secs(1);
    for (len, left) in [(900, Some(FileNumber::FIRST)), (100, None)] {
        let mut writer = writer(settings().file_len);
        let (segment, data) = (SegmentNumber(1), vec![7; len].into());
        let record = LogRecord::Data { segment, offset: 0, meta: Bytes::new(), data };
        writer.submit(Sequence(2), vec![record]).unwrap();
        while writer.poll(now).is_some() {
            writer.handle(Outcome::Done);
        }
        assert_eq!(writer.end().map(|end| end.file), Some(NEXT));
        assert_eq!([writer.poll_leave(), writer.poll_leave()], [left, None]);
        assert_eq!(writer.poll_extend(now).is_none(), left.is_some(), "{len} bytes");
    }
}
