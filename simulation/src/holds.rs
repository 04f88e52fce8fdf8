//! Commands and replies that a test holds back at the stores, or loses.
//!
//! A held command lies in the queue of its store: it takes effect when the test releases it, also
//! if its connection has ended and its client has set up appends on another one since. So a test,
//! or a fault, decides what happens between any two steps.

use pravega_sdk_types::ScopedSegment;
use tokio::sync::watch;

use crate::{
    World,
    gates::{Arrival, Departure, Effect, GateId, Matches},
};

/// Holds back, or loses, the commands or replies that match; from [`World::hold`] and its
/// relatives. Dropping it releases them.
#[must_use = "dropping it releases what is held"]
pub struct Hold {
    world: World,
    gate: GateId,
    taken: watch::Receiver<u64>,
}

impl Hold {
    /// The number of commands or replies that matched so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        *self.taken.borrow()
    }

    /// Waits until something has matched.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn reached(&self) {
        self.reached_times(1).await;
    }

    /// Waits until a number of commands or replies have matched.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn reached_times(&self, times: u64) {
        // The sender lives until the hold ends.
        self.taken.clone().wait_for(|taken| *taken >= times).await.ok();
    }

    /// Ends the hold. What it held takes effect before the call returns, in the order in which it
    /// arrived on each connection.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.world.lock().cluster.open(self.gate);
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("taken", &self.taken()).finish_non_exhaustive()
    }
}

impl World {
    /// Holds back the commands that match, on every connection. Other commands pass them, except
    /// appends of the same writer on the same connection.
    pub fn hold(&self, matches: impl FnMut(&Arrival<'_>) -> bool + Send + 'static) -> Hold {
        self.add_gate(Matches::Commands(Box::new(matches)), Effect::Hold)
    }

    /// Holds back the commands that match on the first connection that has one. Those of later
    /// connections pass: the client that reconnects is ahead of what it sent before.
    pub fn hold_first(
        &self,
        mut matches: impl FnMut(&Arrival<'_>) -> bool + Send + 'static,
    ) -> Hold {
        let mut first = None;
        self.hold(move |arrival| {
            let is_held = first.is_none_or(|first| first == arrival.connection) && matches(arrival);
            if is_held {
                first = Some(arrival.connection);
            }
            is_held
        })
    }

    /// Holds back the appends to a segment on the first connection that has one.
    pub fn hold_appends(&self, segment: &ScopedSegment) -> Hold {
        let segment = segment.clone();
        self.hold_first(move |arrival| arrival.is_append() && arrival.is_about(&segment))
    }

    /// Loses the commands that match: they take no effect, and no reply follows. After an append
    /// all others of its writer on the connection are lost, until the next set-up.
    pub fn lose(&self, matches: impl FnMut(&Arrival<'_>) -> bool + Send + 'static) -> Hold {
        self.add_gate(Matches::Commands(Box::new(matches)), Effect::Lose)
    }

    /// Closes the connections of the commands that match. The commands take no effect.
    pub fn close_at(&self, matches: impl FnMut(&Arrival<'_>) -> bool + Send + 'static) -> Hold {
        self.add_gate(Matches::Commands(Box::new(matches)), Effect::Close)
    }

    /// Closes the connections of the replies that match, in place of each: their requests have
    /// taken effect.
    pub fn close_in_place_of(
        &self,
        matches: impl FnMut(&Departure<'_>) -> bool + Send + 'static,
    ) -> Hold {
        self.add_gate(Matches::Replies(Box::new(matches)), Effect::Close)
    }

    /// Holds back the replies that match; other replies overtake them, except those to later
    /// appends of the same writer.
    pub fn hold_replies(
        &self,
        matches: impl FnMut(&Departure<'_>) -> bool + Send + 'static,
    ) -> Hold {
        self.add_gate(Matches::Replies(Box::new(matches)), Effect::Hold)
    }

    /// Loses the replies that match: their requests have taken effect. After a reply to an append
    /// all others of its writer on the connection are lost, until the next set-up.
    pub fn lose_replies(
        &self,
        matches: impl FnMut(&Departure<'_>) -> bool + Send + 'static,
    ) -> Hold {
        self.add_gate(Matches::Replies(Box::new(matches)), Effect::Lose)
    }

    fn add_gate(&self, matches: Matches, effect: Effect) -> Hold {
        let (gate, taken) = self.lock().cluster.gates.add(matches, effect);
        Hold { world: self.clone(), gate, taken }
    }
}
