//! Writing an index stream.

use std::fmt;

use bytes::Bytes;
use pravega_sdk_segment_client::{context::SegmentContext, error::WriteError, request::Terms};
use pravega_sdk_types::{ErrorKind, Offset, Outcome, ScopedStream};
use pravega_sdk_wire_protocol::commands::UpdateSegmentAttribute;

use super::{
    config::{IndexReaderConfig, IndexWriterConfig},
    reader::IndexReader,
    record::{Fields, MAX_FIELDS, encode, hash_all, hashed},
    record_size::{DEFAULT_RECORD_SIZE, NOT_SET, RECORD_SIZE_ATTRIBUTE, RECORD_SIZES, record_size},
};
use crate::byte::{ByteWriter, to_write};

/// Appends records to an index stream.
///
/// As with bytes, an append goes through only if no other writer wrote meanwhile; otherwise writing
/// fails with the kind [`ConditionFailed`](ErrorKind::ConditionFailed), and a new writer goes on
/// after the other's records.
pub struct IndexWriter {
    bytes: ByteWriter,
    record_size: u32,
    /// The fields of the last record, if there is one.
    last: Option<Vec<(u128, u64)>>,
    /// What is left of a record whose beginning was written.
    rest: Bytes,
}

impl IndexWriter {
    /// Opens a writer after the last record of `stream`, with a task on the caller's runtime. The
    /// first writer of a stream decides the size of its records, which never changes.
    ///
    /// # Errors
    ///
    /// As [`ByteWriter::open`], and of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for a
    /// size that is not that of the stream's records, or not within 64 bytes and 8 MiB.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect except, perhaps, on the size of the records.
    pub async fn open(
        context: SegmentContext,
        stream: &ScopedStream,
        config: IndexWriterConfig,
    ) -> Result<Self, WriteError> {
        let IndexWriterConfig { record_size: wanted_size, bytes: byte_config } = config;
        if let Some(size) = wanted_size.filter(|size| !RECORD_SIZES.contains(size)) {
            let detail = format_args!("records of {size} bytes; {RECORD_SIZES:?} are allowed");
            return Err(WriteError::invalid(detail).with_stream(stream));
        }
        let bytes = ByteWriter::open(context.clone(), stream, byte_config).await?;
        let segment = bytes.segment();
        let unknown = |error| to_write(error, "the index stream cannot be inspected", stream);
        let mut size = record_size(&context, segment).await.map_err(unknown)?;
        if size.is_none() {
            let wanted = wanted_size.unwrap_or(DEFAULT_RECORD_SIZE);
            let terms = Terms::of_change(segment);
            let setting = context.ask_on(segment, &terms, |token| UpdateSegmentAttribute {
                request_id: 0,
                segment_name: segment.to_string().into(),
                attribute_id: RECORD_SIZE_ATTRIBUTE,
                new_value: i64::from(wanted),
                expected_value: NOT_SET,
                delegation_token: token.into(),
            });
            let set = setting
                .await
                .map_err(|error| unknown(error.into_read(segment, "the size cannot be set")))?;
            // Another writer may have been first.
            size = if set.success {
                Some(wanted)
            } else {
                record_size(&context, segment).await.map_err(unknown)?
            };
        }
        let record_size = size.unwrap_or(DEFAULT_RECORD_SIZE);
        if let Some(wanted) = wanted_size.filter(|wanted| *wanted != record_size) {
            let detail =
                format_args!("records of {wanted} bytes; those of the stream have {record_size}");
            return Err(WriteError::invalid(detail).with_stream(stream));
        }
        let reader = IndexReader::open(context, stream, IndexReaderConfig::default())
            .await
            .map_err(unknown)?;
        let last = reader.last_before(bytes.offset()).await.map_err(unknown)?;
        let last = last.map(|record| record.fields);
        Ok(Self { bytes, record_size, last, rest: Bytes::new() })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        self.bytes.stream()
    }

    /// The size of the stream's records in bytes.
    #[must_use]
    pub fn record_size(&self) -> u32 {
        self.record_size
    }

