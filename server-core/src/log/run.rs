//! A run: the spans of closed files, in a file of its own from which single ones are looked up.
//!
//! ```text
//! run          head │ block │ block │ … │ directory │ footer
//! block, 8 + n length u32 │ crc u32 of the body │ body: spans, at most 4 KiB
//! span         numbers of 7 bits a byte: segment, from, to − from, file, at, end − at; the segment
//!              is less that of the span before, and so is from if the segment is the same
//! directory    for each block: segment u64 │ from u64 │ place u64, of its first span
//! footer, 48   place of the directory u64 │ its length u64 │ first file u64 │ last file u64 │
//!              count of spans u64 │ 0 u32 │ crc u32
//! ```
//!
//! Spans are sorted by segment, offset and file. Of a run only the footer is in memory; the
//! directory and blocks are read when they are needed. Every checksum includes the salt and the
//! place, as in log files.

use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{
    checksum::checksum,
    frame::MAX_DATA,
    head::{FileHead, HEAD_LEN},
    ids::{FileNumber, Salt, SegmentNumber},
    spans::{OutOfOrder, Span},
};

/// The length of the footer of a run, in bytes.
pub const FOOTER_LEN: usize = 48;

const BLOCK_LEN: usize = 4096;
/// The length of the head of a block, which begins with the length of its body.
pub(super) const BLOCK_HEAD_LEN: usize = 8;
/// The most bytes of an encoded span.
const MAX_SPAN: usize = 60;
const DIRECTORY_ENTRY_LEN: usize = 24;

/// A span of a segment in one of several files. Their order is that in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The segment.
    pub segment: SegmentNumber,
    /// The offset of the first byte in the segment.
    pub from: u64,
    /// The file.
    pub file: FileNumber,
    /// The offset after the last byte in the segment.
    pub to: u64,
    /// The offset of the first record in the file.
    pub at: u64,
    /// The offset after the last record in the file.
    pub end: u64,
}

impl Entry {
    /// The entry of a span of a file.
    #[must_use]
    pub fn new(segment: SegmentNumber, file: FileNumber, span: Span) -> Self {
        let Span { from, to, at, end } = span;
        Self { segment, from, file, to, at, end }
    }
}

/// A run that is being written.
#[derive(Debug)]
pub struct RunBuilder {
    salt: Salt,
    files: (FileNumber, FileNumber),
    /// Bytes to write.
    out: BytesMut,
    /// The place of the first of them.
    at: u64,
    body: Vec<u8>,
    previous: Option<Entry>,
    directory: Vec<u8>,
    count: u64,
}

impl RunBuilder {
    /// An empty run of the files from the number in its head to the last one.
    #[must_use]
    pub fn new(head: &FileHead, last: FileNumber) -> Self {
        let mut out = BytesMut::new();
        out.put_slice(&head.encode());
        Self {
            salt: head.salt,
            files: (head.number, last),
            out,
            at: 0,
            body: Vec::with_capacity(BLOCK_LEN),
            previous: None,
            directory: Vec::new(),
            count: 0,
        }
    }

    /// Adds the next span.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] if it is not after the one before.
    pub fn push(&mut self, entry: &Entry) -> Result<(), OutOfOrder> {
        if self.previous.is_some_and(|previous| previous >= *entry) {
            return Err(OutOfOrder { segment: entry.segment, from: entry.from });
        }
        if self.body.len() + MAX_SPAN > BLOCK_LEN {
            self.end_block();
        }
        let before = self.previous.filter(|_| !self.body.is_empty());
        if before.is_none() {
            self.directory.put_u64(entry.segment.0);
            self.directory.put_u64(entry.from);
            self.directory.put_u64(self.at + self.out.len() as u64);
        }
        encode(entry, before.as_ref(), &mut self.body);
        (self.previous, self.count) = (Some(*entry), self.count + 1);
        Ok(())
    }

    /// The bytes that can be written, after those of the last call.
    pub fn take(&mut self) -> Bytes {
        self.at += self.out.len() as u64;
        self.out.split().freeze()
    }

    /// The last bytes.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.end_block();
        let directory = self.at + self.out.len() as u64;
        let body = std::mem::take(&mut self.directory);
        let len = body.len() as u64;
        self.put_block(&body);
        let place = self.at + self.out.len() as u64;
        let mut footer = Vec::with_capacity(FOOTER_LEN);
        footer.put_u64(directory);
        footer.put_u64(len);
        footer.put_u64(self.files.0.0);
        footer.put_u64(self.files.1.0);
        footer.put_u64(self.count);
        footer.put_u32(0);
        footer.put_u32(checksum(&footer, self.salt, place));
        self.out.put_slice(&footer);
        self.out.freeze()
    }

    fn end_block(&mut self) {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            self.put_block(&body);
            self.body = body;
            self.body.clear();
        }
    }

    fn put_block(&mut self, body: &[u8]) {
        let at = self.at + self.out.len() as u64;
        // A directory above this length is not read back; a run of so many spans is not made.
        self.out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        self.out.put_u32(checksum(body, self.salt, at));
        self.out.put_slice(body);
    }
}

