//! A server on a port of this machine that answers as a test says.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use pravega_sdk_http::{Answer, HttpClient, Request, Unanswered, Url};
use pravega_sdk_tls::TlsConfig;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::accept::accept;

/// A limit far beyond the time of any step on a busy machine.
pub(crate) const FAR: Duration = Duration::from_secs(60);
/// The longest body that the clients of tests read.
pub(crate) const MAX_LEN: usize = 100_000;

/// What the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then nothing while the connection is open.
    Hangs(&'static str),
    /// The first bytes, then the others again and again.
    Endless(&'static str, &'static str),
    /// These bytes, then the connection ends without the end of TLS.
    Cut(&'static str),
}

/// Bytes that are a whole answer.
pub(crate) fn whole(status: &str, headers: &str, body: &str) -> Says {
    let len = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{headers}\r\n{body}");
    Says::Bytes(text.into_bytes())
}

pub(crate) fn bytes(text: &str) -> Says {
    Says::Bytes(text.as_bytes().to_vec())
}

pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn start(says: Says) -> Self {
        Self::start_at([127, 0, 0, 1].into(), says).await.unwrap()
    }

    pub(crate) async fn start_at(address: IpAddr, says: Says) -> Option<Self> {
        let listener = TcpListener::bind((address, 0)).await.ok()?;
        Some(Self::serve(listener, None, says))
    }

    pub(crate) async fn with_tls(config: ServerConfig, says: Says) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self::serve(listener, Some(TlsAcceptor::from(Arc::new(config))), says)
    }

    fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, says: Says) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, says, noted) = (tls.clone(), says.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    match tls {
                        None => answer(socket, says, &noted).await,
                        Some(tls) => {
                            let Some(stream) = accept(&tls, socket).await else { return };
                            answer(stream, says, &noted).await;
                        }
                    }
                });
            }
        });
        Self { port, seen, accepting: accepting.abort_handle() }
    }

    /// The requests so far, each as it has arrived.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    /// Asks for a page.
    pub(crate) async fn ask(&self, limit: Duration) -> Result<Answer, Unanswered> {
        client().send(&Request::get(self.url("/page")), limit).await
    }
}

pub(crate) fn client() -> HttpClient {
    HttpClient::new(&TlsConfig::new(), MAX_LEN)
}

/// Asks a server that says this for a page.
pub(crate) async fn asked(says: Says) -> Result<Answer, Unanswered> {
    Server::start(says).await.ask(FAR).await
}

async fn answer<S>(mut stream: S, says: Says, seen: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    while !is_whole(&request) {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
        if !byte.is_ascii() || byte == 0x16 {
            // The beginning of a handshake.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
            return;
        }
    }
    seen.lock().unwrap().push(String::from_utf8(request).unwrap());
    match says {
        Says::Bytes(bytes) => {
            stream.write_all(&bytes).await.ok();
            stream.shutdown().await.ok();
        }
        Says::Hangs(text) => {
            stream.write_all(text.as_bytes()).await.ok();
            stream.flush().await.ok();
            std::future::pending::<()>().await;
        }
        Says::Endless(text, rest) => {
            let mut written = stream.write_all(text.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(rest.as_bytes()).await;
            }
        }
        Says::Cut(text) => {
            stream.write_all(text.as_bytes()).await.ok();
            stream.flush().await.ok();
        }
    }
}

/// Returns true if a request has its head, and the body that the head announces.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= len.map_or(0, |len| len.parse().unwrap())
}
