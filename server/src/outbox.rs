//! The replies of a connection on their way out.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use pravega_sdk_server_core::{record::Sequence, store::Reply};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::sync::Notify;

/// From this many bytes of waiting replies on, no more requests of the connection are handled.
pub(crate) const FULL_BYTES: usize = 8 << 20;
/// The same for the number of replies.
const FULL_COUNT: usize = 10_000;
/// A connection with more bytes of waiting replies than this is cut.
const CUT_BYTES: usize = 64 << 20;

/// Replies in the order in which they leave.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// A reply was added, or the connection ends.
    filled: Notify,
    /// Replies were taken.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    bytes: usize,
    /// No more replies are added; those in the queue still leave.
    closed: bool,
    /// The replies in the queue do not leave either.
    cut: bool,
}

/// The next step of the sender.
#[derive(Debug)]
pub(crate) enum Next {
    /// Replies that all wait for the batch of the first one, or an earlier one.
    Replies(Vec<Reply>),
    /// All replies have left, and no more will be added.
    Closed,
    /// The connection ends at once.
    Cut,
}

impl Outbox {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, reply: Reply) {
        self.extend([reply]);
    }

    pub(crate) fn extend(&self, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        for reply in replies {
            state.bytes += weight(&reply.command);
            state.replies.push_back(reply);
        }
        if state.bytes > CUT_BYTES {
            state.closed = true;
            state.cut = true;
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Ends the connection after the replies in the queue.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// Ends the connection at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.closed = true;
        state.cut = true;
        drop(state);
        self.filled.notify_one();
        self.drained.notify_one();
    }

    /// Waits for replies that can leave together: about `max_bytes`, and none that waits for a
    /// later batch than the first.
    pub(crate) async fn next(&self, max_bytes: usize) -> Next {
        loop {
            {
                let mut state = self.state();
                if state.cut {
                    return Next::Cut;
                }
                let taken = take(&mut state, max_bytes);
                if !taken.is_empty() {
                    drop(state);
                    self.drained.notify_one();
                    return Next::Replies(taken);
                }
                if state.closed {
                    return Next::Closed;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until more requests may be handled; returns false if the connection ends.
    pub(crate) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.state();
                if state.closed {
                    return false;
                }
                if state.bytes < FULL_BYTES && state.replies.len() < FULL_COUNT {
                    return true;
                }
            }
            self.drained.notified().await;
        }
    }
}

fn take(state: &mut State, max_bytes: usize) -> Vec<Reply> {
    let first = state.replies.front().map_or(Sequence::default(), |reply| reply.after);
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while bytes < max_bytes
        && state.replies.front().is_some_and(|reply| reply.after <= first)
        && let Some(reply) = state.replies.pop_front()
    {
        bytes += weight(&reply.command);
        taken.push(reply);
    }
    state.bytes = state.bytes.saturating_sub(bytes);
    taken
}

/// The approximate length of a reply on the wire, in bytes.
fn weight(reply: &WireCommand) -> usize {
    match reply {
        WireCommand::SegmentRead(read) => 128 + read.data.len(),
        WireCommand::TableRead(_)
        | WireCommand::TableEntriesRead(_)
        | WireCommand::TableEntriesDeltaRead(_) => reply.payload_len().unwrap_or(128),
        _ => 128,
    }
}
