//! A party that signs tokens for clients, and a server that publishes its keys.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The audience of the tokens.
pub const AUDIENCE: &str = "pravega-controller";

/// The time, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A key pair with an id.
pub struct Signer {
    id: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    /// Makes a key pair.
    pub fn new(id: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), pair }
    }

    /// The public key, as a key set has it.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y })
    }

    /// The header of a token.
    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.id })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// Signs a header and claims as they are.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// The key set of some signers.
pub fn key_set(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// Claims of a user for five minutes.
pub fn claims(user: &str) -> Value {
    json!({ "sub": user, "aud": AUDIENCE, "iat": now(), "exp": now() + 300 })
}

/// A realm on this machine, with its configuration and its keys.
pub struct Realm {
    url: String,
    /// The keys that are published; `None` while the server answers nothing.
    keys: Arc<Mutex<Option<String>>>,
    /// The token that each client gets.
    token: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Realm {
    /// Starts the server.
    pub async fn start(keys: Option<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/realms/test", listener.local_addr().unwrap());
        let (keys, fetches) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let token = Arc::new(Mutex::new(String::new()));
        let mut serving = JoinSet::new();
        let (of_task, published, counted) = (url.clone(), Arc::clone(&keys), Arc::clone(&fetches));
        let issued = Arc::clone(&token);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (url, keys) = (of_task.clone(), published.lock().unwrap().clone());
                let token = issued.lock().unwrap().clone();
                connections.spawn(answer(socket, (url, keys, token), Arc::clone(&counted)));
            }
        });
        Self { url, keys, token, fetches, _serving: serving }
    }

    /// The URL, which is the issuer of its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Publishes other keys; with `None` the server answers nothing any more.
    pub fn publish(&self, keys: Option<String>) {
        *self.keys.lock().unwrap() = keys;
    }

    /// Sets the token that each client gets, which it takes to be valid for five minutes.
    pub fn issue(&self, token: String) {
        *self.token.lock().unwrap() = token;
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

async fn answer(
    mut socket: TcpStream,
    (url, keys, token): (String, Option<String>, String),
    fetches: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(byte);
    }
    let Some(keys) = keys else { return std::future::pending().await };
    let body = if head.starts_with(b"GET /realms/test/.well-known/openid-configuration ") {
        let certificates = format!("{url}/protocol/openid-connect/certs");
        let tokens = format!("{url}/token");
        json!({ "issuer": url, "jwks_uri": certificates, "token_endpoint": tokens }).to_string()
    } else if head.starts_with(b"POST /realms/test/token ") {
        // A connection that is closed with unread bytes is reset.
        let form = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let len = form.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut form = vec![0; len.and_then(|len| len.parse().ok()).unwrap_or_default()];
        socket.read_exact(&mut form).await.ok();
        json!({ "access_token": token, "expires_in": 300 }).to_string()
    } else if head.starts_with(b"GET /realms/test/protocol/openid-connect/certs ") {
        fetches.fetch_add(1, Ordering::Relaxed);
        keys
    } else {
        return;
    };
    let len = body.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
    );
    socket.write_all(response.as_bytes()).await.ok();
}
