//! The faults of [`link`] for real sockets: a TCP proxy.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    link::{self, End},
    network::Plan,
};

/// Forwards connections of a port of its own to a server, each over a link with the faults of a
/// plan.
///
/// It listens on 127.0.0.1. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts to forward connections to `target`.
    ///
    /// # Errors
    ///
    /// Those of binding a port.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    pub async fn start(target: SocketAddr, mut plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (up, down) = plan();
                connections.spawn(async move {
                    if let Ok(server) = TcpStream::connect(target).await {
                        let (near, far) = link::pair(up, down);
                        tokio::join!(forward(socket, near), forward(server, far));
                    }
                });
            }
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Forwards bytes between a socket and an end of a link until either fails. A failure of the link
/// resets the socket.
async fn forward(socket: TcpStream, end: End) {
    socket.set_nodelay(true).ok();
    let (from_socket, to_socket) = socket.into_split();
    let (from_link, to_link) = tokio::io::split(end);
    // The end of one direction leaves the other open; a failure ends both.
    tokio::try_join!(copy(from_socket, to_link), copy(from_link, to_socket)).ok();
}

/// Forwards each piece as soon as it arrives.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            len => to.write_all(&buffer[..len]).await?,
        }
    }
}
