//! Moments to come.

use std::time::Duration;

use tokio::time::Instant;

/// Far enough to be never.
const FAR: Duration = Duration::from_secs(86400 * 365 * 30);

/// The moment after a time from now, however long that is.
pub(crate) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FAR)
}