fn encode(entry: &Entry, before: Option<&Entry>, out: &mut Vec<u8>) {
    let (segment, from) = match before {
        Some(before) if before.segment == entry.segment => (0, entry.from - before.from),
        Some(before) => (entry.segment.0 - before.segment.0, entry.from),
        None => (entry.segment.0, entry.from),
    };
    let numbers =
        [segment, from, entry.to - entry.from, entry.file.0, entry.at, entry.end - entry.at];
    for mut number in numbers {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = rest.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn decode(rest: &mut &[u8], before: Option<&Entry>) -> Option<Entry> {
    let (segment, from) = (number(rest)?, number(rest)?);
    let (segment, from) = match before {
        Some(before) if segment == 0 => (before.segment.0, before.from.checked_add(from)?),
        Some(before) => (before.segment.0.checked_add(segment)?, from),
        None => (segment, from),
    };
    let to = from.checked_add(number(rest)?)?;
    let (file, at) = (FileNumber(number(rest)?), number(rest)?);
    let end = at.checked_add(number(rest)?)?;
    Some(Entry { segment: SegmentNumber(segment), from, file, to, at, end })
}

fn body(bytes: &[u8], salt: Salt, at: u64) -> Option<&[u8]> {
    let mut head = bytes.get(..BLOCK_HEAD_LEN)?;
    let (len, crc) = (head.try_get_u32().ok()?, head.try_get_u32().ok()?);
    let body = bytes.get(BLOCK_HEAD_LEN..)?;
    (body.len() as u64 == u64::from(len) && checksum(body, salt, at) == crc).then_some(body)
}

/// Returns true if bytes are a block, or the directory, at an offset of a run.
pub(super) fn is_block(bytes: &[u8], salt: Salt, at: u64) -> bool {
    body(bytes, salt, at).is_some()
}

/// The end of a run, which is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// The first and the last of its files.
    pub files: (FileNumber, FileNumber),
    /// The number of spans.
    pub count: u64,
    directory: u64,
    directory_len: u64,
}

impl Footer {
    /// Reads the footer at an offset of a run.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: Salt, at: u64) -> Option<Self> {
        let (body, crc) = bytes.get(..FOOTER_LEN)?.split_at(FOOTER_LEN - 4);
        if crc != checksum(body, salt, at).to_be_bytes() {
            return None;
        }
        let mut rest = body;
        let mut next = || rest.try_get_u64().ok();
        let (directory, directory_len) = (next()?, next()?);
        let files = (FileNumber(next()?), FileNumber(next()?));
        let footer = Self { files, count: next()?, directory, directory_len };
        let end = footer.directory_place().end;
        (directory >= HEAD_LEN as u64 && end == at).then_some(footer)
    }

    /// The place of the directory.
    #[must_use]
    pub fn directory_place(&self) -> Range<u64> {
        let len = self.directory_len.saturating_add(BLOCK_HEAD_LEN as u64);
        self.directory..self.directory.saturating_add(len)
    }
}

/// The first span of each block of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    blocks: Vec<((SegmentNumber, u64), u64)>,
    end: u64,
}

impl Directory {
    /// Reads the directory of a run.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: Salt, footer: &Footer) -> Option<Self> {
        let mut rest = body(bytes, salt, footer.directory)?;
        let mut blocks = Vec::with_capacity(rest.len() / DIRECTORY_ENTRY_LEN);
        while !rest.is_empty() {
            let segment = SegmentNumber(rest.try_get_u64().ok()?);
            let from = rest.try_get_u64().ok()?;
            blocks.push(((segment, from), rest.try_get_u64().ok()?));
        }
        let is_sorted = blocks.is_sorted_by(|one, two| one.0 <= two.0 && one.1 < two.1);
        let is_within = blocks.last().is_none_or(|(_, at)| *at < footer.directory);
        (is_sorted && is_within).then_some(Self { blocks, end: footer.directory })
    }

    /// The places of the blocks that may have the span with a byte of a segment, in order.
    pub fn blocks_for(
        &self,
        segment: SegmentNumber,
        offset: u64,
    ) -> impl Iterator<Item = Range<u64>> + '_ {
        self.blocks_within(segment, offset, offset.saturating_add(1))
    }

    /// The places of the blocks that may have spans with bytes of a range of a segment, in order.
    pub fn blocks_within(
        &self,
        segment: SegmentNumber,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Range<u64>> + '_ {
        // A span with the first byte may begin as far before it as a record can have data.
        let earliest = (segment, from.saturating_sub(MAX_DATA as u64));
        let first = self.blocks.partition_point(|(key, _)| *key < earliest).saturating_sub(1);
        let last = self.blocks.partition_point(|(key, _)| *key < (segment, to));
        (first..last).filter_map(|block| {
            let start = self.blocks.get(block)?.1;
            Some(start..self.blocks.get(block + 1).map_or(self.end, |(_, next)| *next))
        })
    }

    /// The places of all blocks.
    pub fn blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let ends = self.blocks.iter().skip(1).map(|(_, at)| *at).chain([self.end]);
        self.blocks.iter().zip(ends).map(|((_, start), end)| *start..end)
    }
}

