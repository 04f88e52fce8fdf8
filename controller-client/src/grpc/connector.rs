//! Connects to a controller: the look-up of its name, then TCP, within one deadline; then TLS.
//!
//! gRPC's own limit begins after the look-up. A name server that does not answer would hold up the
//! next controller for as long as the system waits for it.

use std::{
    error::Error,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use pravega_sdk_tls::{PeerFault, PlainStream, TlsConnector};
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
    security: Security,
}

/// What protects a connection.
pub(super) struct Security {
    /// `None` means no TLS.
    pub(super) tls: Option<Arc<TlsConnector>>,
    pub(super) fault: PeerFault,
}

impl Security {
    async fn secure(
        self,
        io: Box<dyn ByteStream>,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn ByteStream>, BoxError> {
        Ok(match self.tls {
            None => Box::new(PlainStream::new(io, self.fault)),
            Some(tls) => Box::new(tls.connect(io, endpoint, self.fault).await?),
        })
    }
}

/// One that the gRPC library hands on as a cause.
type BoxError = Box<dyn Error + Send + Sync>;

impl Connector {
    pub(super) fn new(
        endpoint: Endpoint,
        network: Arc<dyn Network>,
        limit: Duration,
        bugs: Bugs,
        security: Security,
    ) -> Self {
        Self { target: Some(Target { endpoint, network, limit, bugs, security }) }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn ByteStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.target.take();
        async move {
            let Some(Target { endpoint, network, limit, bugs, security }) = target else {
                let detail = "the connection has ended";
                return Err(io::Error::new(io::ErrorKind::NotConnected, detail).into());
            };
            let io = dial_within(limit, bugs, &endpoint, &*network).await?;
            Ok(TokioIo::new(security.secure(io, &endpoint).await?))
        }
        .boxed()
    }
}
