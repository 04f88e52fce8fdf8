//! Connects to a controller: the look-up of its name, then TCP, within one deadline.
//!
//! gRPC's own limit begins after the look-up. A name server that does not answer would hold up the
//! next controller for as long as the system waits for it.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use pravega_sdk_types::Endpoint;
use tonic::{codegen::Service, transport::Uri};

use crate::{
    dial::dial_within,
    machine::Bugs,
    network::{ByteStream, Network},
};

/// Opens the one connection of a channel. What needs another one after its end fails at once, so
/// that the client decides who connects again, and until when.
pub(super) struct Connector {
    target: Option<Target>,
}

struct Target {
    endpoint: Endpoint,
    network: Arc<dyn Network>,
    limit: Duration,
    bugs: Bugs,
}

impl Connector {
    pub(super) fn new(
        endpoint: Endpoint,
        network: Arc<dyn Network>,
        limit: Duration,
        bugs: Bugs,
    ) -> Self {
        Self { target: Some(Target { endpoint, network, limit, bugs }) }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn ByteStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.target.take();
        async move {
            let Some(Target { endpoint, network, limit, bugs }) = target else {
                let detail = "the connection has ended";
                return Err(io::Error::new(io::ErrorKind::NotConnected, detail));
            };
            Ok(TokioIo::new(dial_within(limit, bugs, &endpoint, &*network).await?))
        }
        .boxed()
    }
}
