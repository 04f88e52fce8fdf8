//! How each call of a client ends.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use super::seen::{Seen, Told};

/// How each call ended.
#[derive(Default)]
pub(crate) struct Log(pub(crate) BTreeMap<&'static str, Seen>);

impl Log {
    /// Makes a call, and notes how it ends.
    pub(super) async fn see<T: Told>(
        &mut self,
        call: &'static str,
        future: impl Future<Output = T>,
    ) {
        let mut future = pin!(future);
        let polled = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            match polled {
                Ok(polled) => polled.map(Ok),
                Err(_) => Poll::Ready(Err(())),
            }
        });
        let seen = polled.await.map_or(Seen::Panics, Told::seen);
        assert!(self.0.insert(call, seen).is_none(), "{call} is called twice");
    }
}
