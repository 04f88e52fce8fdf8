//! Connects to a controller: the look-up of its name, then TCP, within one deadline.
//!
//! gRPC's own limit begins after the look-up. A name server that does not answer would hold up the
//! next controller for as long as the system waits for it.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use pravega_sdk_types::Endpoint;
use tokio::net::TcpStream;
use tonic::{codegen::Service, transport::Uri};

use crate::dial::dial_within;

/// Opens connections to one controller, for its channel.
pub(super) struct Connector {
    endpoint: Endpoint,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(endpoint: Endpoint, limit: Duration) -> Self {
        Self { endpoint, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (endpoint, limit) = (self.endpoint.clone(), self.limit);
        async move { Ok(TokioIo::new(dial_within(limit, &endpoint).await?)) }.boxed()
    }
}
