//! Writing and reading Pravega's streams.
//!
//! | what | with |
//! |---|---|
//! | write events | [`EventWriter`]; with the key in the event: [`KeyedEventWriter`] |
//! | read events | [`EventReader`]; parts of a stream in parallel: [`BatchClient`] |
//! | write events together or not at all | [`TransactionalWriter`] |
//! | write and read bytes | [`ByteWriter`], [`ByteReader`] |
//! | find records by their fields | [`index`] |
//! | agree with other readers who reads what | [`group`] |
//!
//! ```text
//! EventWriter ──▶ Command (mpsc) ──▶ driver ◀──▶ StoreStream   one task per writer
//!      ▲                               │
//!     Ack ◀── tickets ── WriterMachine ┴ AppendMachine          connections; what is sent
//!
//! EventReader ──▶ StreamMachine ──▶ ReadMachine                events; which bytes, and when
//!      └── polls ──▶ ReadDriver ◀──▶ RawClient                  no task of its own
//! ```
//!
//! When a write returns, its event is stored once, after every earlier event of its routing key,
//! also if connections, segment stores or controllers fail, or the stream scales; a reader returns
//! each event once, in that order. The machines decide, without a runtime, a clock or randomness;
//! the drivers execute.
//!
//! A [`codec`] turns events into bytes and back.
//!
//! # Examples
//!
//! ```no_run
//! use pravega_sdk_event_stream::{EventWriter, SegmentContext, WriterConfig, codec::Utf8};
//!
//! # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
//! let stream = "shop/orders".parse()?;
//! let writer = EventWriter::open(context, &stream, Utf8, WriterConfig::default()).await?;
//! // Durable when it returns.
//! writer.write("customer-7", "three apples").await?;
//! // Or many at once, each with an ack.
//! let ack = writer.enqueue("customer-7", "two pears").await?;
//! let appended = ack.await?;
//! println!("stored in {}", appended.segment());
//! # Ok(())
//! # }
//! ```

mod batch;
mod byte;
mod error;
pub mod group;
pub mod index;
mod reader;
mod routing;
mod time_window;
mod transaction;
mod writer;

pub use batch::{BatchClient, BatchConfig};
pub use byte::{ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig};
pub use error::TransactionError;
pub use pravega_sdk_codec as codec;
#[cfg(feature = "seeded-bugs")]
#[doc(hidden)]
pub use pravega_sdk_segment_client::seeded_bugs::SeededBug;
pub use pravega_sdk_segment_client::{
    append::{Ack, Appended, CloseReport, SegmentTail, TimeNotes, WhenFull},
    context::SegmentContext,
    error::{ReadError, WriteError},
};
pub use pravega_sdk_types::StreamPosition;
pub use reader::{CorruptEvents, EventReader, ReadEvent, ReadUntil, ReaderConfig};
pub use routing::{MAX_ROUTING_KEY_LEN, Routing, ToRouting};
pub use time_window::TimeWindow;
pub use transaction::{Commit, Transaction, TransactionConfig, TransactionalWriter};
pub use writer::{
    EventSink, EventWriter, KeyedEventWriter, LargeEvents, Permit, TryEnqueueError, WriterConfig,
};
