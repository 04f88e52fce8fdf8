//! TLS to a controller: what is trusted, what is refused, and that a repeat is not tried where it
//! cannot help. The crate `tls` tests the cases one by one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../tls/tests/common/accept.rs"]
mod accept;
#[path = "../../tls/tests/common/authority.rs"]
mod authority;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pravega_sdk_controller_client::{
    Controller, ControllerClient, ControllerConfig, ControllerError,
};
use pravega_sdk_proto::{
    ExistsResponse, ScopeInfo,
    controller_service_server::{ControllerService, ControllerServiceServer},
};
use pravega_sdk_tls::{TlsConfig, TlsError, TlsProblem};
use pravega_sdk_types::{ErrorKind, Outcome, RetryPolicy, Scope};
use tokio::{
    io::{AsyncReadExt as _, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use self::{
    accept::accept,
    authority::{Authority, server},
};

struct Server;

#[async_trait]
impl ControllerService for Server {
    async fn check_scope_exists(
        &self,
        _: Request<ScopeInfo>,
    ) -> Result<Response<ExistsResponse>, Status> {
        Ok(Response::new(ExistsResponse { exists: true }))
    }
}

/// Serves without TLS; returns the port.
async fn plain() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server =
        tonic::transport::Server::builder().add_service(ControllerServiceServer::new(Server));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

/// Serves with TLS and a certificate of an authority for `name`; returns the port. If `asks`,
/// clients need a certificate of the authority.
async fn serve(authority: &Authority, name: &str, asks: bool) -> u16 {
    let mut config = server(&authority.server(name), asks.then_some(authority));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = plain().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Some(mut socket) = accept(&acceptor, socket).await else { return };
                let mut inner = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                copy_bidirectional(&mut socket, &mut inner).await.ok();
            });
        }
    });
    port
}

async fn call(port: u16, tls: Option<TlsConfig>) -> Result<bool, ControllerError> {
    let delay = Duration::from_millis(1);
    let config = ControllerConfig::new(format!("tcp://localhost:{port}").parse().unwrap())
        .with_retry(RetryPolicy::new(delay, 1, delay, 3).unwrap())
        .with_tls(tls);
    ControllerClient::new(config)?.scope_exists(&Scope::new("shop").unwrap()).await
}

/// Fails at once, without a repeat, for a reason of TLS.
async fn refused(port: u16, tls: Option<TlsConfig>) -> String {
    let error = call(port, tls).await.unwrap_err();
    let facts = (error.kind(), error.outcome(), error.attempts());
    assert_eq!(facts, (ErrorKind::Tls, Outcome::NotApplied, 1), "{error:?}");
    std::error::Error::source(&error).unwrap().to_string()
}

#[tokio::test]
async fn a_trusted_controller_is_called() {
    let authority = Authority::new();
    let port = serve(&authority, "localhost", false).await;
    assert!(call(port, Some(authority.trusted())).await.unwrap());
    let port = serve(&authority, "localhost", true).await;
    let certified = authority.client(|_| {});
    let client = certified.of_client().with_trust_pem("test", authority.pem());
    assert!(call(port, Some(client)).await.unwrap());
    let port = serve(&authority, "controller.cluster.test", false).await;
    let named = authority.trusted().with_server_name("controller.cluster.test");
    assert!(call(port, Some(named)).await.unwrap());
}

#[tokio::test]
async fn a_controller_that_cannot_be_trusted_is_refused_once_with_the_reason() {
    let authority = Authority::new();
    let port = serve(&authority, "elsewhere", false).await;
    let reason = refused(port, Some(authority.trusted())).await;
    assert!(reason.contains("is for elsewhere; the host is localhost"), "{reason}");
    let reason = refused(port, Some(Authority::new().trusted())).await;
    assert!(reason.contains("certificate is"), "{reason}");
}

#[tokio::test]
async fn a_controller_that_asks_for_a_certificate_refuses_a_client_without_one() {
    let authority = Authority::new();
    let port = serve(&authority, "localhost", true).await;
    let reason = refused(port, Some(authority.trusted())).await;
    assert!(reason.contains("requires a certificate of the client"), "{reason}");
}

#[tokio::test]
async fn plain_to_tls_and_tls_to_plain_are_named_as_such() {
    let authority = Authority::new();
    let reason = refused(serve(&authority, "localhost", false).await, None).await;
    assert!(reason.contains("the server speaks TLS"), "{reason}");
    let reason = refused(plain().await, Some(authority.trusted())).await;
    assert!(reason.contains("the server does not speak TLS"), "{reason}");
}

/// Closes every connection after its first bytes, without a word: as the Java server does if it
/// speaks TLS only. With `reads` the end is one after all was read, else a reset.
async fn silent(reads: bool) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut received = [0; 1 << 12];
            let most = if reads { received.len() } else { 1 };
            let _len = socket.read(&mut received[..most]).await.unwrap_or(0);
        }
    });
    port
}

#[tokio::test]
async fn a_controller_that_closes_without_a_word_may_speak_tls_only_or_have_ended() {
    for reads in [true, false] {
        let error = call(silent(reads).await, None).await.unwrap_err();
        // As before any TLS: it is tried again, and the call may have been made.
        let facts = (error.kind(), error.outcome(), error.is_retryable(), error.attempts());
        assert_eq!(facts, (ErrorKind::Unavailable, Outcome::Unknown, true, 3), "{error:?}");
        let reason = std::error::Error::source(&error).unwrap();
        let reason = reason.downcast_ref::<TlsError>().unwrap();
        assert_eq!(reason.problem(), TlsProblem::ServerMayBeTlsOnly);
        assert!(reason.to_string().contains("its port may speak TLS only"), "{reason}");
        // What the connection said is not lost.
        assert!(std::error::Error::source(reason).is_some());
    }
    // A controller that refuses connections says nothing of TLS.
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = bound.local_addr().unwrap().port();
    let error = call(port, None).await.unwrap_err();
    assert!(!format!("{error:?}").contains("TLS"), "{error:?}");
}

#[tokio::test]
async fn unusable_files_are_refused_before_the_first_call() {
    let error = call(1, Some(TlsConfig::new().with_trust_file("/no/such/file"))).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Config, 0), "{error:?}");
}
