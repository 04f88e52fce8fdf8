//! How long the server waits for a client that is slow or silent.

use std::time::Duration;

use pravega_sdk_wire_protocol::WireCommand;
use tokio::{
    io::AsyncRead,
    time::{Instant, timeout},
};

use crate::{
    budget::Pool,
    limits::{FIRST_WORD, SILENCE, SILENCE_WHEN_WANTED, SLOWEST, TICK, WHEN_WANTED},
    receive::ReceiveBuffer,
};

/// How long the server waits for the bytes of a client.
#[derive(Debug)]
pub(crate) struct Patience {
    requests: Pool,
    /// When the connection was accepted; `None` after the first command.
    accepted: Option<Instant>,
    /// When the open block of an append began to wait for its end.
    block: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(requests: Pool) -> Self {
        Self { requests, accepted: Some(Instant::now()), block: None }
    }

    pub(crate) fn has_spoken(&mut self) {
        self.accepted = None;
    }

    pub(crate) fn block_is_open(&mut self, is_open: bool) {
        self.block = is_open.then(|| self.block.unwrap_or_else(Instant::now));
    }

    /// Does not count the time for which the server kept the client waiting.
    pub(crate) fn waited_for_memory(&mut self, time: Duration) {
        for begun in [&mut self.accepted, &mut self.block].into_iter().flatten() {
            *begun += time;
        }
    }

    /// Waits for bytes, and returns how many have arrived; fails with the reason why the connection
    /// ends.
    pub(crate) async fn read(
        &self,
        received: &mut ReceiveBuffer,
        reading: &mut (impl AsyncRead + Unpin),
    ) -> Result<usize, &'static str> {
        let mut waited = Duration::ZERO;
        loop {
            let begun = received.begun().into_iter().chain(self.block).min();
            let may_wait = self.accepted.is_none() && begun.is_none() && !received.is_idle();
            let read = if may_wait {
                Ok(received.read(reading).await)
            } else {
                timeout(TICK, received.read(reading)).await
            };
            if let Ok(Ok(0) | Err(_)) = read {
                return Err("the client left");
            }
            if self.accepted.is_some_and(|accepted| accepted.elapsed() >= FIRST_WORD) {
                return Err("the client has sent no command");
            }
            if let Some(begun) = begun
                && is_over(begun, waited, (SILENCE, SILENCE_WHEN_WANTED), &self.requests)
            {
                return Err("the rest of a frame did not arrive");
            }
            if let Ok(Ok(read)) = read {
                return Ok(read);
            }
            waited += TICK;
            received.free();
        }
    }
}

/// Returns true if no longer should be waited for something that began at a time, after waiting
/// for its next part, when others want its memory and when they do not.
pub(crate) fn is_over(
    begun: Instant,
    waited: Duration,
    (patience, when_wanted): (Duration, Duration),
    pool: &Pool,
) -> bool {
    let total = begun.elapsed();
    let wanted = pool.is_wanted();
    waited >= patience
        || total >= SLOWEST
        || wanted && (waited >= when_wanted || total >= 2 * WHEN_WANTED)
}

/// Returns true if a command is a sign that its client is active: not one that is sent only so that
/// the connection is kept.
pub(crate) fn is_activity(command: &WireCommand) -> bool {
    !matches!(command, WireCommand::KeepAlive(_) | WireCommand::Hello(_))
}
