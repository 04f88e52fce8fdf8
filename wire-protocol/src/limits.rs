//! Limits of the protocol.

/// The longest payload of a frame that a receiver accepts, in bytes.
///
/// Java's client counts the payload only; its server counts the header as well. See
/// [`MAX_FRAME_LEN`].
pub const MAX_PAYLOAD_LEN: usize = 0x00FF_FFFF;

/// The longest frame, header included, that both sides of Java's implementation accept.
pub const MAX_FRAME_LEN: usize = 0x00FF_FFFF;

/// The length of a frame's header: its type and the length of its payload.
pub const FRAME_HEADER_LEN: usize = 8;

/// The longest string, in bytes of modified UTF-8.
pub const MAX_STRING_LEN: usize = 0xFFFF;

/// The most elements of a list in a request that a receiver accepts. Java's client sends at most
/// 256 keys. Small elements take many times the memory of their bytes.
pub const MAX_REQUEST_LIST: usize = 16_384;