/// The spans of a block of a run; `None` if it is damaged.
#[must_use]
pub fn read_block(bytes: &[u8], salt: Salt, at: u64) -> Option<Vec<Entry>> {
    let mut rest = body(bytes, salt, at)?;
    let mut entries: Vec<Entry> = Vec::new();
    while !rest.is_empty() {
        entries.push(decode(&mut rest, entries.last())?);
    }
    Some(entries)
}

/// The span with a byte of a segment among those of some blocks: of several, that in the newest
/// file. Spans of files that no longer exist are passed over.
pub(super) fn find(
    entries: &[Entry],
    segment: SegmentNumber,
    offset: u64,
    exists: impl Fn(FileNumber) -> bool,
) -> Option<Entry> {
    let has = |entry: &&Entry| {
        entry.segment == segment && entry.from <= offset && offset < entry.to && exists(entry.file)
    };
    entries.iter().filter(has).max_by_key(|entry| entry.file).copied()
}

/// The spans of several runs as one, in order, without those of files that no longer exist.
#[derive(Debug)]
pub struct Merge<I: Iterator<Item = Entry>, F> {
    runs: Vec<std::iter::Peekable<I>>,
    exists: F,
}

impl<I: Iterator<Item = Entry>, F: Fn(FileNumber) -> bool> Merge<I, F> {
    /// Merges sorted runs.
    pub fn new(runs: impl IntoIterator<Item = I>, exists: F) -> Self {
        Self { runs: runs.into_iter().map(Iterator::peekable).collect(), exists }
    }
}

