//! The answers of a connection on their way out.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use pravega_sdk_server_core::{record::Sequence, store::Reply};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::sync::Notify;

/// While so many bytes of answers wait, no more requests of the connection are carried out.
pub(crate) const FULL_BYTES: usize = 8 << 20;
/// And from so many answers on.
const FULL_COUNT: usize = 10_000;
/// A client that lets so many bytes of what it waited for lie is cut off.
const CUT_BYTES: usize = 64 << 20;

/// Answers in the order in which they go out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Something was added, or the connection is to end.
    filled: Notify,
    /// Something was taken.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    bytes: usize,
    /// Nothing is added any more; what is there goes out.
    closed: bool,
    /// What is there does not go out either.
    cut: bool,
}

/// What is to be sent next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Answers that wait for nothing more than the first of them does.
    Replies(Vec<Reply>),
    /// Everything has gone out, and there will be no more.
    Closed,
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

    /// Lets what is there go out, and nothing more.
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

    /// Takes what can go out together: up to `max_bytes`, and nothing that waits for more than the
    /// first.
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

    /// Waits until more requests may be carried out; says whether the connection goes on.
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

/// About how long an answer is on the wire, in bytes.
fn weight(reply: &WireCommand) -> usize {
    match reply {
        WireCommand::SegmentRead(read) => 128 + read.data.len(),
        WireCommand::TableRead(_)
        | WireCommand::TableEntriesRead(_)
        | WireCommand::TableEntriesDeltaRead(_) => reply.payload_len().unwrap_or(128),
        _ => 128,
    }
}
