//! Frames and their records, byte by byte.
//!
//! ```text
//! frame, 24 + n   "PRVF" │ length u32 of the records │ their count u32 │ sequence u64 │ crc u32 of
//!                 the head before it │ record │ record │ …
//! record, 16      crc u32 of the rest of the record │ kind u8 │ 0 × 3 │ meta u32 │ data u32 │
//!   + 16          segment u64 │ offset u64, if the kind is 1 │
//!   + meta + data meta │ data
//! ```
//!
//! Numbers are big-endian; meta and data are lengths. Every checksum includes the salt of the file
//! and the place in it. A frame is whole if its head is, and if its records are and fill it: every
//! bit of it is in one checksum. A record can be checked alone, which reads from the middle of a
//! file need; long data is several records of one frame, so that such a read is short.

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{
    checksum::{Hashing, checksum, checksum_of},
    ids::{FileNumber, Place, Salt, SegmentNumber, SpanPlace},
};
use crate::record::Sequence;

/// The length of the head of a frame, in bytes.
pub(super) const FRAME_HEAD_LEN: usize = 24;
/// The most bytes of the records of one frame.
pub(super) const MAX_BODY: u64 = 256 << 20;
/// The most data of one record, in bytes.
pub(super) const MAX_DATA: usize = 64 << 10;

const MAGIC: &[u8; 4] = b"PRVF";
/// The length of the head of a record, in bytes.
pub(super) const RECORD_HEAD_LEN: usize = 16;
const SEGMENT_LEN: usize = 16;

const KIND_CHANGE: u8 = 0;
const KIND_DATA: u8 = 1;
const KIND_FILE: u8 = 2;

/// One change, as the log keeps it.
#[derive(Clone, PartialEq, Eq)]
pub enum LogRecord {
    /// A change without bytes of a segment, encoded by the owner of the log.
    Change {
        /// The encoded change.
        meta: Bytes,
    },
    /// Bytes of a segment.
    Data {
        /// The segment.
        segment: SegmentNumber,
        /// The offset of the first byte in the segment.
        offset: u64,
        /// What else changes with them, encoded by the owner of the log. Long data is read back as
        /// several records, of which only the first has this.
        meta: Bytes,
        /// The bytes.
        data: Bytes,
    },
    /// A change of the log's own files.
    File(FileChange),
}

/// A change of the log's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileChange {
    /// First in every file: the end of the file before it; `None` in the first file of a folder.
    Begun {
        /// The file before this one.
        previous: Option<Closed>,
    },
    /// A file is not needed any longer: after this record is durable, the file is removed.
    Dropped {
        /// The file.
        file: FileNumber,
    },
    /// A file has bytes that were moved to it. The files that they are from are dropped in the same
    /// batch.
    Moved(MovedFile),
}

/// A durable file that bytes were moved to, and its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedFile {
    /// The number of the file.
    pub file: FileNumber,
    /// Its salt.
    pub salt: Salt,
    /// Its length, in bytes.
    pub len: u64,
    /// The bytes of segments in it.
    pub bytes: u64,
    /// The salt of its run.
    pub run_salt: Salt,
    /// The length of its run, in bytes.
    pub run_len: u64,
}

/// The end of a file after which the next one was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The file.
    pub file: FileNumber,
    /// Its length, in bytes.
    pub len: u64,
    /// The last batch in it.
    pub sequence: u64,
}

impl fmt::Debug for LogRecord {
    /// Shows lengths, not bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change { meta } => f.debug_struct("Change").field("meta", &meta.len()).finish(),
            Self::Data { segment, offset, meta, data } => f
                .debug_struct("Data")
                .field("segment", &segment.0)
                .field("offset", offset)
                .field("meta", &meta.len())
                .field("data", &data.len())
                .finish(),
            Self::File(change) => f.debug_tuple("File").field(change).finish(),
        }
    }
}

impl LogRecord {
    /// The length of the record in a file, in bytes, at most: exact, but for a change of files.
    #[must_use]
    pub fn encoded_len(&self) -> u64 {
        let len = |bytes: &Bytes| bytes.len() as u64;
        match self {
            Self::Change { meta } => RECORD_HEAD_LEN as u64 + len(meta),
            Self::Data { meta, data, .. } => {
                let records = len(data).div_ceil(MAX_DATA as u64).max(1);
                records * (RECORD_HEAD_LEN + SEGMENT_LEN) as u64 + len(meta) + len(data)
            }
            Self::File(_) => (RECORD_HEAD_LEN + MAX_FILE_CHANGE) as u64,
        }
    }
}

