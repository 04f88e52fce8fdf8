//! Ports in front of a port of an embedded server, with TLS where the server has none, or the
//! reverse. The server itself has TLS at all of its ports or at none.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::accept::accept;

/// The protocol of controllers.
const HTTP2: &[u8] = b"h2";

/// A port that forwards connections while it exists.
pub(crate) struct Proxy {
    port: u16,
    forwarded: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The number of connections that got through: of those with TLS, with a handshake that has
    /// succeeded.
    pub(crate) fn forwarded(&self) -> usize {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Forwards each connection by `forward`, which counts those that get through.
    async fn start<F>(forward: impl Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let forwarded = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&forwarded);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let forwarding = forward(socket, Arc::clone(&counter));
                connections.spawn(async move {
                    forwarding.await;
                });
            }
        });
        Self { port, forwarded, _tasks: tasks }
    }
}

/// A port with TLS in front of that of a controller without.
pub(crate) async fn with_tls(controller: u16, mut config: ServerConfig) -> Proxy {
    config.alpn_protocols = vec![HTTP2.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Proxy::start(move |socket, forwarded| {
        let acceptor = acceptor.clone();
        async move {
            let mut outside = accept(&acceptor, socket).await?;
            let mut inside = TcpStream::connect(("127.0.0.1", controller)).await.ok()?;
            forwarded.fetch_add(1, Ordering::Relaxed);
            copy_bidirectional(&mut outside, &mut inside).await.ok().map(drop)
        }
    })
    .await
}

/// A port without TLS in front of that of a controller with the certificate `trusted`.
pub(crate) async fn without_tls(controller: u16, trusted: &str) -> Proxy {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    Proxy::start(move |mut outside, forwarded| {
        let connector = connector.clone();
        async move {
            let name = ServerName::try_from("localhost").unwrap();
            let inside = TcpStream::connect(("127.0.0.1", controller)).await.ok()?;
            let mut inside = connector.connect(name, inside).await.ok()?;
            forwarded.fetch_add(1, Ordering::Relaxed);
            copy_bidirectional(&mut outside, &mut inside).await.ok().map(drop)
        }
    })
    .await
}
