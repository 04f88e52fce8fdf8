//! Connections to segment stores.
//!
//! ```text
//! RawClient ──▶ SharedConnections ──▶ StoreDialer      who talks to whom, one connection an endpoint
//!     │                                   │ connect, TLS, hello
//!     ▼                                   ▼
//! StoreConnection ── commands ──▶ driver task ◀──▶ socket
//!     ▲                               │
//!     └── oneshot replies ────────────┘   waiters by request id, keep-alive
//! ```

mod config;
mod dial;
mod driver;
mod error;
mod handshake;
mod machine;
mod raw_client;
mod store_connection;
mod stream;
mod tls;
mod transport;

pub use config::StoreConfig;
pub use dial::StoreDialer;
pub use error::{ConnectionError, RequestError};
pub use raw_client::RawClient;
pub use store_connection::{ConnectionCounters, StoreConnection};
pub use stream::StoreStream;
pub use tls::{StoreTls, StoreTlsError};
pub use transport::{ByteStream, Opening, Transport};
