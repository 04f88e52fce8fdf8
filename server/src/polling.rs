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