impl<I: Iterator<Item = Entry>, F: Fn(FileNumber) -> bool> Iterator for Merge<I, F> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let firsts = self.runs.iter_mut().enumerate();
            let firsts = firsts.filter_map(|(run, all)| Some((*all.peek()?, run)));
            let (first, run) = firsts.min()?;
            self.runs.get_mut(run)?.next();
            if (self.exists)(first.file) {
                return Some(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::head::FileKind, *};
    use crate::log::FolderId;

    const SALT: Salt = Salt(77);

    fn head() -> FileHead {
        let (folder, number) = (FolderId(1), FileNumber(3));
        FileHead { kind: FileKind::Index, folder, number, salt: SALT }
    }

    fn entry(segment: u64, from: u64, file: u64) -> Entry {
        let (segment, file) = (SegmentNumber(segment), FileNumber(file));
        Entry { segment, from, file, to: from + 100, at: from * 2 + 64, end: from * 2 + 300 }
    }

    fn written(entries: &[Entry]) -> Bytes {
        let mut run = RunBuilder::new(&head(), FileNumber(9));
        let mut bytes = BytesMut::new();
        for entry in entries {
            run.push(entry).unwrap();
            bytes.put_slice(&run.take());
        }
        bytes.put_slice(&run.finish());
        bytes.freeze()
    }

    struct Run {
        bytes: Bytes,
        directory: Directory,
    }

    fn read(bytes: Bytes) -> Option<Run> {
        let salt = FileHead::decode(&bytes).ok()?.salt;
        let at = bytes.len().checked_sub(FOOTER_LEN)?;
        let footer = Footer::decode(&bytes[at..], salt, at as u64)?;
        let place = footer.directory_place();
        let directory = bytes.get(place.start as usize..place.end as usize)?;
        let directory = Directory::decode(directory, salt, &footer)?;
        Some(Run { bytes, directory })
    }

    impl Run {
        fn block(&self, place: Range<u64>) -> Option<Vec<Entry>> {
            let bytes = &self.bytes[place.start as usize..place.end as usize];
            read_block(bytes, SALT, place.start)
        }

        fn all(&self) -> Option<Vec<Entry>> {
            let blocks: Option<Vec<_>> =
                self.directory.blocks().map(|place| self.block(place)).collect();
            Some(blocks?.concat())
        }

        fn find(&self, segment: u64, offset: u64) -> Option<Entry> {
            let segment = SegmentNumber(segment);
            let blocks = self.directory.blocks_for(segment, offset);
            let entries: Vec<Entry> =
                blocks.flat_map(|place| self.block(place).expect("a whole block")).collect();
            find(&entries, segment, offset, |_| true)
        }
    }

    #[test]
    fn a_run_is_read_back_and_each_of_its_spans_is_found() {
        let mut entries: Vec<Entry> =
            (0..5000).map(|number| entry(number / 100 * 7, number % 100 * 150, 3)).collect();
        entries.sort();
        let run = read(written(&entries)).unwrap();
        assert_eq!(run.all().unwrap(), entries);
        assert!(run.directory.blocks.len() > 10, "{} blocks", run.directory.blocks.len());
        for entry in &entries {
            for offset in [entry.from, entry.to - 1] {
                assert_eq!(run.find(entry.segment.0, offset), Some(*entry));
            }
            assert_eq!(run.find(entry.segment.0, entry.to), None);
            assert_eq!(run.find(entry.segment.0 + 1, entry.from), None);
        }
    }

    #[test]
    fn an_empty_run_has_nothing() {
        let run = read(written(&[])).unwrap();
        assert_eq!((run.all(), run.find(1, 1)), (Some(vec![]), None));
    }

    #[test]
    fn a_span_that_begins_long_before_a_byte_is_found_behind_shorter_ones() {
        let long = Entry { to: MAX_DATA as u64, ..entry(1, 0, 3) };
        let mut entries = vec![long];
        // Parts of it were moved to a newer file.
        let moved = |part: u64| Entry { to: part * 100 + 10, ..entry(1, part * 100, 4) };
        entries.extend((1..600).map(moved));
        let run = read(written(&entries)).unwrap();
        assert!(run.directory.blocks.len() > 1);
        assert_eq!(run.find(1, 50_050), Some(long));
        assert_eq!(run.find(1, 50_005).map(|entry| entry.file), Some(FileNumber(4)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_run_is_detected() {
        let entries: Vec<Entry> = (0..150).map(|number| entry(1, number * 150, 3)).collect();
        let bytes = written(&entries);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(flipped.into()).and_then(|run| run.all()), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(read(bytes.slice(..len)).and_then(|run| run.all()), None, "{len} bytes");
        }
    }

    #[test]
    fn a_span_out_of_order_is_refused() {
        let mut run = RunBuilder::new(&head(), FileNumber(9));
        run.push(&entry(2, 100, 3)).unwrap();
        for wrong in [entry(2, 100, 3), entry(2, 99, 3), entry(1, 500, 3), entry(2, 100, 2)] {
            let OutOfOrder { from, .. } = run.push(&wrong).unwrap_err();
            assert_eq!(from, wrong.from);
        }
    }

    #[test]
    fn merged_runs_are_in_order_and_have_no_span_of_a_file_that_is_gone() {
        let runs = [vec![entry(1, 0, 3), entry(5, 0, 3)], vec![entry(1, 100, 4), entry(4, 0, 4)]];
        let exists = |file| file != FileNumber(3);
        let merge = |exists: fn(FileNumber) -> bool| {
            let runs = runs.iter().map(|run| run.iter().copied());
            Merge::new(runs, exists).collect::<Vec<_>>()
        };
        let all = [entry(1, 0, 3), entry(1, 100, 4), entry(4, 0, 4), entry(5, 0, 3)];
        assert_eq!(merge(|_| true), all);
        assert_eq!(merge(exists), [entry(1, 100, 4), entry(4, 0, 4)]);
    }

    proptest! {
        #[test]
        fn any_spans_are_read_back(
            numbers in prop::collection::btree_set(
                (any::<u64>(), 0..u64::MAX / 4, any::<u64>(), 0_u64..70_000, 0..u64::MAX / 2),
                0..300,
            ),
        ) {
            let entries: Vec<Entry> = numbers
                .into_iter()
                .map(|(segment, from, file, len, at)| {
                    let (segment, file) = (SegmentNumber(segment), FileNumber(file));
                    Entry { segment, from, file, to: from + len, at, end: at + len }
                })
                .collect();
            prop_assert_eq!(read(written(&entries)).unwrap().all(), Some(entries));
        }

        #[test]
        fn arbitrary_bytes_are_no_block(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // With the right checksum, so that the spans are read.
            let mut block = Vec::new();
            block.put_u32(bytes.len() as u32);
            block.put_u32(checksum(&bytes, SALT, 64));
            block.put_slice(&bytes);
            if let Some(entries) = read_block(&block, SALT, 64) {
                prop_assert!(entries.len() <= bytes.len() / 6);
            }
        }
    }
}
