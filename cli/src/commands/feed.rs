//! Writes the input to a transaction.

use std::time::{Duration, Instant};

use pravega_sdk::{Transaction, TransactionError, codec::Raw};

use super::input::{End, Input, InputEvent, Next, Place};

/// What was written, and why the input ended.
pub(super) struct Fed {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The place of the last event, or of a skipped line after it.
    pub(super) done: Place,
    pub(super) end: End,
}

/// How often it is checked that the transaction is open and its events are durable, while the input
/// has more and while it has none.
const CHECKED_EVERY: Duration = Duration::from_secs(1);

/// Writes events until the input ends, or until one of them fails. The last ones are not yet
/// durable.
///
/// # Cancel safety
///
/// If the future is dropped, some events that were read may not be in the transaction.
pub(super) async fn feed(
    transaction: &mut Transaction<Raw>,
    input: &mut Input,
) -> Result<Fed, TransactionError> {
    let (mut events, mut bytes) = (0, 0);
    let (mut is_flushed, mut checked) = (true, Instant::now());
    loop {
        let next = tokio::select! {
            biased;
            next = input.next() => next,
            checked = check(transaction, is_flushed) => {
                checked?;
                is_flushed = true;
                continue;
            }
        };
        let batch = match next {
            Next::Events(batch) => batch,
            Next::End(end) => return Ok(Fed { events, bytes, done: input.last(), end }),
        };
        for InputEvent { key, payload, .. } in batch {
            let len = payload.len() as u64;
            transaction.write(key.as_deref(), payload).await?;
            (events, bytes) = (events + 1, bytes + len);
            input.progress().inc(len);
        }
        is_flushed = false;
        // Input that never pauses must not hide a failure.
        if checked.elapsed() >= CHECKED_EVERY {
            transaction.flush().await?;
            (is_flushed, checked) = (true, Instant::now());
        }
    }
}

/// Waits until the events are durable, or checks after a while that the transaction is open.
async fn check(
    transaction: &mut Transaction<Raw>,
    is_flushed: bool,
) -> Result<(), TransactionError> {
    if is_flushed {
        tokio::time::sleep(CHECKED_EVERY).await;
    }
    transaction.flush().await
}
