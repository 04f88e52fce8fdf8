//! A simulated segment store: one connection after the other, each a session of the server's
//! machine.

use bytes::{Buf as _, BytesMut};
use pravega_sdk_server_core::{ids::StoreIndex, store::Session};
use pravega_sdk_wire_protocol::{Decoder, SendBuffer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::sleep_until,
};

use crate::{
    World,
    cluster::{Due, Ended, Replies},
};

/// Serves one connection until it ends. Commands that arrived before its end take effect.
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
pub async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(world: World, store: usize, io: S) {
    let (reader, writer) = tokio::io::split(io);
    let (replies, due) = mpsc::unbounded_channel();
    let replies = Replies(replies);
    let receiving = async move {
        let mut session = world.lock().cluster.connect(StoreIndex(store), &replies);
        let Ended = receive(reader, &world, &mut session, &replies).await;
        drop(replies);
        world.lock().cluster.disconnect(&mut session);
    };
    tokio::join!(receiving, send(writer, due));
}

async fn receive(
    mut reader: impl AsyncRead + Unpin,
    world: &World,
    session: &mut Session,
    replies: &Replies,
) -> Ended {
    let mut received = BytesMut::new();
    loop {
        loop {
            match Decoder::default().decode(&mut received) {
                Ok(Some(command)) => {
                    let handled = world.lock().cluster.handle(command, session, replies);
                    if let Err(ended) = handled {
                        return ended;
                    }
                }
                Ok(None) => break,
                Err(_) => return Ended,
            }
        }
        if !matches!(reader.read_buf(&mut received).await, Ok(1..)) {
            return Ended;
        }
    }
}

async fn send(mut writer: impl AsyncWrite + Unpin, mut due: mpsc::UnboundedReceiver<Due>) {
    while let Some(Due { at, reply }) = due.recv().await {
        sleep_until(at).await;
        let mut out = SendBuffer::new();
        reply.encode(&mut out).expect("a reply fits a frame");
        while out.has_remaining() {
            if writer.write_buf(&mut out).await.is_err() {
                return;
            }
        }
    }
    // Closing is the server's only answer to a broken rule.
    writer.shutdown().await.ok();
}
