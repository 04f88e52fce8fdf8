//! The bounds of the REST service, in time, number and bytes.

use std::time::Duration;

/// The most connections at a time. Others wait in the listener's backlog.
pub(super) const MAX_CONNECTIONS: usize = 32;
/// How long the head of a request may take from the start of its connection.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes. hyper reads and writes in buffers of this length.
pub(super) const MAX_HEAD_LEN: usize = 16 << 10;
/// The most fields in the head of a request.
pub(super) const MAX_HEADERS: usize = 64;
/// How long the body of a request may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest body of a request, in bytes. The largest that can succeed has 127 tags of 255
/// characters, each escaped in six bytes.
pub(super) const MAX_BODY_LEN: usize = 256 << 10;
/// How long a call may take until its response begins.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection ends if the client takes less than [`MIN_TAKEN`] bytes of a response in this time.
pub(super) const TAKE_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const MIN_TAKEN: usize = 64 << 10;
/// How long, and how far in bytes, a client may go on sending after its response. A connection that
/// is closed with unread bytes is reset, and the client may lose the response.
pub(super) const LINGER: Duration = Duration::from_secs(1);
pub(super) const LINGER_BYTES: usize = 1 << 20;
/// The longest state of a reader group that is searched for readers, in bytes.
pub(super) const MAX_GROUP_STATE: u64 = 8 << 20;
/// The most bytes that the names of a group's readers have.
pub(super) const MAX_READER_BYTES: usize = 256 << 10;
