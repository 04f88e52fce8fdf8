//! A signal while a command waits for something that goes on without it.

use crate::{
    failure::{Failure, Result},
    stop::Stop,
};

/// Waits for the work, or for a signal, which ends the command with what its user should know: what
/// was reached, and how to go on.
///
/// # Cancel safety
///
/// As the work.
pub(crate) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T>>,
    reached: &str,
    next: &str,
) -> Result<T> {
    let stop = Stop::listen_once()?;
    tokio::select! {
        biased;
        done = work => done,
        signal = stop.requested() => Err(Failure::stopped(signal, reached).with_hint(next)),
    }
}