/// The most bytes of an encoded [`FileChange`].
const MAX_FILE_CHANGE: usize = 80;

/// Records are longer than one frame can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are more than one write of the log can have")]
pub struct TooLong(pub u64);

/// A frame under construction.
pub struct FrameBuilder {
    salt: Salt,
    start: Place,
    bytes: BytesMut,
    count: u32,
    placed: Vec<SpanPlace>,
}

impl fmt::Debug for FrameBuilder {
    /// Shows the length, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuilder")
            .field("start", &self.start)
            .field("len", &self.bytes.len())
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl FrameBuilder {
    /// An empty frame at a place, in the memory of an earlier one.
    #[must_use]
    pub fn new(salt: Salt, start: Place, mut memory: BytesMut) -> Self {
        memory.clear();
        memory.resize(FRAME_HEAD_LEN, 0);
        Self { salt, start, bytes: memory, count: 0, placed: Vec::new() }
    }

    /// Returns true if the frame has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The length of the frame so far, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Adds a record.
    pub fn push(&mut self, record: &LogRecord) {
        match record {
            LogRecord::Change { meta } => self.put(KIND_CHANGE, None, meta, &[]),
            LogRecord::File(change) => {
                // Of numbers only, so that encoding cannot fail.
                let meta = postcard::to_allocvec(change).unwrap_or_default();
                self.put(KIND_FILE, None, &meta, &[]);
            }
            LogRecord::Data { segment, offset, meta, data } if data.is_empty() => {
                self.put(KIND_DATA, Some((*segment, *offset)), meta, &[]);
            }
            LogRecord::Data { segment, offset, meta, data } => {
                let (mut from, mut meta) = (*offset, &meta[..]);
                for part in data.chunks(MAX_DATA) {
                    let at = self.start.at + self.len();
                    self.put(KIND_DATA, Some((*segment, from)), meta, part);
                    let to = from.saturating_add(part.len() as u64);
                    let end = self.start.at + self.len();
                    let record = Place { file: self.start.file, at };
                    self.placed.push(SpanPlace { segment: *segment, from, to, record, end });
                    (from, meta) = (to, &[]);
                }
            }
        }
    }

    fn put(&mut self, kind: u8, segment: Option<(SegmentNumber, u64)>, meta: &[u8], data: &[u8]) {
        let (start, at) = (self.bytes.len(), self.start.at + self.len());
        self.bytes.put_u32(0);
        self.bytes.put_u8(kind);
        self.bytes.put_bytes(0, 3);
        // A frame whose length does not fit is refused when it is finished.
        self.bytes.put_u32(u32::try_from(meta.len()).unwrap_or(u32::MAX));
        self.bytes.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
        if let Some((segment, offset)) = segment {
            self.bytes.put_u64(segment.0);
            self.bytes.put_u64(offset);
        }
        self.bytes.put_slice(meta);
        self.bytes.put_slice(data);
        let crc = checksum(self.bytes.get(start + 4..).unwrap_or_default(), self.salt, at);
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&crc.to_be_bytes());
        }
        self.count = self.count.saturating_add(1);
    }

    /// The bytes of the frame, and where the bytes of segments are in it.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the records are longer than a frame can have.
    pub fn finish(mut self, sequence: Sequence) -> Result<(Bytes, Vec<SpanPlace>), TooLong> {
        let body = (self.bytes.len() - FRAME_HEAD_LEN) as u64;
        let len = u32::try_from(body).ok().filter(|_| body <= MAX_BODY).ok_or(TooLong(body))?;
        let mut head = Vec::with_capacity(FRAME_HEAD_LEN);
        head.put_slice(MAGIC);
        head.put_u32(len);
        head.put_u32(self.count);
        head.put_u64(sequence.0);
        head.put_u32(checksum(&head, self.salt, self.start.at));
        if let Some(place) = self.bytes.get_mut(..FRAME_HEAD_LEN) {
            place.copy_from_slice(&head);
        }
        Ok((self.bytes.freeze(), self.placed))
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The length of the records, in bytes.
    pub body: u32,
    /// The number of records.
    pub count: u32,
    /// The last batch in the frame.
    pub sequence: Sequence,
}

impl FrameHead {
    /// Reads the head of the frame at an offset of a file; `None` if it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: Salt, at: u64) -> Option<Self> {
        let (body, crc) = bytes.get(..FRAME_HEAD_LEN)?.split_at(FRAME_HEAD_LEN - 4);
        let mut rest = body.strip_prefix(MAGIC)?;
        if crc != checksum(body, salt, at).to_be_bytes() {
            return None;
        }
        let head = Self {
            body: rest.try_get_u32().ok()?,
            count: rest.try_get_u32().ok()?,
            sequence: Sequence(rest.try_get_u64().ok()?),
        };
        (u64::from(head.body) <= MAX_BODY).then_some(head)
    }

    /// The length of the whole frame, in bytes.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        FRAME_HEAD_LEN as u64 + u64::from(self.body)
    }
}

