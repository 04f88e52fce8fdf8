//! The protocol of Pravega's segment stores, without sockets, clocks and runtimes.
//!
//! ```text
//! frame    type i32 | length i32 | payload     big-endian throughout, length counts the payload
//! string   length u16 | modified UTF-8
//! bytes    length i32 | bytes
//! list     count i32 | elements
//! ```
//!
//! [`commands`] is the protocol's table: every command with its code, its fields in wire order and
//! the defaults of those that older peers leave out. [`Decoder`] decodes frames from a receive
//! buffer and returns payloads as slices of it; [`SendBuffer`] collects frames to send and keeps
//! large payloads as they are, for vectored writes.
//!
//! Deliberately absent: sockets and retries (`segment-client` has them), and memory reserved for a
//! length that a peer claims. A length is checked against its limit and against the bytes received
//! before memory is reserved.
//!
//! # Examples
//!
//! ```
//! use bytes::BytesMut;
//! use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand, commands::KeepAlive};
//!
//! let mut sent = SendBuffer::new();
//! sent.push(&KeepAlive {})?;
//!
//! let mut received = BytesMut::from(&sent.to_vec()[..]);
//! let command = Decoder::default().decode(&mut received)?;
//! assert_eq!(command, Some(WireCommand::KeepAlive(KeepAlive {})));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append_assembler;
mod append_events;
pub mod codes;
pub mod commands;
mod decoder;
mod error;
pub mod event;
mod field;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
#[cfg(feature = "json")]
pub mod json;
mod limits;
mod records;
mod request;
mod request_id;
mod send_buffer;
mod table;
pub mod value;

pub use append_assembler::{Append, AppendAssembler, AppendViolation};
pub use append_events::{BytesAppend, EventsAppend, MAX_APPEND_LEN};
pub use commands::WireCommand;
pub use decoder::{Decoder, FrameHeader};
pub use error::{DecodeError, DecodeProblem, EncodeError};
pub use handshake::{IncompatibleVersion, VersionRange};
pub use limits::{
    FRAME_HEADER_LEN, MAX_FRAME_LEN, MAX_PAYLOAD_LEN, MAX_REQUEST_LIST, MAX_STRING_LEN,
};
pub use records::{
    AttributeUpdate, IterationArgs, MergedSegment, StorageChunk, TableEntry, TableKey, TableValue,
};
pub use request::Request;
pub use request_id::{FlowId, FlowIds, RequestId, RequestIds};
pub use send_buffer::SendBuffer;
pub use table::{Command, CommandKind, Correlated};
