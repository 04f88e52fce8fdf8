//! Signals that would end the process where an error can be handled.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// From now on a write above a limit on the size of files fails, instead of ending the process.
pub(crate) fn survive_long_files() {
    // Nothing is done when it arrives: the write that caused it returns an error.
    if let Err(error) = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())) {
        tracing::warn!(%error, "cannot ignore the signal of a file that is too long");
    }
}
