//! The engines below event streams and tables: where a segment is and with which token, one
//! request with retries, and the engines that append to segments and read them.
//!
//! ```text
//! append::Handle ──▶ driver ──▶ StoreStream       read::ReadDriver ──▶ RawClient
//!                      │                               │
//!                append/stream                    read/machine
//!                      │
//!                append/segment
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`context`] | the shared handles: controller, caches, connections |
//! | [`request`] | one request about a segment, with re-location and retries |
//! | [`attributes`] | numbers of a segment, compared and set |
//! | [`append`] | appends to many segments, stored once and in order |
//! | [`read`] | the bytes of many segments, in order |
//! | [`error`] | the core of all errors about segments |
//! | [`lag`] | questions to a controller that may not know the latest changes |
//! | [`machine`] | the terms that machines share: time, random bits, locations, back-off |
//! | [`runtime`] | the runtime handle and the random numbers of drivers |
//!
//! Programs use the surfaces above this crate; the items here are public for those surfaces, and
//! change with them. [`StoreConnection`] is a handshaken connection to a segment store on which
//! many requests are in flight at once, [`StoreStream`] one for the bare exchange of
//! commands, and [`RawClient`] finds or makes the connection for an endpoint and matches each reply
//! to its request. All of them come from one [`StorePool`], for which a [`StoreDialer`] connects
//! over TCP, TLS or any other [`Transport`].
//!
//! Deliberately absent: codecs, routing keys and the meaning of streams.

pub mod append;
pub mod attributes;
mod connection;
pub mod context;
mod due;
pub mod error;
pub mod lag;
pub mod machine;
pub mod read;
pub mod request;
pub mod runtime;
pub mod seeded_bugs;

pub use connection::{
    ByteStream, ConnectionCounters, ConnectionError, Opening, RawClient, RequestError,
    SharedConnection, StoreConfig, StoreConnection, StoreDialer, StorePool, StoreStream,
    StreamClaim, Transport,
};
