//! Acknowledgement futures, one per event, without an allocation for each.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures_util::task::AtomicWaker;
use pravega_sdk_types::{ErrorKind, Outcome};

use super::segment::appended::Appended;
use crate::error::WriteError;

/// Ends when the event is durable, or has failed.
///
/// It can be awaited, polled, or dropped: the event is written in any case. An ack keeps the
/// results of 31 other events in memory, about 2 KiB.
#[must_use = "only the ack reports if the event was stored; `flush` or `close`, before `main` \
              returns, reports it for all events"]
pub struct Ack {
    block: Arc<AckBlock>,
    at: usize,
}

/// The other end of an [`Ack`]. Dropped before it is completed, it completes the ack with an error.
pub(crate) struct Ticket {
    block: Arc<AckBlock>,
    at: usize,
}

/// Creates pairs of tickets and acks, out of blocks.
#[derive(Debug)]
pub(crate) struct Acks {
    current: ArcSwap<AckBlock>,
}

const BLOCK_LEN: usize = 32;

#[derive(Default)]
struct AckBlock {
    taken: AtomicUsize,
    slots: [Slot; BLOCK_LEN],
}

#[derive(Default)]
struct Slot {
    result: OnceLock<Result<Appended, WriteError>>,
    waker: AtomicWaker,
}

impl Acks {
    pub(crate) fn new() -> Self {
        Self { current: ArcSwap::from_pointee(AckBlock::default()) }
    }

    pub(crate) fn next_pair(&self) -> (Ticket, Ack) {
        loop {
            let block = self.current.load();
            let at = block.taken.fetch_add(1, Ordering::Relaxed);
            if at < BLOCK_LEN {
                let block = Arc::clone(&block);
                return (Ticket { block: Arc::clone(&block), at }, Ack { block, at });
            }
            // Of several threads that find it used up, one replaces it.
            self.current.compare_and_swap(&*block, Arc::new(AckBlock::default()));
        }
    }
}

impl Ticket {
    pub(crate) fn complete(self, result: Result<Appended, WriteError>) {
        self.set(result);
    }

    fn set(&self, result: Result<Appended, WriteError>) {
        if let Some(slot) = self.block.slots.get(self.at)
            && slot.result.set(result).is_ok()
        {
            slot.waker.wake();
        }
    }

    fn is_set(&self) -> bool {
        self.block.slots.get(self.at).is_none_or(|slot| slot.result.get().is_some())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_set() {
            let detail = "the writer's task ended before the event was acknowledged";
            self.set(Err(WriteError::new(ErrorKind::Closed, Outcome::Unknown, detail)));
        }
    }
}

impl Ack {
    /// Returns the result of the event, if it is known.
    #[must_use]
    pub fn result(&self) -> Option<Result<Appended, WriteError>> {
        self.block.slots.get(self.at)?.result.get().cloned()
    }
}

impl Future for Ack {
    type Output = Result<Appended, WriteError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut &*self).poll(cx)
    }
}

/// An ack can be awaited through a reference, by one task at a time, and read by others.
impl Future for &Ack {
    type Output = Result<Appended, WriteError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.result() {
            return Poll::Ready(result);
        }
        if let Some(slot) = self.block.slots.get(self.at) {
            slot.waker.register(cx.waker());
        }
        // The result may have arrived between the check and the registration.
        self.result().map_or(Poll::Pending, Poll::Ready)
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("result", &self.result()).finish()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

impl fmt::Debug for AckBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckBlock").field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_an_event_fits_a_cache_line() {
        assert!(size_of::<Slot>() <= 64, "{} bytes", size_of::<Slot>());
    }

    #[tokio::test]
    async fn every_ack_is_completed_by_its_own_ticket() {
        let acks = Acks::new();
        let pairs: Vec<_> = (0..100).map(|_| acks.next_pair()).collect();
        let (tickets, acks): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let waiting = tokio::spawn(async move {
            let mut told = Vec::new();
            for ack in acks {
                told.push(ack.await.unwrap_err().to_string());
            }
            told
        });
        tokio::task::yield_now().await;
        for (at, ticket) in tickets.into_iter().enumerate() {
            ticket.complete(Err(WriteError::invalid(at)));
        }
        let told = waiting.await.unwrap();
        assert!(
            told.iter().enumerate().all(|(at, text)| *text == format!("writing: {at}")),
            "{told:?}"
        );
    }

    #[test]
    fn pairs_from_many_threads_are_all_different() {
        let acks = Acks::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).map(|_| acks.next_pair()).collect::<Vec<_>>()))
                .collect();
            for thread in threads {
                for (ticket, ack) in thread.join().unwrap() {
                    assert!(ack.result().is_none(), "completed by another ticket");
                    ticket.complete(Err(WriteError::invalid("")));
                }
            }
        });
    }

    #[test]
    fn a_dropped_ticket_completes_its_ack_with_an_error() {
        let (ticket, ack) = Acks::new().next_pair();
        drop(ticket);
        let error = ack.result().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
    }
}
