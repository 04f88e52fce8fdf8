//! The bounds of a server at its ports: how long a client may be silent, and how much memory
//! requests and replies on their way keep alive.
//!
//! A server with a memory limit of M bytes stays within M and 64 MiB more. The 64 MiB are for what
//! is not stored: [`REQUEST_BYTES`], [`REPLY_BYTES`], the least that each connection may have
//! whatever the others do, and the program itself. All are bounds of the process. With TLS, each
//! connection takes a little more, see `TLS_BUFFER`.

use std::time::Duration;

use pravega_sdk_wire_protocol::MAX_FRAME_LEN;

/// A connection ends if the client has not sent its first command, the preface of HTTP/2 or the
/// head of its first request after this long.
pub(crate) const FIRST_WORD: Duration = Duration::from_secs(10);
/// A connection ends if the rest of a request does not arrive for this long.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// A connection ends if the client does not take any of its replies for this long.
pub(crate) const UNTAKEN: Duration = Duration::from_secs(30);
/// The same two if others wait for the memory that the client occupies.
pub(crate) const WHEN_WANTED: Duration = Duration::from_secs(5);
/// A connection ends if the rest of a request does not arrive for this long, while others wait for
/// the memory that is lent for it.
pub(crate) const SILENCE_WHEN_WANTED: Duration = Duration::from_secs(1);
/// The longest time in which one request arrives, or one batch of replies leaves.
pub(crate) const SLOWEST: Duration = Duration::from_secs(120);
/// A call of the controller fails after this long.
pub(crate) const CALL: Duration = Duration::from_secs(30);
/// How long a client waits for files that the server reads for it: after that, what they had before
/// counts.
#[cfg(feature = "tls")]
pub(crate) const FILES: Duration = Duration::from_secs(1);
/// The interval between checks of the times above.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Memory of all requests that arrive, are handled, or wait for the disk, in bytes: one of the
/// longest, and others.
pub(crate) const REQUEST_BYTES: usize = MAX_FRAME_LEN + (2 << 20);
/// Memory of all replies that clients have not taken, in bytes.
pub(crate) const REPLY_BYTES: usize = 10 << 20;
/// Replies of one connection that are not taken, in bytes, from which on no more of its requests
/// are handled.
pub(crate) const CONNECTION_REPLY_BYTES: usize = 4 << 20;
/// The part of both that each connection has to itself, in bytes: a small request of a client is
/// handled whatever the others occupy.
pub(crate) const OWN_BYTES: usize = 8 << 10;
/// The memory of an answer of the controller, before it is encoded, that each connection has to
/// itself.
pub(crate) const OWN_ANSWER_BYTES: usize = 64 << 10;
/// How long the answer of a call waits for memory, if it needs more.
pub(crate) const ANSWER_WAITS: Duration = Duration::from_secs(10);
/// The most answers that wait for memory at a time. The calls of others fail at once.
pub(crate) const WAITING_ANSWERS: usize = 2;
/// Memory of the changes that wait for the disk, in bytes, from which on connections that wait for
/// it already are not read.
pub(crate) const QUEUED_BYTES: u64 = 12 << 20;

/// The replies of one connection that the system keeps until the client takes them, in bytes; Linux
/// doubles it for its own records. The sockets inherit it from the listeners. Without it the system
/// keeps as much as it likes, 4 MiB on Linux, of each connection, and slows all sockets of the
/// machine down once clients that take nothing have it all.
pub(crate) const SEND_BUFFER: u32 = 256 << 10;
/// What TLS keeps of the replies of one connection besides that, in bytes, before the socket takes
/// them. With what it keeps of a request, each connection takes at most about 50 KiB more.
#[cfg(feature = "tls")]
pub(crate) const TLS_BUFFER: usize = 16 << 10;
/// The connections of a listener that wait until they are accepted.
pub(crate) const BACKLOG: u32 = 1024;

/// The most connections to all segment stores together.
pub(crate) const STORE_CONNECTIONS: usize = 512;
/// The most connections to the controller.
pub(crate) const CONTROLLER_CONNECTIONS: usize = 128;
/// The most connections to the REST service, each with one request.
pub(crate) const REST_CONNECTIONS: usize = 12;
/// The most calls in flight on one connection.
pub(crate) const CONNECTION_CALLS: u32 = 32;
/// The most calls in flight, not counting the first of each connection.
pub(crate) const CALLS: usize = 256;
/// Memory of the credentials of all calls in flight that are longer than [`SHORT_CREDENTIALS`], in
/// bytes, not counting the first call of each connection. A call that finds none of it fails.
pub(crate) const CREDENTIALS_BYTES: usize = 4 << 20;
/// The length of credentials that are not counted: a user with a password.
pub(crate) const SHORT_CREDENTIALS: usize = 512;
/// The longest request of a call, in bytes, as in the Java server.
pub(crate) const CALL_BYTES: usize = 4 << 20;
/// The most memory that the request of a call may use once it is decoded, in bytes: what is lent
/// for the longest request of all.
pub(crate) const DECODED_CALL_BYTES: usize = MAX_FRAME_LEN - CALL_BYTES;

/// The descriptors of the process that are left to files, listeners and the program around the
/// server.
const RESERVED_DESCRIPTORS: usize = 24;
/// The number of descriptors where the system does not say it: the least that a common one allows.
const FEW_DESCRIPTORS: usize = 256;

/// The most connections to the stores, to the controller and to REST: fewer than the process has
/// descriptors, so that clients of one port do not close the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    pub(crate) stores: usize,
    pub(crate) controller: usize,
    pub(crate) rest: usize,
}

impl ConnectionLimits {
    /// The limits of this process.
    pub(crate) fn of_process() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self::within(open_files(&limits).unwrap_or(FEW_DESCRIPTORS))
    }

    fn within(descriptors: usize) -> Self {
        let free = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
        Self {
            stores: (free / 2).clamp(2, STORE_CONNECTIONS),
            controller: (free / 4).clamp(2, CONTROLLER_CONNECTIONS),
            rest: (free / 8).clamp(2, REST_CONNECTIONS),
        }
    }
}

/// The most files of a log that are kept open.
pub(crate) fn log_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    log_files_within(open_files(&limits).unwrap_or(FEW_DESCRIPTORS))
}

fn log_files_within(descriptors: usize) -> usize {
    (descriptors / 16).clamp(8, 64)
}

/// The soft limit of open files in the text of `/proc/self/limits`; `None` if it is not there.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        soft => soft.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_fewer_than_descriptors() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            64                   524288               files\n";
        assert_eq!(open_files(text), Some(64));
        assert_eq!(open_files(&text.replace("64  ", "unlimited")), Some(usize::MAX));
        assert_eq!(open_files(""), None);
        for descriptors in [30, 64, 256, 1024, 1 << 20, usize::MAX] {
            let limits = ConnectionLimits::within(descriptors);
            let ConnectionLimits { stores, controller, rest } = limits;
            assert!(stores + controller + rest < descriptors, "{limits:?}");
            let all = stores + controller + rest + log_files_within(descriptors);
            assert!(descriptors < 64 || all + 16 < descriptors, "{limits:?}");
            assert!(stores >= 2 && controller >= 2 && rest >= 2);
        }
        let few = ConnectionLimits { stores: 20, controller: 10, rest: 5 };
        assert_eq!(ConnectionLimits::within(64), few);
    }
}
