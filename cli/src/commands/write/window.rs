//! Events in flight, in the order of the input.

use std::{collections::VecDeque, time::Instant};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::super::input::Place;

/// An event that the writer has accepted, and its ack `A`.
#[derive(Debug)]
pub(super) struct InFlight<A> {
    pub(super) event: Event,
    pub(super) ack: A,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Place,
    pub(super) started: Instant,
    pub(super) bytes: u64,
}

/// The oldest events in flight. They end in order; a failure is found wherever it is, so that an
/// event whose segment is stuck does not hide it.
#[derive(Debug)]
pub(super) struct Window<A> {
    waiting: mpsc::Receiver<InFlight<A>>,
    events: VecDeque<(Event, State<A>)>,
}

#[derive(Debug)]
enum State<A> {
    InFlight(A),
    Durable,
}

/// The events of a window that waits for the first one, at most.
const MAX_EVENTS: usize = 65_536;

impl<A> Window<A> {
    pub(super) fn new(waiting: mpsc::Receiver<InFlight<A>>) -> Self {
        Self { waiting, events: VecDeque::new() }
    }

    /// Returns true if no event is known to wait for its ack.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.waiting.is_empty()
    }
}

impl<A, T, E> Window<A>
where
    A: Future<Output = Result<T, E>> + Unpin,
{
    /// Waits until the next event is durable, or has failed. `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub(super) async fn next(&mut self) -> Option<Result<Event, E>> {
        if self.events.is_empty() {
            let InFlight { event, ack } = self.waiting.recv().await?;
            self.events.push_back((event, State::InFlight(ack)));
        }
        let (_, first) = self.events.front_mut()?;
        let failure = match first {
            State::InFlight(ack) => ack.await.err(),
            State::Durable => None,
        };
        let (event, _) = self.events.pop_front()?;
        Some(failure.map_or(Ok(event), Err))
    }

    /// Returns the failure of an event that has failed, whichever it is.
    pub(super) fn failure(&mut self) -> Option<E> {
        while self.events.len() < MAX_EVENTS
            && let Ok(InFlight { event, ack }) = self.waiting.try_recv()
        {
            self.events.push_back((event, State::InFlight(ack)));
        }
        for (_, state) in &mut self.events {
            if let State::InFlight(ack) = state {
                match ack.now_or_never() {
                    None => {}
                    Some(Ok(_)) => *state = State::Durable,
                    Some(Err(failure)) => return Some(failure),
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    type Ack = oneshot::Receiver<()>;

    /// A window of `count` events, and what ends each.
    fn window(count: u64) -> (Window<Ack>, Vec<oneshot::Sender<()>>) {
        let (sender, waiting) = mpsc::channel(8);
        let ends = (1..=count).map(|number| {
            let (end, ack) = oneshot::channel();
            let at = Place { number, end: 0 };
            let event = Event { at, started: Instant::now(), bytes: 0 };
            assert!(sender.try_send(InFlight { event, ack }).is_ok());
            end
        });
        let ends = ends.collect();
        (Window::new(waiting), ends)
    }

    fn next(window: &mut Window<Ack>) -> Option<Option<Result<u64, ()>>> {
        let next = window.next().now_or_never();
        next.map(|next| next.map(|next| next.map(|event| event.at.number).map_err(drop)))
    }

    #[test]
    fn events_end_in_the_order_of_the_input() {
        let (mut window, mut ends) = window(3);
        assert_eq!(next(&mut window), None);
        ends.remove(1).send(()).unwrap();
        assert!(window.failure().is_none());
        assert_eq!(next(&mut window), None, "the first one is in flight");
        ends.remove(0).send(()).unwrap();
        assert_eq!(next(&mut window), Some(Some(Ok(1))));
        assert_eq!(next(&mut window), Some(Some(Ok(2))));
        drop(ends);
        assert_eq!(next(&mut window), Some(Some(Err(()))));
        assert_eq!(next(&mut window), Some(None));
    }

    #[test]
    fn a_failure_is_found_while_an_earlier_event_is_in_flight() {
        let (mut window, mut ends) = window(3);
        assert_eq!(next(&mut window), None);
        assert!(window.failure().is_none());
        drop(ends.remove(2));
        assert!(window.failure().is_some());
    }
}
