//! Reading an index stream.

use std::{fmt, sync::Arc};

use bytes::BytesMut;
use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError, runtime::runtime};
use pravega_sdk_types::{ErrorKind, Offset, ScopedSegment, ScopedStream};
use tokio::io::AsyncReadExt as _;

use super::{
    config::IndexReaderConfig,
    record::{IndexRecord, decode},
    record_size::{DEFAULT_RECORD_SIZE, record_size},
};
use crate::byte::{ByteReader, info, segment_of};

/// Finds and reads records of an index stream.
#[derive(Clone)]
pub struct IndexReader {
    context: SegmentContext,
    segment: ScopedSegment,
    record_size: u32,
    config: IndexReaderConfig,
}

/// Records in order, from one offset on.
pub struct IndexRecords {
    bytes: ByteReader,
    record: BytesMut,
    record_size: usize,
    end: Option<i64>,
}

impl IndexReader {
    /// Opens a reader of `stream`.
    ///
    /// # Errors
    ///
    /// As [`ByteReader::open`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: IndexReaderConfig,
    ) -> Result<Self, ReadError> {
        runtime()?;
        let (segment, _) = segment_of(&context, stream).await?;
        let record_size = record_size(&context, &segment).await?.unwrap_or(DEFAULT_RECORD_SIZE);
        Ok(Self { context, segment, record_size, config })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> ScopedStream {
        self.segment.scoped_stream()
    }

    /// The size of the stream's records in bytes.
    #[must_use]
    pub fn record_size(&self) -> u32 {
        self.record_size
    }

    /// Where the first record begins whose value of `field` is `value` or more. Records that have
    /// no such field count as less. About as many records are read as the number of all of them has
    /// bits.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of kind [`NotFound`](ErrorKind::NotFound) if there is no such record,
    /// [`Corrupt`](ErrorKind::Corrupt) for bytes that are not a valid record, and otherwise the
    /// kind of the server's failure.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn search(&self, field: &str, value: u64) -> Result<Offset, ReadError> {
        let info = info(&self.context, &self.segment).await?;
        let size = i64::from(self.record_size);
        let head = info.start_offset;
        let count = (info.write_offset - head) / size;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.record_at(head + middle * size).await?;
            match record.value(field) {
                Some(found) if found >= value => high = middle,
                _ => low = middle + 1,
            }
        }
        if low == count {
            let detail =
                format_args!("none of {count} records has {value} or more in field {field:?}");
            return Err(self.fail(ErrorKind::NotFound, detail));
        }
        Ok(Offset(head + low * size))
    }

    /// The first record that is not truncated; `None` if there is no record.
    ///
    /// # Errors
    ///
    /// As [`Self::search`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn first(&self) -> Result<Option<IndexRecord>, ReadError> {
        let info = info(&self.context, &self.segment).await?;
        let is_there = info.write_offset - info.start_offset >= i64::from(self.record_size);
        if is_there { self.record_at(info.start_offset).await.map(Some) } else { Ok(None) }
    }

    /// The last record; `None` if there is no record.
    ///
    /// # Errors
    ///
    /// As [`Self::search`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn last(&self) -> Result<Option<IndexRecord>, ReadError> {
        let info = info(&self.context, &self.segment).await?;
        self.last_before(Offset(info.write_offset)).await
    }

    /// The record that ends at `end`; `None` if it was truncated or does not exist.
    pub(super) async fn last_before(&self, end: Offset) -> Result<Option<IndexRecord>, ReadError> {
        let info = info(&self.context, &self.segment).await?;
        let offset = end.0 - i64::from(self.record_size);
        if offset < info.start_offset { Ok(None) } else { self.record_at(offset).await.map(Some) }
    }

    /// Reads records from `start` on, up to `end`; without an end if that is `None`.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for offsets at which
    /// no record begins or that are after the end, and [`Truncated`](ErrorKind::Truncated) for a
    /// start that is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read(
        &self,
        start: Offset,
        end: Option<Offset>,
    ) -> Result<IndexRecords, ReadError> {
        for offset in [Some(start), end].into_iter().flatten() {
            if offset.0 < 0 || offset.0 % i64::from(self.record_size) != 0 {
                let detail = format_args!(
                    "no record begins at {offset}, records have {} bytes",
                    self.record_size
                );
                return Err(self.fail(ErrorKind::InvalidArgument, detail));
            }
        }
        let config = self.config.bytes.clone().with_start(start);
        let bytes = ByteReader::open(self.context.clone(), &self.stream(), config).await?;
        let record_size = usize::try_from(self.record_size).unwrap_or(usize::MAX);
        Ok(IndexRecords { bytes, record: BytesMut::new(), record_size, end: end.map(|end| end.0) })
    }

    async fn record_at(&self, offset: i64) -> Result<IndexRecord, ReadError> {
        let mut record = BytesMut::new();
        let size = usize::try_from(self.record_size).unwrap_or(usize::MAX);
        while record.len() < size {
            let (from, to) = (offset + record.len() as i64, offset + i64::from(self.record_size));
            let data = self.context.read_some(&self.segment, from, to).await;
            record.extend_from_slice(
                &data.map_err(|error| error.into_read(&self.segment, "a record cannot be read"))?,
            );
        }
        decode(record.freeze()).map_err(|error| {
            let failure = self.fail(ErrorKind::Corrupt, format_args!("the bytes are not a record"));
            failure.with_offset(Offset(offset)).with_source(Some(Arc::new(error)))
        })
    }

    fn fail(&self, kind: ErrorKind, detail: fmt::Arguments<'_>) -> ReadError {
        ReadError::new(kind, detail).with_stream(&self.segment.scoped_stream()).with_segment(
            self.segment.id(),
            None,
            0,
        )
    }
}

impl IndexRecords {
    /// Where the next record begins.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.bytes.offset().0 - self.record.len() as i64)
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of kind [`Truncated`](ErrorKind::Truncated) if records are gone; the next
    /// call goes on after them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on where this one was.
    pub async fn next(&mut self) -> Result<Option<IndexRecord>, ReadError> {
        if self.end.is_some_and(|end| self.offset().0 >= end) {
            return Ok(None);
        }
        while self.record.len() < self.record_size {
            let missing = self.record_size - self.record.len();
            let read = (&mut self.bytes).take(missing as u64).read_buf(&mut self.record).await;
            match read {
                Ok(0) if self.record.is_empty() => return Ok(None),
                Ok(0) => {
                    let detail = "the stream ends in the middle of a record";
                    return Err(ReadError::new(ErrorKind::Corrupt, detail)
                        .with_stream(&self.bytes.stream()));
                }
                Ok(_) => {}
                Err(error) => {
                    // A beginning without its rest is dropped.
                    self.record.clear();
                    return Err(ReadError::from_io(error, &self.bytes.stream()));
                }
            }
        }
        let offset = self.offset();
        decode(self.record.split().freeze()).map(Some).map_err(|error| {
            let failure = ReadError::new(ErrorKind::Corrupt, "the bytes are not a record")
                .with_stream(&self.bytes.stream());
            failure.with_offset(offset).with_source(Some(Arc::new(error)))
        })
    }
}

impl fmt::Debug for IndexReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexReader").field("segment", &self.segment).finish_non_exhaustive()
    }
}

impl fmt::Debug for IndexRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexRecords").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
