//! The network below the client: the system's, or one of a simulation.

use std::{fmt, io, net::SocketAddr};

use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_types::Endpoint;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// Looks names up, and connects to addresses. The caller sets deadlines, and may drop the futures
/// at any time.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Returns the addresses of a server.
    ///
    /// # Errors
    ///
    /// Any error means that the name is not found.
    fn look_up<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// Any error means that the address cannot be reached.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>>;
}

/// The network of the system.
#[derive(Debug)]
pub(crate) struct SystemNetwork;

impl Network for SystemNetwork {
    fn look_up<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        look_up(endpoint).boxed()
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        async move { Ok(Box::new(connect(address).await?) as Box<dyn ByteStream>) }.boxed()
    }
}

pub(crate) async fn look_up(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((endpoint.host(), endpoint.port())).await?.collect())
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
