//! One connection to a segment store: bytes to commands, replies to bytes.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use pravega_sdk_server_core::{
    ids::StoreIndex,
    store::{Closed, Reply, Session},
};
use pravega_sdk_wire_protocol::{Decoder, MAX_FRAME_LEN, SendBuffer, WireCommand};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    outbox::{Next, Outbox},
    state::ServerState,
};

/// A connection ends if the rest of a frame does not arrive for this long.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection ends if the client does not take replies for this long.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// The most commands that are handled under one lock, before other connections have their turn.
const BATCH: usize = 64;
/// The approximate length of one write, in bytes.
const SEND_BYTES: usize = 1 << 20;
/// A receive buffer above this length, in bytes, is freed after the client was silent for
/// [`IDLE`].
const RECEIVE_BYTES: usize = 64 << 10;
const IDLE: Duration = Duration::from_secs(1);

/// Serves a client until it leaves, violates the protocol, or the server ends the connection.
pub(crate) async fn serve(state: Arc<ServerState>, socket: TcpStream, store: StoreIndex) {
    socket.set_nodelay(true).ok();
    let (reading, writing) = socket.into_split();
    let outbox = Arc::new(Outbox::default());
    let id = state.connect(&outbox);
    let mut session = Session::new(id, store);
    {
        let receiving = async {
            let ended = receive(&state, &mut session, reading, &outbox).await;
            tracing::debug!(connection = id.0, reason = ended, "a client's connection ends");
            // Earlier replies still leave.
            outbox.close();
        };
        let sending = send(&state, &outbox, writing);
        tokio::pin!(receiving, sending);
        tokio::select! {
            () = &mut receiving => sending.await,
            () = &mut sending => {}
        }
    }
    state.disconnect(id);
    state.run(|machine, _| session.end(&mut machine.store));
}

/// Receives and handles commands; returns why that ended.
async fn receive(
    state: &ServerState,
    session: &mut Session,
    mut reading: impl AsyncRead + Unpin,
    outbox: &Outbox,
) -> &'static str {
    // As in the Java server, the limit is that of the whole frame: its header and its payload.
    let decoder =
        Decoder::with_max_payload_len(MAX_FRAME_LEN - pravega_sdk_wire_protocol::FRAME_HEADER_LEN);
    let mut received = BytesMut::new();
    let mut commands = Vec::new();
    loop {
        loop {
            let decoded = fill(&decoder, &mut received, &mut commands);
            if !outbox.ready().await {
                return "the connection was closed";
            }
            if let Err(Closed(reason)) = handle_all(state, session, &mut commands, outbox) {
                return reason;
            }
            match decoded {
                Decoded::All => break,
                Decoded::More => {}
                Decoded::Bad => return "the received bytes are not a frame of the protocol",
            }
        }
        received.reserve(decoder.room_needed(&received));
        let (half_a_frame, large) = (!received.is_empty(), received.capacity() > RECEIVE_BYTES);
        let reads = reading.read_buf(&mut received);
        let read = match (half_a_frame, large) {
            (true, _) => timeout(FRAME_TIMEOUT, reads).await,
            (false, true) => timeout(IDLE, reads).await,
            (false, false) => Ok(reads.await),
        };
        match read {
            Ok(Ok(0) | Err(_)) => return "the client left",
            Ok(Ok(_)) => {}
            Err(_) if half_a_frame => return "the rest of a frame did not arrive",
            Err(_) => received = BytesMut::new(),
        }
    }
}

/// The frames left in the receive buffer.
enum Decoded {
    /// No whole frame is left.
    All,
    /// Whole frames may be left.
    More,
    /// The next bytes are not a frame.
    Bad,
}

fn fill(decoder: &Decoder, received: &mut BytesMut, commands: &mut Vec<WireCommand>) -> Decoded {
    while commands.len() < BATCH {
        match decoder.decode(received) {
            Ok(Some(command)) => commands.push(command),
            Ok(None) => return Decoded::All,
            Err(_) => return Decoded::Bad,
        }
    }
    Decoded::More
}

fn handle_all(
    state: &ServerState,
    session: &mut Session,
    commands: &mut Vec<WireCommand>,
    outbox: &Outbox,
) -> Result<(), Closed> {
    if commands.is_empty() {
        return Ok(());
    }
    let mut replies = Vec::with_capacity(commands.len());
    let (done, _) = state.run(|machine, at| {
        let mut context = machine.context(at, &mut replies);
        commands.drain(..).try_for_each(|command| session.handle(command, &mut context))
    });
    outbox.extend(replies);
    done
}

/// Sends replies as soon as their batches are durable.
async fn send(state: &ServerState, outbox: &Outbox, mut writing: impl AsyncWrite + Unpin) {
    loop {
        match outbox.next(SEND_BYTES).await {
            Next::Cut => return,
            Next::Closed => {
                writing.shutdown().await.ok();
                return;
            }
            Next::Replies(replies) => {
                if !send_all(state, replies, &mut writing).await {
                    return;
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
        tokio::time::sleep(delay).await;
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
    let sent = timeout(SEND_TIMEOUT, writing.write_all_buf(&mut frames)).await;
    goes_on && matches!(sent, Ok(Ok(())))
}
