//! A connection to a segment store of which a test sees every reply, and every end.

use std::time::Duration;

use bytes::BytesMut;
use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_wire_protocol::{Decoder, SendBuffer, WireCommand, commands::*};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Reaction of a server to a request.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are never more than a few")]
pub(crate) enum Did {
    Replied(WireCommand),
    Closed,
    /// It sent no reply, as to a read at the end of a segment.
    Nothing,
}

/// A connection that reconnects after the server closes it.
pub(crate) struct Store {
    address: String,
    socket: TcpStream,
    received: BytesMut,
}

impl Store {
    pub(crate) async fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut store = Self { address: address.to_owned(), socket, received: BytesMut::new() };
        let hello = store.ask(&[Hello { high_version: 16, low_version: 5 }.into()], FAR).await;
        assert!(matches!(hello, Did::Replied(WireCommand::Hello(_))), "{hello:?}");
        store
    }

    pub(crate) async fn ask(&mut self, commands: &[WireCommand], patience: Duration) -> Did {
        let mut out = SendBuffer::new();
        for command in commands {
            command.encode(&mut out).unwrap();
        }
        if self.socket.write_all(&out.to_vec()).await.is_err() {
            return Did::Closed;
        }
        self.next(patience).await
    }

    pub(crate) async fn next(&mut self, patience: Duration) -> Did {
        loop {
            if let Some(command) = Decoder::default().decode(&mut self.received).unwrap() {
                return Did::Replied(command);
            }
            match timeout(patience, self.socket.read_buf(&mut self.received)).await {
                Err(_) => return Did::Nothing,
                Ok(Ok(0) | Err(_)) => return Did::Closed,
                Ok(Ok(_)) => {}
            }
        }
    }

    pub(crate) async fn again(&mut self) {
        let address = self.address.clone();
        *self = Box::pin(Self::connect(&address)).await;
    }
}
