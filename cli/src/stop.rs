//! SIGINT and SIGTERM: a command that has events or bytes in hand stops in order.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

use crate::{
    failure::{Failure, Result},
    signal::Signal,
};

/// Time after the first signal in which a command that only prints has ended. It leaves a reader
/// group in less, but a reader of stdout may take nothing.
const LAST: Duration = Duration::from_secs(15);

/// The signals that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    None,
    /// One: the command stops in order.
    Once(Signal),
    /// A second one: the command ends at once.
    Again(Signal),
}

/// The signals that the process receives. Clones see the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<Received>);

impl Stop {
    /// Takes over SIGINT and SIGTERM: from now on they do not end the process by themselves. The
    /// first one calls `notify`.
    pub(crate) fn listen(notify: impl FnOnce() + Send + 'static) -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error: io::Error| {
                Failure::other(format_args!("cannot wait for signals: {error}"))
            })
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(Received::None);
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                }
            };
            let first = next().await;
            // Before the stop, which may end the process at once.
            notify();
            sender.send_replace(Received::Once(first));
            sender.send_replace(Received::Again(next().await));
        });
        Ok(Self(receiver))
    }

    /// Takes over the first signal, for a command that prints its position before it ends. The
    /// second one ends the process even if the reader of stdout takes no more, and so does the
    /// first one after a while.
    pub(crate) fn listen_once() -> Result<Self> {
        let stop = Self::listen(|| {})?;
        let received = stop.clone();
        tokio::spawn(async move {
            let late = async {
                let signal = received.requested().await;
                sleep(LAST).await;
                signal
            };
            let signal = tokio::select! {
                signal = received.again() => signal,
                signal = late => signal,
            };
            std::process::exit(signal.exit_code().into());
        });
        Ok(stop)
    }

    /// No signal ever: each ends the process by itself.
    pub(crate) fn never() -> Self {
        Self(watch::channel(Received::None).1)
    }

    /// Waits for the first signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub(crate) async fn requested(&self) -> Signal {
        self.find(|received| match received {
            Received::None => None,
            Received::Once(signal) | Received::Again(signal) => Some(signal),
        })
        .await
    }

    /// Waits for the second signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub(crate) async fn again(&self) -> Signal {
        self.find(|received| match received {
            Received::None | Received::Once(_) => None,
            Received::Again(signal) => Some(signal),
        })
        .await
    }

    async fn find(&self, wanted: impl Fn(Received) -> Option<Signal>) -> Signal {
        let mut receiver = self.0.clone();
        loop {
            let received = *receiver.borrow_and_update();
            if let Some(signal) = wanted(received) {
                return signal;
            }
            if receiver.changed().await.is_err() {
                // No signals arrive, as no task listens.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_first_signal_requests_a_stop_and_only_the_second_one_is_again() {
        let (sender, receiver) = watch::channel(Received::None);
        let stop = Stop(receiver);
        assert_eq!(stop.requested().now_or_never(), None);
        sender.send_replace(Received::Once(Signal::Interrupt));
        assert_eq!(stop.requested().now_or_never(), Some(Signal::Interrupt));
        assert_eq!(stop.again().now_or_never(), None);
        sender.send_replace(Received::Again(Signal::Terminate));
        assert_eq!(stop.again().now_or_never(), Some(Signal::Terminate));
        assert_eq!(stop.requested().now_or_never(), Some(Signal::Terminate));
    }
}
