//! Configuration, and the factory that composes the parts of the SDK.
//!
//! [`ClientFactory`] is the only place where parts meet: it creates the client of the controller,
//! the connections to segment stores and the caches between them, and owns their lifetimes. Each
//! part receives the handles that it needs, never the factory.
//!
//! # Examples
//!
//! ```no_run
//! use pravega_sdk_client_factory::ClientFactory;
//! use pravega_sdk_types::{Scope, ScopedStream, StreamConfiguration};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let factory = ClientFactory::connect("tcp://localhost:9090?request_timeout=10s").await?;
//! factory.controller().create_scope(&Scope::new("shop")?).await?;
//! let orders: ScopedStream = "shop/orders".parse()?;
//! factory.controller().create_stream(&orders, &StreamConfiguration::default()).await?;
//! factory.close().await;
//! # Ok(())
//! # }
//! ```

mod backends;
mod config;
mod credentials;
mod error;
mod factory;
mod group_readers;
mod groups;
mod read;
mod segments;
mod setting;
mod settings;
mod states;
mod tables;
mod tls_mode;

pub use backends::SegmentBackends;
pub use config::ClientConfig;
pub use error::FactoryError;
pub use factory::ClientFactory;
pub use setting::{Setting, Source};
pub use tls_mode::TlsMode;

// The crates whose types users of the factory need.
pub use pravega_sdk_connection_pool as connection_pool;
pub use pravega_sdk_controller_client as controller_client;
pub use pravega_sdk_event_stream as event_stream;
pub use pravega_sdk_segment_client as segment_client;
pub use pravega_sdk_table_synchronizer as table_synchronizer;
pub use pravega_sdk_types as types;
pub use pravega_sdk_wire_protocol as wire_protocol;

/// Credentials from Keycloak or an issuer of OpenID Connect.
#[cfg(feature = "identity")]
pub use pravega_sdk_identity as identity;

/// Settings and errors of TLS.
pub mod tls {
    pub use pravega_sdk_tls::{TlsConfig, TlsError, TlsProblem};
}