    /// The offset of the next record.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.bytes.offset()
    }

    /// Appends a record, as soon as there is capacity for it; returns its offset.
    /// [`Self::flush`] reports whether it is durable.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) if the data does not
    /// fit, a value goes down, or a field of the record before is missing or at another place. With
    /// an unknown outcome the record is begun.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the beginning of a record in the stream, if it has more than
    /// 256 KiB. The next call of [`Self::append`] or [`Self::flush`] completes it, as after a
    /// failure with an unknown outcome; without one, no further record can be appended. Smaller
    /// records are appended or not.
    pub async fn append(
        &mut self,
        fields: &impl Fields,
        data: &[u8],
    ) -> Result<Offset, WriteError> {
        let names = fields.fields();
        self.check(&names)?;
        let fields = hash_all(&names);
        let size = usize::try_from(self.record_size).unwrap_or(usize::MAX);
        let mut record =
            encode(&fields, data, size).map_err(|error| error.with_stream(self.bytes.stream()))?;
        self.complete().await?;
        let offset = self.bytes.offset();
        if self.bytes.offset().0 % i64::from(self.record_size) != 0 {
            let detail = "the stream does not end with a whole record; the writer of the last one \
                          ended in its middle";
            return Err(WriteError::new(ErrorKind::Corrupt, Outcome::NotApplied, detail)
                .with_stream(self.bytes.stream()));
        }
        self.bytes.write_piece(&mut record).await?;
        // It is begun, and this call or the next one completes it.
        self.last = Some(fields);
        self.rest = record;
        self.complete().await.map_err(|error| error.with_outcome(Outcome::Unknown))?;
        Ok(offset)
    }

    /// Writes what is left of a record that is begun.
    async fn complete(&mut self) -> Result<(), WriteError> {
        while !self.rest.is_empty() {
            self.bytes.write_piece(&mut self.rest).await?;
        }
        Ok(())
    }

    /// As [`Self::append`], on the condition that the last record has exactly these fields.
    ///
    /// # Errors
    ///
    /// As [`Self::append`], and of kind [`ConditionFailed`](ErrorKind::ConditionFailed) if it has
    /// others.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::append`].
    pub async fn append_if(
        &mut self,
        last: &impl Fields,
        fields: &impl Fields,
        data: &[u8],
    ) -> Result<Offset, WriteError> {
        if self.last != Some(hash_all(&last.fields())) {
            let detail = "the last record has other fields, or there is none";
            return Err(WriteError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail)
                .with_stream(self.stream()));
        }
        self.append(fields, data).await
    }

    /// Waits until everything that was appended is durable.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: the first failure; from then on nothing can be appended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the records.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        self.complete().await?;
        self.bytes.flush().await
    }

    /// Drops all records before `offset`, which must be where one begins.
    ///
    /// # Errors
    ///
    /// [`WriteError`], of kind [`InvalidArgument`](ErrorKind::InvalidArgument) for an offset at
    /// which no record begins.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the records may still be dropped.
    pub async fn truncate(&self, offset: Offset) -> Result<(), WriteError> {
        if offset.0 % i64::from(self.record_size) != 0 {
            let detail = format_args!(
                "no record begins at {offset}, records have {} bytes",
                self.record_size
            );
            return Err(WriteError::invalid(detail).with_stream(self.stream()));
        }
        self.bytes.truncate(offset).await
    }

    fn check(&self, fields: &[(&'static str, u64)]) -> Result<(), WriteError> {
        let refuse = |detail: fmt::Arguments<'_>| {
            Err(WriteError::invalid(detail).with_stream(self.stream()))
        };
        if fields.len() > MAX_FIELDS {
            return refuse(format_args!("{} fields, {MAX_FIELDS} are allowed", fields.len()));
        }
        let Some(last) = &self.last else { return Ok(()) };
        if fields.len() < last.len() {
            return refuse(format_args!(
                "{} fields, the record before has {}",
                fields.len(),
                last.len()
            ));
        }
        for ((name, value), (before, least)) in fields.iter().zip(last) {
            if hashed(name) != *before {
                return refuse(format_args!(
                    "field {name:?} is where the record before has another field"
                ));
            }
            if value < least {
                return refuse(format_args!("field {name:?} goes down from {least} to {value}"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for IndexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexWriter")
            .field("bytes", &self.bytes)
            .field("record_size", &self.record_size)
            .finish()
    }
}
