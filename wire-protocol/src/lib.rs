//! The protocol that Pravega's segment stores speak, as code that touches no socket, no clock and
//! no runtime.
//!
//! ```text
//! frame    type i32 | length i32 | payload            big-endian throughout, length counts the payload
//! string   length u16 | modified UTF-8
//! bytes    length i32 | bytes
//! list     count i32 | elements
//! ```
//!
//! [`commands`] is the protocol's table: every command with its code, its fields in wire order and
//! the defaults of those that older peers leave out. [`Decoder`] takes frames off a receive buffer
//! and hands payloads out as slices of it; [`SendBuffer`] collects frames to send and keeps large
//! payloads as they are, for vectored writes.
//!
//! What is deliberately absent: sockets and retries (the connection pool has them), and any memory
//! reserved on the word of a peer. A length is checked against its limit and against the bytes that
//! are there before anything is set aside.
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
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
#[cfg(feature = "json")]
pub mod json;
mod records;
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
pub use records::{
    AttributeUpdate, IterationArgs, MergedSegment, StorageChunk, TableEntry, TableKey, TableValue,
};
pub use request_id::{FlowId, FlowIds, RequestId, RequestIds};
pub use send_buffer::SendBuffer;
pub use table::{Command, CommandKind, Request};

/// The longest payload of a frame that a receiver accepts, in bytes.
///
/// Java's client counts the payload only; its server counts the header as well. See
/// [`MAX_FRAME_LEN`].
pub const MAX_PAYLOAD_LEN: usize = 0x00FF_FFFF;

/// The longest frame, header included, that a sender may send so that both sides of Java's
/// implementation take it.
pub const MAX_FRAME_LEN: usize = 0x00FF_FFFF;

/// The length of a frame's header: its type and the length of its payload.
pub const FRAME_HEADER_LEN: usize = 8;

/// The longest string, in bytes of modified UTF-8.
pub const MAX_STRING_LEN: usize = 0xFFFF;
