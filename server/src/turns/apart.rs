//! Work in slices that cannot end soon, on a thread of its own: one slice for each turn.

use std::{
    panic::resume_unwind,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    sync::Notify,
    task::{spawn_blocking, yield_now},
    time::Instant,
};

use super::{Account, BEGUN, IS_WANTED, Slice, TURN, Turn, Waiting, wanted};

/// Wakes the task that waits for the next slice.
struct Signal(Notify);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Account {
    /// Polls a future outside the threads of the runtime: its work may take long without a pause,
    /// as that on a message of megabytes does. It takes a turn in any case.
    ///
    /// After the future is dropped, the present poll goes on to its end.
    pub(crate) async fn apart<F>(self: &Arc<Self>, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut future = Box::pin(future);
        let signal = Arc::new(Signal(Notify::new()));
        let mut turn = self.turn().await;
        loop {
            let (account, waker) = (Arc::clone(self), Waker::from(Arc::clone(&signal)));
            let polling = spawn_blocking(move || {
                let slice = Slice::begin(Instant::now(), Some(turn));
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                let is_wanted = IS_WANTED.take();
                let ended = Instant::now();
                account.spend(account.turns.at(ended), slice.end(ended, &account.turns));
                (future, polled, is_wanted)
            });
            // Others may wait for what it did, or does next.
            let is_wanted = match wanted(polling).await {
                Ok((_, Poll::Ready(output), _)) => return output,
                Ok((later, Poll::Pending, is_wanted)) => {
                    future = later;
                    is_wanted
                }
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The runtime ends.
                    Err(_) => return std::future::pending().await,
                },
            };
            let next = async {
                signal.0.notified().await;
                self.turn().await
            };
            turn = if is_wanted { wanted(next).await } else { next.await };
        }
    }

    /// Takes over the turn of the present slice, or one of its own outside of slices.
    async fn turn(self: &Arc<Self>) -> Turn {
        let mut waiting: Option<Waiting> = None;
        loop {
            if BEGUN.get().is_none() {
                return std::future::poll_fn(|cx| self.poll_turn(self.standing, &mut waiting, cx))
                    .await;
            }
            if let Some(turn) = TURN.take() {
                return turn;
            }
            // The client has used little so far. From now on its slices have turns.
            self.owe();
            yield_now().await;
        }
    }
}
