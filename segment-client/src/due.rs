//! Timers of drivers, which are due by the clock.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep};

/// Waits until a time, with a timer that is set to it.
///
/// A task has a budget, and when it is used up, timers are not ready, whatever the time is. The
/// sockets that a driver polls before its timers use it up for as long as a peer sends, so what the
/// clock says counts first: else nothing would have an end.
pub(crate) fn poll_until(
    timer: &mut Pin<Box<Sleep>>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if Instant::now() >= until {
        return Poll::Ready(());
    }
    if timer.deadline() != until {
        timer.as_mut().reset(until);
    }
    timer.as_mut().poll(cx)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{
        sync::mpsc,
        time::{advance, sleep_until},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_due_though_a_peer_has_used_up_the_budget_of_the_task() {
        let (sender, mut endless) = mpsc::channel(4096);
        let until = Instant::now() + Duration::from_secs(10);
        let mut timer = Box::pin(sleep_until(until));
        for is_due in [false, true] {
            while sender.try_send(()).is_ok() {}
            poll_fn(|cx| {
                // As a driver does with its sockets, before it looks at its timers.
                while endless.poll_recv(cx).is_ready() {}
                assert!(!endless.is_empty(), "the budget is larger than the test knows");
                assert_eq!(poll_until(&mut timer, until, cx).is_ready(), is_due);
                assert!(timer.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            advance(Duration::from_secs(10)).await;
        }
    }
}