/// A record, and where it is in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRecord {
    /// The record.
    pub record: LogRecord,
    /// The offset of the record in its file.
    pub at: u64,
    /// The offset after it.
    pub end: u64,
}

impl PlacedRecord {
    /// The place of its bytes of a segment; `None` if it has none.
    #[must_use]
    pub fn span(&self, file: FileNumber) -> Option<SpanPlace> {
        let LogRecord::Data { segment, offset: from, data, .. } = &self.record else {
            return None;
        };
        let to = from.saturating_add(data.len() as u64);
        let record = Place { file, at: self.at };
        Some(SpanPlace { segment: *segment, from: *from, to, record, end: self.end })
    }
}

/// The head of a record, before its checksum is checked: every number in it may be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHead {
    /// The checksum of the record.
    pub(super) crc: u32,
    /// The bytes of the head that the checksum has.
    checked: [u8; RECORD_HEAD_LEN - 4],
    kind: u8,
    meta: u32,
    data: u32,
}

impl RecordHead {
    /// Reads the head of a record.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(..RECORD_HEAD_LEN)?;
        let crc = rest.try_get_u32().ok()?;
        let checked = rest.try_into().ok()?;
        let kind = rest.try_get_u32().ok()?.to_be_bytes()[0];
        let (meta, data) = (rest.try_get_u32().ok()?, rest.try_get_u32().ok()?);
        Some(Self { crc, checked, kind, meta, data })
    }

    /// The length of the record, in bytes.
    pub(super) fn len(&self) -> u64 {
        let segment = if self.kind == KIND_DATA { SEGMENT_LEN as u64 } else { 0 };
        RECORD_HEAD_LEN as u64 + segment + u64::from(self.meta) + u64::from(self.data)
    }

    /// Returns true if a record of this kind can be this long; one of the log's own changes is
    /// short.
    pub(super) fn is_of_long(&self) -> bool {
        self.kind == KIND_DATA || self.kind == KIND_CHANGE && self.data == 0
    }

    /// The checksum so far: of the head.
    pub(super) fn hashing(&self) -> Hashing {
        let mut hashing = Hashing::default();
        hashing.update(&self.checked);
        hashing
    }
}

/// Reads the record at an offset of a file, from the start of `bytes`; `None` if it is not one. Its
/// bytes are slices of `bytes`.
#[must_use]
pub fn read_record(bytes: &Bytes, salt: Salt, at: u64) -> Option<PlacedRecord> {
    let mut rest = bytes.get(..RECORD_HEAD_LEN)?;
    let crc = rest.try_get_u32().ok()?;
    let (kind, _, _) = (rest.try_get_u8().ok()?, rest.try_get_u8().ok()?, rest.try_get_u16().ok()?);
    let meta_len = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let data_len = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let segment_len = if kind == KIND_DATA { SEGMENT_LEN } else { 0 };
    let meta_at = RECORD_HEAD_LEN + segment_len;
    let data_at = meta_at.checked_add(meta_len)?;
    let len = data_at.checked_add(data_len)?;
    let checked = bytes.get(4..len)?;
    if crc != checksum_of(&[checked], salt, at) {
        return None;
    }
    let (meta, data) = (bytes.slice(meta_at..data_at), bytes.slice(data_at..len));
    let record = match kind {
        KIND_CHANGE if data.is_empty() => LogRecord::Change { meta },
        KIND_DATA => {
            let mut rest = bytes.get(RECORD_HEAD_LEN..meta_at)?;
            let segment = SegmentNumber(rest.try_get_u64().ok()?);
            LogRecord::Data { segment, offset: rest.try_get_u64().ok()?, meta, data }
        }
        KIND_FILE if data.is_empty() => LogRecord::File(postcard::from_bytes(&meta).ok()?),
        _ => return None,
    };
    Some(PlacedRecord { record, at, end: at.checked_add(len as u64)? })
}

