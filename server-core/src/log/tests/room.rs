//! The room that is left on a full disk.

use std::time::Duration;

use super::{
    super::{
        CurrentFile, Extend, Extended, FileHead, FileKind, FileNumber, LogWriter, MarkSlot, Salt,
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
