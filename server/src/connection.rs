//! One connection to a segment store: bytes to commands, answers to bytes.

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

/// A client that has sent half a frame and then nothing for so long is gone.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
/// A client that takes nothing of what is sent to it for so long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(60);
/// Commands that are carried out in one go, before others have their turn.
const BATCH: usize = 64;
/// How much is sent in one go, in bytes.
const SEND_BYTES: usize = 1 << 20;
/// A receive buffer that grew beyond this is given back once the client has been silent for a
/// while, in bytes.
const RECEIVE_BYTES: usize = 64 << 10;
const IDLE: Duration = Duration::from_secs(1);

/// Serves a client until it leaves, breaks the rules, or the server ends it.
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
            // What was answered before still goes out.
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

/// Takes commands and has them carried out; gives why that ended.
async fn receive(
    state: &ServerState,
    session: &mut Session,
    mut reading: impl AsyncRead + Unpin,
    outbox: &Outbox,
) -> &'static str {
    // The whole frame counts here, as for the Java server: its header and its payload.
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
            if let Err(Closed(reason)) = carry_out(state, session, &mut commands, outbox) {
                return reason;
            }
            match decoded {
                Decoded::All => break,
                Decoded::More => {}
                Decoded::Bad => return "what came is not a frame of the protocol",
            }
        }
        received.reserve(decoder.room_needed(&received));
        let (half_a_frame, large) = (!received.is_empty(), received.capacity() > RECEIVE_BYTES);
        let reads = reading.read_buf(&mut received);
        let read = match (half_a_frame, large) {
            (true, _) => timeout(FRAME_PATIENCE, reads).await,
            (false, true) => timeout(IDLE, reads).await,
            (false, false) => Ok(reads.await),
        };
        match read {
            Ok(Ok(0) | Err(_)) => return "the client left",
            Ok(Ok(_)) => {}
            Err(_) if half_a_frame => return "half a frame came and nothing more",
            Err(_) => received = BytesMut::new(),
        }
    }
}

/// How far the frames of a buffer were taken off it.
enum Decoded {
    All,
    /// There may be more.
    More,
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

fn carry_out(
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

/// Sends answers as they become durable.
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

/// Sends answers that wait for the same; says whether the connection goes on.
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
        // What the answers tell of may be lost: nobody is told.
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
    let sent = timeout(SEND_PATIENCE, writing.write_all_buf(&mut frames)).await;
    goes_on && matches!(sent, Ok(Ok(())))
}
