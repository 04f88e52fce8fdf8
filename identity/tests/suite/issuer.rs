//! An issuer on a port of this machine: Keycloak, unless a test has another answer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pravega_sdk_controller_client::{CredentialError, Credentials};
use pravega_sdk_identity::Keycloak;
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

use crate::accept::accept;

/// A deadline far beyond the time of any step on a busy machine.
pub(crate) const FAR: Duration = Duration::from_secs(60);
/// The secret of the client, which must be shown nowhere.
pub(crate) const SECRET: &str = "canary-of-the-client";

/// A request as it has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn is_discovery(&self) -> bool {
        self.method == "GET"
    }

    pub(crate) fn is_login(&self) -> bool {
        self.body.contains("grant_type=client_credentials")
    }

    pub(crate) fn is_for_permissions(&self) -> bool {
        self.body.contains("uma-ticket")
    }
}

/// What the issuer answers.
pub(crate) enum Reply {
    /// This status with this body.
    Json(u16, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, again and again.
    Endless(&'static [u8]),
    /// One byte of a body now and then.
    Trickle,
    /// Nothing.
    Silence,
    /// The usual answer, after this time.
    Late(Duration),
}

type Script = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// The issuer. It has a runtime of its own, so that those of tests may end.
pub(crate) struct Issuer {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    runtime: Option<Runtime>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Issuer {
    /// Starts an issuer that answers as Keycloak does.
    pub(crate) fn usual() -> Self {
        Self::start(|_| None)
    }

    /// Starts an issuer with answers of a test; `None` means the usual one.
    pub(crate) fn start(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::start_with(None, Arc::new(script))
    }

    pub(crate) fn start_with(tls: Option<TlsAcceptor>, script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = Server {
            base: format!("{scheme}://localhost:{}", address.port()),
            script,
            seen: Arc::clone(&seen),
            tokens: Arc::new(AtomicU64::new(0)),
        };
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Some(stream) = accept(&tls, socket).await {
                                server.serve(stream).await;
                            }
                        }
                        None => server.serve(socket).await,
                    }
                });
            }
        });
        Self { address, scheme, seen, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Returns the client of a realm of this issuer.
    pub(crate) fn keycloak(&self) -> Keycloak {
        Keycloak::new(&self.url(), "r 1", "client", SECRET).unwrap().with_timeout(FAR)
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.keycloak().credentials().unwrap()
    }

    /// Returns the requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Counts the requests so far.
    pub(crate) fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| which(seen)).count()
    }
}

#[derive(Clone)]
struct Server {
    base: String,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    tokens: Arc<AtomicU64>,
}

impl Server {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(seen) = receive(&mut stream).await else {
            stream.write_all(&whole(400, "")).await.ok();
            return;
        };
        self.seen.lock().unwrap().push(seen.clone());
        let reply = (self.script)(&seen).unwrap_or(Reply::Late(Duration::ZERO));
        self.answer(&mut stream, &seen, reply).await.ok();
    }

    async fn answer(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        seen: &Seen,
        reply: Reply,
    ) -> std::io::Result<()> {
        match reply {
            Reply::Late(time) => {
                tokio::time::sleep(time).await;
                let (status, body) = self.usual(seen);
                stream.write_all(&whole(status, &body)).await?;
            }
            Reply::Json(status, body) => stream.write_all(&whole(status, &body)).await?,
            Reply::Raw(bytes) => stream.write_all(&bytes).await?,
            Reply::Endless(bytes) => loop {
                stream.write_all(bytes).await?;
            },
            Reply::Trickle => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Reply::Silence => std::future::pending().await,
        }
        stream.shutdown().await
    }

    /// The answers of Keycloak. Each token has its number.
    fn usual(&self, seen: &Seen) -> (u16, String) {
        let realm = format!("{}/realms/r%201", self.base);
        if seen.is_discovery() {
            let page = format!(
                "{{\"issuer\":\"{realm}\",\
                 \"token_endpoint\":\"{realm}/protocol/openid-connect/token\"}}"
            );
            return (200, page);
        }
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        (200, token(if seen.is_login() { "access" } else { "permitted" }, number, "300"))
    }
}

/// Returns an answer with a token.
pub(crate) fn token(name: &str, number: u64, expires_in: &str) -> String {
    format!(
        "{{\"access_token\":\"{name}-{number}\",\"expires_in\":{expires_in},\
         \"token_type\":\"Bearer\",\"refresh_token\":\"r\",\"not-before-policy\":0}}"
    )
}

fn whole(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Text\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads a request. `None` means that it is none, such as a handshake of TLS.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |text| text.parse().unwrap());
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
        let is_text = bytes.first().is_none_or(u8::is_ascii_uppercase);
        if !is_text || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut words = head.split(' ');
    Some(Seen {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        authorization: header(&head, "authorization"),
        body,
    })
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// Returns the token that a call would send now.
pub(crate) async fn sent(credentials: &Credentials) -> Result<String, CredentialError> {
    let header = credentials.authorization().await?.unwrap().header_value();
    let token = header.expose_secret().strip_prefix("Bearer ").unwrap().to_owned();
    Ok(token)
}

/// Returns all that an error and its causes show.
pub(crate) fn shown(error: &CredentialError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text += &format!(" {next} {next:?}");
        cause = next.source();
    }
    text
}
