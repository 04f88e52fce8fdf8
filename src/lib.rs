//! A client SDK for [Pravega](https://pravega.io), the streaming store: streams of events, ordered
//! by routing key, whose segments split and merge by load.
//!
//! ```no_run
//! use std::time::Duration;
//! use pravega_sdk::{ClientFactory, codec::Utf8, types::{Scope, ScopedStream, StreamConfiguration}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let factory = ClientFactory::connect("tcp://localhost:9090").await?;
//!     let controller = factory.controller();
//!     controller.create_scope(&Scope::new("shop")?).await?;
//!     let orders: ScopedStream = "shop/orders".parse()?;
//!     controller.create_stream(&orders, &StreamConfiguration::default()).await?;
//!
//!     let writer = factory.event_writer(&orders, Utf8).await?;
//!     // Durable when it returns, and in order with all others of the customer.
//!     writer.write("customer-7", "three apples").await?;
//!     writer.close(Duration::from_secs(10)).await;
//!
//!     let mut reader = factory.stream_reader(&orders, Utf8).await?;
//!     while let Some(event) = reader.next().await {
//!         println!("{}", event?.event());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! This crate shows the parts under one roof, and brings client and embedded server together.
//! [`ClientFactory`] composes them, [`ClientConfig`] sets them up.
//!
//! | what | with |
//! |---|---|
//! | write events | [`EventWriter`] |
//! | read events | [`StreamReader`], [`BatchClient`] |
//! | write events together or not at all | [`TransactionalWriter`], [`Transaction`] |
//! | write and read bytes | [`ByteWriter`], [`ByteReader`] |
//! | records that are found by their fields | [`index`] |
//! | a server in the same process, with the feature `embedded` | `embedded()` |
//!
//! Names and numbers of the domain are in [`types`], every call of the controller in
//! [`controller_client`], the generic pool in [`connection_pool`], the connections to
//! segment stores in [`segment_client`], and the commands they carry in [`wire_protocol`].

pub use pravega_sdk_client_factory::event_stream::{
    Ack, Appended, BatchClient, ByteReader, ByteReaderConfig, ByteWriter, CloseReport, Commit,
    CorruptEvents, EventWriter, LargeEvents, ReadError, ReadEvent, ReadFrom, ReadUntil,
    ReaderConfig, Routing, StreamReader, Transaction, TransactionConfig, TransactionError,
    TransactionalWriter, WriteError, WriterConfig, codec, index,
};
pub use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory, FactoryError, SegmentBackends, Setting, Source, connection_pool,
    controller_client, event_stream, segment_client, types, wire_protocol,
};

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "embedded")]
pub use embedded::embedded;

/// Compiles what the readme shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
