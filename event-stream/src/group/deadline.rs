//! Calls that have a deadline.

use std::time::Duration;

use pravega_sdk_segment_client::runtime::runtime;
use pravega_sdk_types::{ErrorKind, Failure, Outcome};
use tokio::time::timeout;

/// Returns the result of some work; `None` if its time is over before. The work is boxed, so that
/// the futures of programs stay small. Outside a tokio runtime it fails and does not begin.
pub(super) fn within<T, E: From<Failure>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Option<Result<T, E>>> {
    let work = Box::pin(work);
    async move {
        if let Err(error) = runtime() {
            let failure = Failure::new(ErrorKind::NoRuntime, Outcome::NotApplied, error);
            return Some(Err(failure.into()));
        }
        timeout(limit, work).await.ok()
    }
}