/// Reads the records of the frame at an offset of a file, from the start of `bytes`; `None` if the
/// frame is not whole.
#[must_use]
pub fn read_frame(bytes: &Bytes, salt: Salt, at: u64) -> Option<(FrameHead, Vec<PlacedRecord>)> {
    let head = FrameHead::decode(bytes, salt, at)?;
    let len = usize::try_from(head.frame_len()).ok()?;
    if bytes.len() < len {
        return None;
    }
    let mut rest = bytes.slice(FRAME_HEAD_LEN..len);
    let (mut records, mut next) = (Vec::new(), at.checked_add(FRAME_HEAD_LEN as u64)?);
    while !rest.is_empty() {
        let record = read_record(&rest, salt, next)?;
        rest.advance(usize::try_from(record.end - next).ok()?);
        next = record.end;
        records.push(record);
    }
    (records.len() as u64 == u64::from(head.count)).then_some((head, records))
}

/// The offset in `bytes`, which are at an offset of a file, at which a frame of the file begins.
pub(super) fn find_frame(bytes: &[u8], salt: Salt, at: u64) -> Option<usize> {
    let starts = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| window == MAGIC);
    let is_frame = |start: &usize| {
        let rest = bytes.get(*start..).unwrap_or_default();
        FrameHead::decode(rest, salt, at.saturating_add(*start as u64)).is_some()
    };
    starts.map(|(start, _)| start).find(is_frame)
}

