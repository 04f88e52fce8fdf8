//! How the receiver and the sender of a connection share the polls of their task.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use futures_util::FutureExt as _;

use crate::outbox::Outbox;

/// Receives and sends until the sender ends. What a poll receives is answered by the same poll.
pub(crate) async fn both(
    outbox: &Outbox,
    receiving: impl Future<Output = ()>,
    sending: impl Future<Output = ()>,
) {
    let (mut receiving, mut sending) = (pin!(receiving.fuse()), pin!(sending));
    poll_fn(|cx| {
        loop {
            // Nothing more is received after it has ended, and earlier replies still leave.
            let _ = receiving.as_mut().poll(cx);
            if sending.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !outbox.take_pass() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// The output, and true if it was not there at once.
pub(crate) async fn noting_wait<F: Future>(future: F) -> (F::Output, bool) {
    let (mut future, mut has_waited) = (pin!(future), false);
    let polled = poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        has_waited |= polled.is_pending();
        polled
    });
    (polled.await, has_waited)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::{pending, ready},
        task::{Context, Waker},
    };

    use super::*;
    use crate::budget::Pool;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_sender_is_polled_after_each_pass_and_nothing_is_polled_again_without_one() {
        let (outbox, order) = (Outbox::new(Pool::new(0)), RefCell::new(String::new()));
        let receiving = async {
            for _ in 0..3 {
                order.borrow_mut().push('r');
                outbox.pass().await;
            }
            order.borrow_mut().push('w');
            pending::<()>().await;
        };
        let sending = poll_fn(|_| {
            order.borrow_mut().push('s');
            Poll::Pending
        });
        let mut both = pin!(both(&outbox, receiving, sending));
        assert!(poll(both.as_mut()).is_pending());
        assert_eq!(order.take(), "rsrsrsws");
        assert!(poll(both.as_mut()).is_pending());
        assert_eq!(order.take(), "s");
    }

    #[test]
    fn a_receiver_that_has_ended_leaves_the_sender_to_its_end_and_not_the_other_way() {
        let (outbox, sent) = (Outbox::new(Pool::new(0)), Cell::new(0));
        let sending = poll_fn(|_| {
            sent.set(sent.get() + 1);
            if sent.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut ends = pin!(both(&outbox, outbox.pass(), sending));
        assert!(poll(ends.as_mut()).is_pending());
        assert_eq!(sent.get(), 2);
        assert!(poll(ends.as_mut()).is_ready());
        let passes = async {
            loop {
                outbox.pass().await;
            }
        };
        assert!(poll(pin!(both(&outbox, passes, ready(())))).is_ready());
    }

    #[test]
    fn a_wait_is_noted_if_the_output_is_not_there_at_once() {
        assert_eq!(poll(pin!(noting_wait(ready(7)))), Poll::Ready((7, false)));
        let mut is_ready = false;
        let later = poll_fn(|_| {
            let polled = if is_ready { Poll::Ready(7) } else { Poll::Pending };
            is_ready = true;
            polled
        });
        let mut later = pin!(noting_wait(later));
        assert!(poll(later.as_mut()).is_pending());
        assert_eq!(poll(later), Poll::Ready((7, true)));
    }
}
