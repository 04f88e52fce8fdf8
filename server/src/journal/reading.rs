//! A journal's file, read frame by frame: no more of it is in memory than its longest frame.

use std::io;

use super::{
    disk::ReadDisk,
    format::{FRAME_HEAD_LEN, FrameHead, holds_a_frame, read_frame_head},
};

/// The fewest bytes that are read at a time, if the file has as many.
const WINDOW: usize = 1 << 20;

/// A file, and the part of it that was read last.
pub(super) struct Reading<'d> {
    disk: &'d mut dyn ReadDisk,
    file: String,
    len: u64,
    start: u64,
    window: Vec<u8>,
}

impl<'d> Reading<'d> {
    pub(super) fn of(disk: &'d mut dyn ReadDisk, file: String) -> io::Result<Self> {
        let len = disk.len(&file)?;
        Ok(Self { disk, file, len, start: 0, window: Vec::new() })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at an offset, as many as there are up to a number.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let wanted = (len as u64).min(self.len.saturating_sub(at));
        let has = self.start + self.window.len() as u64;
        if at < self.start || at + wanted > has {
            // The memory of a long frame is given back before the next part is read.
            self.window = Vec::new();
            self.window = self.disk.read_at(&self.file, at, len.max(WINDOW))?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        let to = self.window.len().min(from.saturating_add(len));
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// The frame at an offset, with its payload; `None` if no whole and undamaged one is there.
    pub(super) fn frame(&mut self, at: u64, salt: u64) -> io::Result<Option<(FrameHead, &[u8])>> {
        let Some(head) = read_frame_head(self.bytes(at, FRAME_HEAD_LEN)?, salt) else {
            return Ok(None);
        };
        let frame = self.bytes(at, FRAME_HEAD_LEN.saturating_add(head.len))?;
        Ok(head.payload(frame).map(|payload| (head, payload)))
    }

    /// Returns true if a frame begins at an offset or after it.
    pub(super) fn has_frame_from(&mut self, mut at: u64, salt: u64) -> io::Result<bool> {
        while at < self.len {
            if holds_a_frame(self.bytes(at, WINDOW)?, salt) {
                return Ok(true);
            }
            // The head of a frame may begin in one part and end in the next.
            at += (WINDOW - FRAME_HEAD_LEN) as u64;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_server_core::record::Sequence;

    use super::*;
    use crate::journal::format::{Kind, frame_head};

    struct File(Vec<u8>, usize);

    impl ReadDisk for File {
        fn list(&mut self) -> io::Result<Vec<String>> {
            Ok(vec!["file".to_owned()])
        }

        fn len(&mut self, _: &str) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&mut self, _: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let bytes = rest.get(..len.min(rest.len())).unwrap_or_default();
            self.1 = self.1.max(bytes.len());
            Ok(bytes.to_vec())
        }
    }

    fn frame(len: usize) -> Vec<u8> {
        let payload = vec![7; len];
        let measured = (len, crc32fast::hash(&payload));
        let head = frame_head(3, Kind::Batches, Sequence(1), measured).unwrap();
        [head, payload].concat()
    }

    #[test]
    fn frames_are_read_one_after_the_other_and_no_more_at_a_time_than_the_longest() {
        let lens = [10, WINDOW - 100, 0, 2 * WINDOW, 300, WINDOW / 2, WINDOW / 2, 0];
        let mut file = File(lens.iter().flat_map(|len| frame(*len)).collect(), 0);
        let mut reading = Reading::of(&mut file, "file".to_owned()).unwrap();
        let mut at = 0;
        for len in lens {
            let (_, payload) = reading.frame(at, 3).unwrap().unwrap();
            assert_eq!(payload.len(), len);
            at += (FRAME_HEAD_LEN + len) as u64;
        }
        assert_eq!(at, reading.len());
        assert!(reading.frame(at, 3).unwrap().is_none());
        assert!(reading.frame(0, 4).unwrap().is_none(), "a frame of another file");
        assert_eq!(file.1, 2 * WINDOW + FRAME_HEAD_LEN);
    }

    #[test]
    fn a_frame_is_found_wherever_it_begins() {
        for before in [0, 1, WINDOW - FRAME_HEAD_LEN, WINDOW - 27, WINDOW - 1, WINDOW, 2 * WINDOW] {
            let bytes = [vec![0; before], frame(5)].concat();
            let mut file = File(bytes, 0);
            let mut reading = Reading::of(&mut file, "file".to_owned()).unwrap();
            assert!(reading.has_frame_from(0, 3).unwrap(), "{before}");
            assert!(reading.has_frame_from(before as u64, 3).unwrap(), "{before}");
            assert!(!reading.has_frame_from(before as u64 + 1, 3).unwrap(), "{before}");
        }
    }
}
