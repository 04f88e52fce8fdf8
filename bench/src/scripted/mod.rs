//! A scripted cluster: a controller that knows one stream of one segment, and a store that
//! acknowledges after a delay and keeps nothing.
//!
//! It shares no code with the simulation, whose build of the SDK contains seeded bugs: benchmarks
//! measure the build that ships.

mod store;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use pravega_sdk::types::ScopedStream;
use pravega_sdk_proto::{
    DelegationToken, NodeUri, SegmentId, SegmentRange, SegmentRanges, StreamInfo,
    controller_service_server::{ControllerService, ControllerServiceServer},
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use self::store::{Acknowledgements, Store};

/// A running cluster, which is stopped when the value is dropped.
#[derive(Debug)]
pub(crate) struct Scripted {
    controller: SocketAddr,
    stream: ScopedStream,
    // One thread: the measured client has the other core for itself.
    runtime: Option<Runtime>,
}

impl Scripted {
    /// Starts a cluster whose store acknowledges after `delay`, or never.
    pub(crate) fn start(delay: Option<Duration>) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stream: ScopedStream = "bench/scripted".parse()?;
        let acknowledgements = delay.map_or(Acknowledgements::Never, Acknowledgements::After);
        let store = Store::new(acknowledgements);
        let (controllers, stores) = runtime.block_on(async {
            anyhow::Ok((
                TcpListener::bind("127.0.0.1:0").await?,
                TcpListener::bind("127.0.0.1:0").await?,
            ))
        })?;
        let controller = controllers.local_addr()?;
        let service = ControllerServiceServer::new(OneStream { store: stores.local_addr()? });
        let serving = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(serving.serve_with_incoming(TcpListenerStream::new(controllers)));
        runtime.spawn(async move {
            while let Ok((socket, _)) = stores.accept().await {
                socket.set_nodelay(true).ok();
                tokio::spawn(store.clone().serve(socket));
            }
        });
        Ok(Self { controller, stream, runtime: Some(runtime) })
    }

    pub(crate) fn uri(&self) -> String {
        format!("tcp://{}", self.controller)
    }

    pub(crate) fn stream(&self) -> ScopedStream {
        self.stream.clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct OneStream {
    store: SocketAddr,
}

#[async_trait::async_trait]
impl ControllerService for OneStream {
    async fn get_current_segments(
        &self,
        request: Request<StreamInfo>,
    ) -> Result<Response<SegmentRanges>, Status> {
        let segment_id = Some(SegmentId { stream_info: Some(request.into_inner()), segment_id: 0 });
        let segment_ranges = vec![SegmentRange { segment_id, min_key: 0.0, max_key: 1.0 }];
        Ok(Response::new(SegmentRanges { segment_ranges, ..SegmentRanges::default() }))
    }

    async fn get_uri(&self, _: Request<SegmentId>) -> Result<Response<NodeUri>, Status> {
        let endpoint = self.store.ip().to_string();
        Ok(Response::new(NodeUri { endpoint, port: self.store.port().into() }))
    }

    async fn get_delegation_token(
        &self,
        _: Request<StreamInfo>,
    ) -> Result<Response<DelegationToken>, Status> {
        Ok(Response::new(DelegationToken::default()))
    }
}