/// The records with bytes of segments that begin within `window` of `bytes`, which are at an offset
/// of a file, and end within `most`. Returns them, and the number of bytes after which others may
/// begin.
pub(super) fn find_data(
    bytes: &Bytes,
    salt: Salt,
    at: u64,
    window: u64,
    most: u64,
) -> (Vec<PlacedRecord>, u64) {
    let (mut found, mut start) = (Vec::new(), 0_u64);
    let is_data = |rest: &[u8]| {
        let len = rest
            .get(12..RECORD_HEAD_LEN)
            .and_then(|len| Some(u32::from_be_bytes(len.try_into().ok()?)));
        rest.get(4..8) == Some(&[KIND_DATA, 0, 0, 0])
            && len.is_some_and(|len| len > 0 && len as usize <= MAX_DATA)
    };
    while start < window {
        let rest = usize::try_from(start).ok().and_then(|start| bytes.get(start..));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { break };
        let record = match is_data(rest) {
            true => read_record(&bytes.slice_ref(rest), salt, at + start),
            false => None,
        };
        match record.filter(|placed| placed.end - at <= most) {
            Some(placed) => {
                start = placed.end - at;
                found.push(placed);
            }
            None => start += 1,
        }
    }
    (found, start.max(window))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(0x5A17);
    const AT: u64 = 4096;

    fn place() -> Place {
        Place { file: FileNumber(2), at: AT }
    }

    fn data(segment: u64, offset: u64, meta: &'static [u8], data: Vec<u8>) -> LogRecord {
        let (segment, meta) = (SegmentNumber(segment), Bytes::from_static(meta));
        LogRecord::Data { segment, offset, meta, data: data.into() }
    }

    fn change(meta: &'static [u8]) -> LogRecord {
        LogRecord::Change { meta: Bytes::from_static(meta) }
    }

    fn begun() -> LogRecord {
        let previous = Some(Closed { file: FileNumber(1), len: 99, sequence: 5 });
        LogRecord::File(FileChange::Begun { previous })
    }

    fn frame(records: &[LogRecord]) -> (Bytes, Vec<SpanPlace>) {
        let mut frame = FrameBuilder::new(SALT, place(), BytesMut::new());
        records.iter().for_each(|record| frame.push(record));
        frame.finish(Sequence(8)).unwrap()
    }

    fn small() -> Vec<LogRecord> {
        vec![begun(), change(b"entry"), data(3, 700, b"attributes", b"bytes".to_vec()), change(b"")]
    }

    fn records(found: Vec<PlacedRecord>) -> Vec<LogRecord> {
        found.into_iter().map(|placed| placed.record).collect()
    }

    #[test]
    fn a_frame_is_read_back_and_its_data_is_where_it_was_placed() {
        let (bytes, placed) = frame(&small());
        let (head, found) = read_frame(&bytes, SALT, AT).unwrap();
        assert_eq!((head.sequence, head.frame_len()), (Sequence(8), bytes.len() as u64));
        assert_eq!((head.count, records(found)), (4, small()));
        let [SpanPlace { segment, from, to, record, end }] = placed[..] else {
            panic!("{placed:?}");
        };
        assert_eq!((segment, from, to), (SegmentNumber(3), 700, 705));
        let start = (record.at - AT) as usize;
        let alone = read_record(&bytes.slice(start..), SALT, record.at).unwrap();
        assert_eq!(alone.span(FileNumber(2)), Some(placed[0]));
        assert_eq!((alone.record, alone.end), (small()[2].clone(), end));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_frame_is_detected() {
        let (bytes, _) = frame(&small());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_frame(&flipped.into(), SALT, AT), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(read_frame(&bytes.slice(..len), SALT, AT), None, "{len} bytes");
        }
    }

    #[test]
    fn a_frame_of_another_file_or_place_is_no_frame() {
        let (bytes, placed) = frame(&small());
        assert_eq!(read_frame(&bytes, Salt(SALT.0 + 1), AT), None);
        assert_eq!(read_frame(&bytes, SALT, AT + 1), None);
        let at = placed[0].record.at;
        let record = bytes.slice((at - AT) as usize..);
        assert!(read_record(&record, SALT, at).is_some());
        assert_eq!(read_record(&record, SALT, at + 512), None);
    }

    #[test]
    fn long_data_is_several_records_of_which_the_first_has_the_rest_of_the_change() {
        let long: Vec<u8> = (0..2 * MAX_DATA + 10).map(|byte| byte as u8).collect();
        let whole = data(3, 50, b"attributes", long.clone());
        let (bytes, placed) = frame(std::slice::from_ref(&whole));
        assert_eq!(bytes.len() as u64, FRAME_HEAD_LEN as u64 + whole.encoded_len());
        let (_, found) = read_frame(&bytes, SALT, AT).unwrap();
        let mut read = Vec::new();
        for (index, (record, placed)) in found.iter().zip(&placed).enumerate() {
            let LogRecord::Data { segment, offset, meta, data } = &record.record else {
                panic!("{record:?}");
            };
            assert_eq!(meta.is_empty(), index > 0);
            let place = (*segment, *offset, offset + data.len() as u64, record.at, record.end);
            let SpanPlace { segment, from, to, record, end } = *placed;
            assert_eq!(place, (segment, from, to, record.at, end));
            read.extend_from_slice(data);
        }
        assert_eq!((found.len(), read), (3, long));
    }

    #[test]
    fn a_frame_above_the_limit_is_refused() {
        let mut frame = FrameBuilder::new(SALT, place(), BytesMut::new());
        let data = data(1, 0, b"", vec![0; 32 << 20]);
        (0..8).for_each(|_| frame.push(&data));
        let len = frame.len() - FRAME_HEAD_LEN as u64;
        assert_eq!(frame.finish(Sequence(1)).map(drop), Err(TooLong(len)));
    }

    #[test]
    fn the_next_frame_of_a_file_is_found_and_bytes_that_look_like_one_are_not() {
        let (bytes, _) = frame(&small());
        let mut around = b"PRVF PRVF".to_vec();
        let start = around.len();
        around.extend_from_slice(&bytes);
        let at = AT - start as u64;
        assert_eq!(find_frame(&around, SALT, at), Some(start));
        // The same frame at another place, which a client may have stored.
        assert_eq!(find_frame(&around, SALT, at + 1), None);
        assert_eq!(find_frame(&around[..start + FRAME_HEAD_LEN - 1], SALT, at), None);
    }

    fn any_record() -> impl Strategy<Value = LogRecord> {
        let bytes = |most: usize| prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from);
        prop_oneof![
            bytes(50).prop_map(|meta| LogRecord::Change { meta }),
            (any::<u64>(), 0..u64::MAX / 2, bytes(50), bytes(3000)).prop_map(
                |(segment, offset, meta, data)| {
                    let segment = SegmentNumber(segment);
                    LogRecord::Data { segment, offset, meta, data }
                }
            ),
            Just(begun()),
            any::<u64>().prop_map(|file| {
                LogRecord::File(FileChange::Dropped { file: FileNumber(file) })
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_is_read_back(all in prop::collection::vec(any_record(), 0..20)) {
            let (bytes, placed) = frame(&all);
            let most: u64 = all.iter().map(LogRecord::encoded_len).sum();
            prop_assert!(bytes.len() as u64 <= FRAME_HEAD_LEN as u64 + most);
            let (_, found) = read_frame(&bytes, SALT, AT).unwrap();
            prop_assert_eq!(records(found), all);
            for span in placed {
                let start = (span.record.at - AT) as usize;
                let record = read_record(&bytes.slice(start..), SALT, span.record.at).unwrap();
                prop_assert_eq!(record.end, span.end);
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_frame_and_no_record(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = Bytes::from([&MAGIC[..], &bytes].concat());
            prop_assert_eq!(read_frame(&bytes, SALT, AT), None);
            prop_assert_eq!(read_record(&bytes, SALT, AT), None);
        }
    }
}
