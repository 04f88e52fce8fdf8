//! A client SDK for [Pravega](https://pravega.io), the streaming store: streams of events, ordered by routing key, whose
//! segments split and merge by load.
//!
//! ```no_run
//! use pravega_sdk::{ClientFactory, types::{Scope, ScopedStream, StreamConfiguration}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let factory = ClientFactory::connect("tcp://localhost:9090").await?;
//!     let controller = factory.controller();
//!     controller.create_scope(&Scope::new("shop")?).await?;
//!     let orders: ScopedStream = "shop/orders".parse()?;
//!     controller.create_stream(&orders, &StreamConfiguration::default()).await?;
//!     for segment in controller.current_segments(&orders).await? {
//!         println!("segment {} owns {}", segment.id, segment.range);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! This crate holds nothing of its own: it shows the parts under one roof. [`ClientFactory`] composes them, [`ClientConfig`]
//! sets them up. Names and numbers of the domain are in [`types`], every call of the controller in [`controller_client`],
//! the connections to segment stores in [`connection_pool`], and the commands they carry in [`wire_protocol`].

pub use pravega_sdk_client_factory::{
    ClientConfig, ClientFactory, FactoryError, SegmentBackends, Setting, Source, connection_pool, controller_client,
    types, wire_protocol,
};

/// Compiles what the readme shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
