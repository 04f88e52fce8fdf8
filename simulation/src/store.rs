//! A simulated segment store: one connection after the other, each with sessions of the server's
//! machine.

use std::{cmp::Ordering, collections::BinaryHeap};

use bytes::{Buf as _, BytesMut};
use pravega_sdk_server_core::ids::{ConnectionId, StoreIndex};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{World, interruptions::Interrupted, outbox::Due, serving::Ended};

/// Opens a connection, and returns the future that serves it until it ends. Commands that arrived
/// before its end take effect.
pub fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(
    world: World,
    store: usize,
    io: S,
) -> impl Future<Output = ()> + Send {
    let (reader, writer) = tokio::io::split(io);
    // `Outbox` has the bound.
    let (replies, due) = mpsc::unbounded_channel();
    let id = world.lock().cluster.connect(StoreIndex(store), replies);
    let interrupted = Interrupted::draw(&world, id);
    let serving = async move {
        let receiving = async {
            let Ended = receive(reader, &world, id).await;
            world.lock().cluster.disconnect(id);
        };
        tokio::join!(receiving, send(writer, due));
    };
    async move {
        match interrupted {
            Some(interrupted) => interrupted.during(serving).await,
            None => serving.await,
        }
    }
}

async fn receive(mut reader: impl AsyncRead + Unpin, world: &World, id: ConnectionId) -> Ended {
    let mut received = BytesMut::new();
    loop {
        loop {
            match Decoder::default().decode(&mut received) {
                Ok(Some(command)) => {
                    let arrived = world.lock().cluster.arrive(id, command);
                    if let Err(ended) = arrived {
                        return ended;
                    }
                }
                Ok(None) => break,
                Err(_) => return Ended,
            }
        }
        let expiry = world.lock().cluster.expiry(id);
        tokio::select! {
            biased;
            read = reader.read_buf(&mut received) => {
                if !matches!(read, Ok(1..)) {
                    return Ended;
                }
            }
            () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {
                world.lock().cluster.close_expired();
            }
        }
    }
}

/// Writes each reply when it is due. A reply that is not due yet holds up no other.
async fn send(mut writer: impl AsyncWrite + Unpin, mut replies: mpsc::UnboundedReceiver<Due>) {
    let mut waiting = BinaryHeap::new();
    let mut number = 0;
    let mut is_open = true;
    while is_open || !waiting.is_empty() {
        let next = waiting.peek().map(|next: &Numbered| next.due.at);
        let now = Instant::now();
        tokio::select! {
            biased;
            received = replies.recv(), if is_open => match received {
                Some(due) => {
                    waiting.push(Numbered { due, number });
                    number += 1;
                }
                None => is_open = false,
            },
            () = sleep_until(next.unwrap_or(now)), if next.is_some_and(|at| at > now) => {}
            // A timer is a millisecond late at times.
            () = std::future::ready(()), if next.is_some_and(|at| at <= now) => {
                let Some(Numbered { due, .. }) = waiting.pop() else { continue };
                if write(&mut writer, &due.reply).await.is_err() {
                    return;
                }
            }
        }
    }
    // Closing is the server's only answer to a broken rule.
    writer.shutdown().await.ok();
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), reply: &WireCommand) -> std::io::Result<()> {
    let mut out = SendBuffer::new();
    reply.encode(&mut out).expect("a reply fits a frame");
    while out.has_remaining() {
        writer.write_buf(&mut out).await?;
    }
    Ok(())
}

/// A reply, and its number among those of the connection. The greatest one is due first.
struct Numbered {
    due: Due,
    number: u64,
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due.at, other.number).cmp(&(self.due.at, self.number))
    }
}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numbered {}
