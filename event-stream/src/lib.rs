//! Writing events to Pravega's streams.
//!
//! ```text
//! EventWriter ──▶ Command (mpsc) ──▶ driver ◀──▶ StoreStream   one task for all segments and connections
//!      ▲                               │
//!     Ack ◀── tickets ── WriterMachine ┴ AppendMachine         which segment, which connection; what is sent, what is stored
//! ```
//!
//! [`EventWriter`] writes. An event whose write returned is stored once, behind every earlier event of its routing key,
//! whatever connections, segment stores, controllers and scaling do meanwhile. The machines decide, without a runtime, a
//! clock or randomness; the driver carries out.
//!
//! [`StreamScan`] reads a stream once, plainly, to see what is in it.
//!
//! What an event is in bytes, a [`codec`] says.
//!
//! # Examples
//!
//! ```no_run
//! use pravega_sdk_event_stream::{EventWriter, WriterConfig, WriterParts, codec::Utf8};
//!
//! # async fn example(parts: WriterParts) -> Result<(), Box<dyn std::error::Error>> {
//! let stream = "shop/orders".parse()?;
//! let writer = EventWriter::open(parts, &stream, Utf8, WriterConfig::default()).await?;
//! // Durable when it returns.
//! writer.write("customer-7", "three apples").await?;
//! // Or many at once, each with an ack.
//! let ack = writer.enqueue("customer-7", "two pears").await?;
//! let appended = ack.await?;
//! println!("stored in {}", appended.segment());
//! # Ok(())
//! # }
//! ```

mod append;
pub mod codec;
mod error;
mod routing;
mod scan;
mod seeded_bugs;
mod writer;

pub use error::WriteError;
pub use routing::{MAX_ROUTING_KEY_LEN, Routing, ToRouting};
pub use scan::{ScanError, ScanParts, Scanned, StreamScan};
#[cfg(feature = "seeded-bugs")]
#[doc(hidden)]
pub use seeded_bugs::SeededBug;
pub use writer::{
    Ack, Appended, CloseReport, EventSink, EventWriter, LargeEvents, Permit, TimeNotes, TryEnqueueError, WriterConfig,
    WriterParts,
};
