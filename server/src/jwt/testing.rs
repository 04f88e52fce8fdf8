//! A party that signs tokens and publishes its keys, for tests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use pravega_sdk_server_core::record::Millis;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use crate::locks::lock;

/// The present of the tests, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// The audience of the tokens.
pub(super) const AUDIENCE: &str = "pravega-controller";

pub(super) fn now() -> Millis {
    Millis(NOW * 1000)
}

/// A key pair with an id.
pub(super) struct Signer {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(super) fn new(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { id, pair: Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap() }
    }

    fn jwk(&self) -> Value {
        let x = BASE64.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x })
    }

    /// A token of a user, for five minutes.
    pub(super) fn token(&self, user: &str) -> String {
        self.sign(json!({ "sub": user, "aud": AUDIENCE, "exp": NOW + 300 }))
    }

    pub(super) fn sign(&self, claims: Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.id }).to_string();
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims.to_string()));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature.as_ref()))
    }
}

/// The key set of some signers.
pub(super) fn set(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// What a server of keys answers.
#[derive(Clone)]
pub(super) enum Says {
    /// This, with the code 200.
    Text(String),
    /// All of a response.
    Raw(String),
    /// All of a response, and then nothing while the connection is open.
    Hangs(String),
    /// The start of a response, and then this again and again.
    Endless(String, &'static [u8]),
}

/// A server of keys on this machine.
pub(super) struct Publisher {
    pub(super) port: u16,
    says: Arc<Mutex<Says>>,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Publisher {
    pub(super) async fn start(says: Says) -> Self {
        Self::start_with(says, |socket| std::future::ready(Some(socket))).await
    }

    /// A server that makes something of each connection first.
    pub(super) async fn start_with<S, F>(
        says: Says,
        enter: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (says, requests) = (Arc::new(Mutex::new(says)), Arc::new(AtomicUsize::new(0)));
        let (said, counted) = (Arc::clone(&says), Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (entering, said, counted) = (enter(socket), said.clone(), counted.clone());
                connections.spawn(async move {
                    if let Some(stream) = entering.await {
                        answer(stream, &said, &counted).await;
                    }
                });
            }
        });
        Self { port, says, requests, serving }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn say(&self, says: Says) {
        *lock(&self.says) = says;
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Answers the one request of a connection.
async fn answer<S>(mut stream: S, says: &Mutex<Says>, requests: &AtomicUsize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let says = lock(says).clone();
    match says {
        Says::Text(body) => {
            let len = body.len();
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await.ok();
        }
        Says::Raw(text) => {
            stream.write_all(text.as_bytes()).await.ok();
        }
        Says::Hangs(text) => {
            stream.write_all(text.as_bytes()).await.ok();
            std::future::pending::<()>().await;
        }
        Says::Endless(text, rest) => {
            let mut written = stream.write_all(text.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(rest).await;
            }
        }
    }
    stream.shutdown().await.ok();
}
