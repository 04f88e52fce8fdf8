//! A client SDK for [Pravega](https://pravega.io), the streaming store: streams of events, ordered
//! by routing key, partitioned into segments that split and merge as load changes.
//!
//! ```no_run
//! use std::time::Duration;
//! use pravega_sdk::{
//!     ClientFactory, ReadUntil, ReaderConfig,
//!     codec::Utf8,
//!     types::{ScopedStream, StreamConfiguration},
//! };
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let factory = ClientFactory::connect("tcp://localhost:9090").await?;
//!     let orders: ScopedStream = "shop/orders".parse()?;
//!     factory.create_stream_if_absent(&orders, &StreamConfiguration::default()).await?;
//!
//!     let writer = factory.event_writer(&orders, Utf8).await?;
//!     // Durable when it returns, and in order with all other events of the customer.
//!     writer.write("customer-7", "three apples").await?;
//!     writer.close(Duration::from_secs(10)).await.into_result()?;
//!
//!     // Ends where the stream ends now; `event_reader` follows it until it is sealed.
//!     let config = ReaderConfig::default().with_end(ReadUntil::Tail);
//!     let mut reader = factory.event_reader_with(&orders, Utf8, config).await?;
//!     while let Some(event) = reader.next().await {
//!         println!("{}", event?.event());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What a writer has accepted is sent as long as the runtime runs, and only the ack of an event, a
//! flush or the report of [`EventWriter::close`] shows that it is durable. Call one of the last two
//! before `main` returns.
//!
//! This crate re-exports the parts of the SDK and connects the client with the embedded server.
//! [`ClientFactory`] composes the parts, [`ClientConfig`] configures them, and [`prelude`] holds
//! the names that most programs use.
//!
//! | task | types |
//! |---|---|
//! | write events | [`EventWriter`], [`KeyedEventWriter`] |
//! | read events | [`EventReader`], [`BatchClient`] |
//! | share the events of streams among readers | [`group::GroupReader`] |
//! | manage reader groups | [`group::ReaderGroup`] |
//! | write events atomically | [`TransactionalWriter`], [`Transaction`] |
//! | write and read bytes | [`ByteWriter`], [`ByteReader`] |
//! | write and search records by their fields | [`index`] |
//! | put and get values by key | [`table_synchronizer::KeyValueTable`] |
//! | share entries that many clients change and agree on | [`table_synchronizer::TableSynchronizer`] |
//! | agree on a state with Java's clients too | [`table_synchronizer::StateSynchronizer`] |
//! | extend a log on the condition that all of it is known | [`table_synchronizer::RevisionedStream`] |
//! | log in at Keycloak or an OpenID Connect issuer (feature `identity`) | `identity` |
//! | run a server in the same process (feature `embedded`) | `embedded()` |
//!
//! Names and numbers of the domain are in [`types`], the calls to the controller in
//! [`controller_client`], the generic pool in [`connection_pool`], the settings of TLS in
//! [`tls`], the connections to segment stores in [`segment_client`], and the commands they carry in
//! [`wire_protocol`].

pub use pravega_sdk_client_factory::event_stream::{
    Ack, Appended, BatchClient, BatchConfig, ByteReader, ByteReaderConfig, ByteWriter,
    ByteWriterConfig, CloseReport, Commit, CorruptEvents, EventReader, EventSink, EventWriter,
    KeyedEventWriter, LargeEvents, MAX_ROUTING_KEY_LEN, Permit, ReadError, ReadEvent, ReadUntil,
    ReaderConfig, Routing, SegmentTail, TimeNotes, TimeWindow, ToRouting, Transaction,
    TransactionConfig, TransactionError, TransactionalWriter, TryEnqueueError, WhenFull,
    WriteError, WriterConfig, codec, group, index,
};
pub use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory, FactoryError, SegmentBackends, Setting, Source, TlsMode,
    connection_pool, controller_client, event_stream, segment_client, table_synchronizer, tls,
    types, wire_protocol,
};
pub use types::{Classified, ErrorKind, Outcome, StreamPosition, Timestamp};

#[cfg(feature = "identity")]
pub use pravega_sdk_client_factory::identity;

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod prelude;

#[cfg(feature = "embedded")]
pub use embedded::embedded;

/// Compiles the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
