//! Connections to segment stores.
//!
//! ```text
//! RawClient ── shared claims ──┐                      ┌── connect, TLS, hello
//!                              ├──▶ StorePool ──▶ StoreDialer ──▶ StoreStream
//! writers ── exclusive claims ─┘    the pool of all connections       │ shared
//!                                                                     ▼
//!            requests ──▶ shared: waiters by request id, frames ──▶ socket  StoreConnection
//!       oneshot replies ◀── driver task, keep-alive ◀── socket
//! ```

mod config;
mod dial;
mod driver;
mod error;
mod handshake;
mod io;
mod machine;
mod raw_client;
mod shared;
mod socket;
mod store_connection;
mod store_pool;
mod stream;
mod transport;
#[cfg(test)]
mod wakes;

pub use config::StoreConfig;
pub use dial::StoreDialer;
pub use error::{ConnectionError, RequestError};
pub use raw_client::RawClient;
pub use store_connection::{ConnectionCounters, StoreConnection};
pub use store_pool::{SharedConnection, StorePool, StreamClaim};
pub use stream::StoreStream;
pub use transport::{ByteStream, Opening, Transport};
