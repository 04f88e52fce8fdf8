//! Client of Pravega's controller, the part of a cluster that manages streams, segments and
//! transactions.
//!
//! [`Controller`] is a trait with every call of the controller, so that its users can be tested
//! without a server. [`ControllerClient`] implements it with gRPC to one of several controllers;
//! each call has a deadline, and is retried if the reference client retries it and a repeat is
//! safe.
//! [`EndpointCache`] and [`TokenCache`] cache what data paths need often, and [`listing`] turns
//! paged answers into streams.
//!
//! Deliberately absent: knowledge of segment stores except their addresses, and types of the gRPC
//! library in public signatures.
//!
//! # Examples
//!
//! ```no_run
//! use pravega_sdk_controller_client::{Controller, ControllerClient, ControllerConfig};
//! use pravega_sdk_types::{Scope, ScopedStream, StreamConfiguration};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let controller = ControllerClient::new(ControllerConfig::new("tcp://localhost:9090".parse()?))?;
//! controller.create_scope(&Scope::new("shop")?).await?;
//! let orders: ScopedStream = "shop/orders".parse()?;
//! controller.create_stream(&orders, &StreamConfiguration::default()).await?;
//! println!("{} segments", controller.current_segments(&orders).await?.len());
//! # Ok(())
//! # }
//! ```

mod bearer;
mod clock;
mod config;
mod controller;
mod credentials;
mod dial;
mod endpoint_cache;
mod error;
mod grpc;
mod home;
#[doc(hidden)]
pub mod jwt;
pub mod listing;
mod machine;
mod model;
mod network;
#[doc(hidden)]
pub mod secret;
mod single_flight;
mod token;
mod token_cache;
mod uri;

pub use config::ControllerConfig;
pub use controller::Controller;
pub use credentials::{Authorization, CredentialError, CredentialProvider, Credentials};
#[doc(hidden)]
pub use dial::dial;
pub use endpoint_cache::EndpointCache;
pub use error::ControllerError;
pub use grpc::ControllerClient;
#[doc(hidden)]
pub use grpc::encoding;
pub use home::HomeRuntime;
#[doc(hidden)]
pub use machine::ControllerBug;
pub use model::{
    AccessOperation, CompletedTransaction, CreatedTransaction, Creation, CutRange, Deletion,
    KeyValueTableConfiguration, Page, PageToken, PingStatus, SHORTEST_LEASE, ScaleStart,
    ScaleState, SegmentWithRange, Subscriber, TransactionOutcome, TransactionState,
};
#[doc(hidden)]
pub use network::{ByteStream, Network};
pub use token::{DelegationToken, TokenClaims};
pub use token_cache::TokenCache;
pub use uri::{ControllerUri, ControllerUriError, Scheme};
