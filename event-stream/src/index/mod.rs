//! Index streams: records of one size with fields that only grow, so that a record can be found by
//! the value of a field.
//!
//! They are byte streams, and have what those have: one segment, conditional appends, truncation.
//! The existing client for Rust has them too, and reads and writes the same; Java's has not.
//!
//! # Examples
//!
//! ```no_run
//! use pravega_sdk_event_stream::{
//!     SegmentContext,
//!     index::{IndexReader, IndexReaderConfig, IndexWriter, IndexWriterConfig},
//! };
//!
//! # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
//! let film = "films/holiday-index".parse()?;
//! let mut writer = IndexWriter::open(context.clone(), &film, IndexWriterConfig::default()).await?;
//! for number in 0..1000 {
//!     let fields = [("time_ms", 40 * number), ("frame", number)];
//!     writer.append(&fields, format!("frame {number}").as_bytes()).await?;
//! }
//! writer.flush().await?;
//!
//! let reader = IndexReader::open(context, &film, IndexReaderConfig::default()).await?;
//! let offset = reader.search("time_ms", 20_000).await?;
//! let mut records = reader.read(offset, None).await?;
//! while let Some(record) = records.next().await? {
//!     println!("{:?}", record.data());
//! }
//! # Ok(())
//! # }
//! ```

mod config;
mod reader;
mod record;
mod record_size;
mod writer;

pub use self::{
    config::{IndexReaderConfig, IndexWriterConfig},
    reader::{IndexReader, IndexRecords},
    record::{Fields, IndexRecord},
    record_size::DEFAULT_RECORD_SIZE,
    writer::IndexWriter,
};
