//! What leaves a connection to a segment store: replies, once what they reveal is durable.

use std::time::Duration;

use bytes::Buf as _;
use pravega_sdk_server_core::store::Reply;
use pravega_sdk_wire_protocol::SendBuffer;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::{Instant, sleep, timeout},
};

use crate::{
    budget::Pool,
    limits::{TICK, UNTAKEN, WHEN_WANTED},
    outbox::{Next, Outbox},
    patience::{is_activity, is_over},
    ports::Seat,
    state::ServerState,
};

/// The approximate length of one write, in bytes.
pub(crate) const SEND_BYTES: usize = 1 << 20;
/// Sends replies as soon as their batches are durable.
pub(crate) async fn send(
    state: &ServerState,
    outbox: &Outbox,
    mut writing: impl AsyncWrite + Unpin,
    seat: &Seat,
) {
    loop {
        match outbox.next(SEND_BYTES).await {
            Next::Cut => return,
            Next::Closed => {
                // TLS says goodbye, which a client that takes nothing holds up.
                timeout(UNTAKEN, writing.shutdown()).await.ok();
                return;
            }
            Next::Replies(replies, bytes) => {
                let is_active = replies.iter().any(|reply| is_activity(&reply.command));
                if !send_all(state, replies, &mut writing).await {
                    return;
                }
                outbox.sent(bytes);
                if is_active {
                    seat.touch();
                }
            }
        }
    }
}

/// Sends replies that wait for the same batch; returns true if the connection goes on.
async fn send_all(
    state: &ServerState,
    replies: Vec<Reply>,
    writing: &mut (impl AsyncWrite + Unpin),
) -> bool {
    let delay = state.faults.delay();
    if !delay.is_zero() {
        sleep(delay).await;
    }
    let Some(after) = replies.first().map(|reply| reply.after) else {
        return true;
    };
    if state.wait_durable(after).await.is_err() {
        // The changes that the replies reveal may be lost, so the replies are dropped.
        return false;
    }
    let mut frames = SendBuffer::new();
    let mut goes_on = true;
    for reply in &replies {
        goes_on = state.faults.may_answer() && reply.command.encode(&mut frames).is_ok();
        if !goes_on {
            break;
        }
    }
    drop(replies);
    write_all(&mut frames, writing, &state.budget.replies).await && goes_on
}

/// Writes frames, and what TLS keeps of them; returns false if the client does not take them, or
/// has left.
async fn write_all(
    frames: &mut SendBuffer,
    writing: &mut (impl AsyncWrite + Unpin),
    replies: &Pool,
) -> bool {
    let begun = Instant::now();
    let mut waited = Duration::ZERO;
    loop {
        let is_written = !frames.has_remaining();
        let written = async {
            match is_written {
                true => writing.flush().await.map(|()| None),
                false => writing.write_buf(frames).await.map(Some),
            }
        };
        match timeout(TICK, written).await {
            Ok(Ok(None)) => return true,
            Ok(Ok(Some(0)) | Err(_)) => return false,
            Ok(Ok(Some(_))) => waited = Duration::ZERO,
            Err(_) => waited += TICK,
        }
        let goes_on = frames.has_remaining() || !waited.is_zero();
        if goes_on && is_over(begun, waited, (UNTAKEN, WHEN_WANTED), replies) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use pravega_sdk_server_core::record::{Durability, Sequence};
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        builder::ServerBuilder,
        clock::Clock,
        durable::Durable,
        ports::{Clients, Port},
    };

    /// A client that takes nothing, so that TLS cannot say goodbye.
    struct Deaf;

    impl AsyncWrite for Deaf {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_though_its_client_takes_no_goodbye() {
        let machine = ServerBuilder::default().machine(Durability::InMemory);
        let durable = watch::Sender::new(Durable::To(Sequence::default()));
        let state = ServerState::new(machine, Clock::standing(), durable, None);
        let seat = Port::new("test", 1, Clients::Any).seat(&CancellationToken::new()).unwrap();
        let outbox = Outbox::new(state.budget.replies.clone());
        outbox.close();
        let sending = send(&state, &outbox, Deaf, &seat);
        assert!(timeout(2 * UNTAKEN, sending).await.is_ok());
    }
}
