//! The kinds of failure of calls of the operating system.

use std::io;

use pravega_sdk_types::ErrorKind;

/// Returns the kind of failure of a call that opens a port or a folder.
///
/// A used port and a full disk may be free later; an address or a path that cannot be used is a
/// matter of configuration.
pub(crate) fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::AddrInUse => ErrorKind::Unavailable,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::OutOfSpace,
        _ => ErrorKind::Config,
    }
}
