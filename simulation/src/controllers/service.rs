//! What the controllers answer, over gRPC.

use std::{
    future::pending,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pravega_sdk_proto::{
    CreateScopeStatus, ExistsResponse, NodeUri, ScaleRequest, ScaleResponse, ScopeInfo,
    ServerRequest, ServerResponse,
    controller_service_server::{ControllerService, ControllerServiceServer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tonic::{
    Request, Response, Status,
    transport::server::{Connected, Server},
};

use super::{
    cluster::{Cluster, Health, listed},
    theme::Listing,
};
use crate::link::End;

/// Serves a controller.
pub(super) async fn serve(cluster: Cluster, node: usize, accepted: mpsc::UnboundedReceiver<End>) {
    let incoming = futures_util::stream::unfold(accepted, |mut accepted| async move {
        let end = accepted.recv().await?;
        Some((Ok::<_, io::Error>(Accepted(end)), accepted))
    });
    let service = ControllerServiceServer::new(Service { cluster, node });
    Server::builder().add_service(service).serve_with_incoming(incoming).await.ok();
}

/// A connection that a controller has accepted.
struct Accepted(End);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Service {
    cluster: Cluster,
    node: usize,
}

impl Service {
    /// Carries a request out, as the health of the controller allows.
    async fn act(&self, call: Option<&str>) -> Result<(), Status> {
        let cluster = &self.cluster;
        if let Some(call) = call {
            cluster.receive(call);
        }
        let carry_out = || call.into_iter().for_each(|call| cluster.carry_out(call));
        cluster.take_time().await;
        match cluster.health(self.node) {
            Health::Healthy | Health::NoNameServer => carry_out(),
            Health::Refuses | Health::Unanswered | Health::Silent => pending().await,
            Health::Unavailable => return Err(Status::unavailable("scripted")),
            Health::Broken => {
                if cluster.is_lucky() {
                    carry_out();
                }
                return Err(Status::internal("scripted"));
            }
            Health::LosesAnswers => {
                carry_out();
                cluster.count("answer lost");
                if cluster.is_lucky() {
                    cluster.reset(self.node);
                }
                pending::<()>().await;
            }
        }
        cluster.take_time().await;
        Ok(())
    }
}

#[async_trait]
impl ControllerService for Service {
    async fn get_controller_server_list(
        &self,
        _: Request<ServerRequest>,
    ) -> Result<Response<ServerResponse>, Status> {
        self.act(None).await?;
        let listing = self.cluster.listing();
        self.cluster.count("discovery");
        match listing {
            Listing::Fails => return Err(Status::unknown("no cluster")),
            Listing::Hangs => pending::<()>().await,
            _ => {}
        }
        let names = listed(listing, self.cluster.len()).into_iter();
        let node_uri = names.map(|(endpoint, port)| NodeUri { endpoint, port }).collect();
        Ok(Response::new(ServerResponse { node_uri }))
    }

    async fn create_scope(
        &self,
        request: Request<ScopeInfo>,
    ) -> Result<Response<CreateScopeStatus>, Status> {
        self.act(Some(&request.get_ref().scope)).await?;
        Ok(Response::new(CreateScopeStatus { status: 0 }))
    }

    async fn check_scope_exists(
        &self,
        request: Request<ScopeInfo>,
    ) -> Result<Response<ExistsResponse>, Status> {
        self.act(Some(&request.get_ref().scope)).await?;
        Ok(Response::new(ExistsResponse { exists: true }))
    }

    async fn scale(
        &self,
        request: Request<ScaleRequest>,
    ) -> Result<Response<ScaleResponse>, Status> {
        let stream = request.get_ref().stream_info.as_ref();
        self.act(stream.map(|stream| stream.stream.as_str())).await?;
        Ok(Response::new(ScaleResponse::default()))
    }
}
