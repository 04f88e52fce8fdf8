//! Frames made of records, and written in pieces: a long frame is never in memory as a whole.

use std::io;

use crc32fast::Hasher;
use postcard::{ser_flavors::Flavor, serialize_with_flavor};
use pravega_sdk_server_core::record::{Record, Sequence};

use super::super::format::{FRAME_HEAD_LEN, Kind, TooLong, frame_head};

/// The longest write, in bytes, and the longest frame that is encoded once, not twice.
pub(super) const PIECE: usize = 1 << 20;

/// Where the bytes of a frame go.
type Out<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// A frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<R> {
    pub(super) salt: u64,
    pub(super) kind: Kind,
    pub(super) sequence: Sequence,
    /// Its records, and how much memory they use.
    pub(super) records: R,
    pub(super) memory: usize,
}

impl<'r, R: Iterator<Item = &'r Record> + Clone> Frame<R> {
    /// Writes the frame; returns its length. `buffer` is memory for it.
    pub(super) fn write(&self, buffer: &mut Vec<u8>, out: Out<'_>) -> io::Result<u64> {
        let mut measured = Measured::default();
        buffer.clear();
        buffer.resize(FRAME_HEAD_LEN, 0);
        if self.memory <= PIECE {
            for record in self.records.clone() {
                let taken = std::mem::take(buffer);
                *buffer = postcard::to_extend(record, taken).map_err(io::Error::other)?;
            }
            measured.take(buffer.get(FRAME_HEAD_LEN..).unwrap_or_default());
            let head = self.head(measured)?;
            buffer.iter_mut().zip(&head).for_each(|(byte, head)| *byte = *head);
            out(buffer)?;
            return Ok(buffer.len() as u64);
        }
        for record in self.records.clone() {
            serialize_with_flavor(record, Measure(&mut measured)).map_err(io::Error::other)?;
        }
        let len = (FRAME_HEAD_LEN + measured.len) as u64;
        let head = self.head(measured)?;
        buffer.clear();
        buffer.extend_from_slice(&head);
        let mut pieces = Pieces { buffer, out, failed: None };
        for record in self.records.clone() {
            if let Err(error) = serialize_with_flavor(record, Write(&mut pieces)) {
                return Err(pieces.failed.unwrap_or_else(|| io::Error::other(error)));
            }
        }
        pieces.flush()?;
        Ok(len)
    }

    fn head(&self, measured: Measured) -> Result<Vec<u8>, TooLong> {
        let Measured { len, crc } = measured;
        frame_head(self.salt, self.kind, self.sequence, (len, crc.finalize()))
    }
}

/// The length and the checksum of a payload.
#[derive(Default)]
struct Measured {
    len: usize,
    crc: Hasher,
}

impl Measured {
    fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.crc.update(bytes);
    }
}

/// Measures what is encoded.
struct Measure<'a>(&'a mut Measured);

impl Flavor for Measure<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.take(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Bytes that are written as soon as they are a piece.
struct Pieces<'a, 'o> {
    buffer: &'a mut Vec<u8>,
    out: Out<'o>,
    failed: Option<io::Error>,
}

impl Pieces<'_, '_> {
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if self.buffer.len() + data.len() > PIECE {
            self.flush()?;
        }
        if data.len() > PIECE {
            return (self.out)(data);
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.out)(self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Writes what is encoded.
struct Write<'p, 'a, 'o>(&'p mut Pieces<'a, 'o>);

impl Flavor for Write<'_, '_, '_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.put(data).map_err(|error| {
            self.0.failed = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

mod itself {
    use bytes::Bytes;
    use pravega_sdk_server_core::record::Millis;

    use super::*;
    use crate::journal::format::read_frame_head;

    fn append(len: usize) -> Record {
        let data: Bytes = (0..len).map(|at| at as u8).collect::<Vec<_>>().into();
        Record::Appended { segment: "s".into(), data, attributes: Vec::new(), at: Millis(1) }
    }

    /// The writes of a frame.
    fn writes(records: &[Record], memory: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut writes, mut buffer) = (Vec::new(), Vec::new());
        let (kind, sequence) = (Kind::Batches, Sequence(3));
        let frame = Frame { salt: 1, kind, sequence, records: records.iter(), memory };
        let len = frame.write(&mut buffer, &mut |bytes| {
            writes.push(bytes.to_vec());
            Ok(())
        });
        let kept = buffer.capacity();
        assert!(memory <= PIECE || kept <= 2 * PIECE, "{kept} bytes are kept");
        (writes, len.unwrap())
    }

    #[test]
    fn a_long_frame_is_the_same_in_pieces_as_in_one() {
        for lens in [&[10, 20][..], &[PIECE], &[5, 3 * PIECE, 7, PIECE / 2, PIECE / 2, 9], &[]] {
            let records: Vec<Record> = lens.iter().map(|len| append(*len)).collect();
            let (once, len) = writes(&records, 0);
            assert_eq!(once.len(), 1);
            let (pieces, again) = writes(&records, usize::MAX);
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE || lens.contains(&piece.len())));
            let pieces = pieces.concat();
            assert_eq!((pieces.len() as u64, len), (len, again));
            assert!(once.concat() == pieces, "{lens:?}");
            let head = read_frame_head(&pieces, 1).unwrap();
            assert_eq!(head.sequence, Sequence(3));
            assert!(head.payload(&pieces).is_some());
        }
    }

    #[test]
    fn a_write_that_fails_ends_the_frame_with_its_error() {
        for fails_at in 0..4 {
            let (mut writes, mut buffer) = (0, Vec::new());
            let records = [append(PIECE), append(3 * PIECE)];
            let (kind, sequence, memory) = (Kind::Batches, Sequence(3), 4 * PIECE);
            let frame = Frame { salt: 1, kind, sequence, records: records.iter(), memory };
            let written = frame.write(&mut buffer, &mut |_| {
                writes += 1;
                if writes > fails_at { Err(io::Error::other("no space")) } else { Ok(()) }
            });
            assert_eq!(written.unwrap_err().to_string(), "no space");
            assert_eq!(writes, fails_at + 1);
        }
    }
}
