//! Connections to segment stores.
//!
//! [`StoreConnection`] is a handshaken connection to a segment store on which many requests are in
//! flight at once, [`StoreStream`] one that hands out the bare exchange of commands, and
//! [`RawClient`] finds or makes the connection for an endpoint and matches each reply to its
//! request. [`StoreDialer`] makes them all, over TCP, TLS ([`StoreTls`]) or any other
//! [`Transport`].
//!
//! Deliberately absent: codecs, routing keys and the meaning of streams.

mod connection;

pub use connection::{
    ByteStream, ConnectionCounters, ConnectionError, Opening, RawClient, RequestError, StoreConfig,
    StoreConnection, StoreDialer, StoreStream, StoreTls, StoreTlsError, Transport,
};
