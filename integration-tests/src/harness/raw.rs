//! A client of a segment store that sends commands as they are, and waits for the next reply.

use std::io;

use bytes::BytesMut;
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::FAR;

/// A connection to a store of this machine.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    received: BytesMut,
}

impl Client {
    /// Connects to a port.
    pub async fn to(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        Self { socket, received: BytesMut::new() }
    }

    /// Sends a command, unless the connection was closed.
    pub async fn send(&mut self, command: impl Into<WireCommand>) {
        let mut out = SendBuffer::new();
        command.into().encode(&mut out).unwrap();
        self.send_bytes(&out.to_vec()).await.ok();
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// Those of the socket, if the connection was closed.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Returns the next reply; `None` if the connection was closed.
    ///
    /// # Panics
    ///
    /// If neither comes by a far deadline.
    pub async fn next(&mut self) -> Option<WireCommand> {
        loop {
            if let Some(command) = Decoder::default().decode(&mut self.received).unwrap() {
                return Some(command);
            }
            let read = timeout(FAR, self.socket.read_buf(&mut self.received));
            match read.await.expect("no answer and no end") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a command, and returns the next reply.
    pub async fn ask(&mut self, command: impl Into<WireCommand>) -> Option<WireCommand> {
        self.send(command).await;
        self.next().await
    }
}
