//! The bounds of the REST service, in time and bytes. A connection keeps less than a megabyte of a
//! list, or of a request, alive.

use std::time::Duration;

/// How long a call may take until its response begins, and the head of a request to arrive.
pub(super) use crate::limits::{CALL as CALL_TIMEOUT, FIRST_WORD as HEAD_TIMEOUT};

/// The longest head of a request, in bytes. hyper reads and writes in buffers of this length.
pub(super) const MAX_HEAD_LEN: usize = 16 << 10;
/// The most fields in the head of a request.
pub(super) const MAX_HEADERS: usize = 64;
/// How long the body of a request may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = HEAD_TIMEOUT;
/// The longest body of a request, in bytes. The largest that can succeed has 127 tags of 255
/// characters, each escaped in six bytes.
pub(super) const MAX_BODY_LEN: usize = 256 << 10;
/// A connection ends if the client takes less than [`MIN_TAKEN`] bytes of a response in this time.
pub(super) const TAKE_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const MIN_TAKEN: usize = 64 << 10;
/// How long, and how far in bytes, a client may go on sending after its response. A connection that
/// is closed with unread bytes is reset, and the client may lose the response.
pub(super) const LINGER: Duration = Duration::from_secs(1);
pub(super) const LINGER_BYTES: usize = 1 << 20;
/// The least length of a piece of a long list, in bytes.
pub(super) const PIECE_LEN: usize = 32 << 10;
/// The longest state of a reader group that is searched for readers, in bytes.
pub(super) const MAX_GROUP_STATE: u64 = 8 << 20;
/// The most bytes that the names of a group's readers have.
pub(super) const MAX_READER_BYTES: usize = 256 << 10;
