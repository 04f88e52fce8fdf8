//! Sends a request, and reads its answer.

use std::{error::Error, io, pin::pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Response, Uri,
    body::{Body as _, Incoming},
    client::conn::http1::Builder,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
        LOCATION, RETRY_AFTER, USER_AGENT,
    },
    service::Service as _,
};
use hyper_util::{
    client::legacy::connect::HttpConnector, rt::TokioIo, service::TowerToHyperService,
};
use pravega_sdk_tls::{PeerFault, PlainStream, TlsConfig, TlsConnector, TlsError};
use secrecy::{ExposeSecret as _, zeroize::Zeroizing};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{Answer, Request, Unanswered, Url};

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// The capacity of a body at first. Most are shorter.
const USUAL_LEN: usize = 16 * 1024;
/// The protocol over TLS.
const HTTP1: &[u8] = b"http/1.1";
const AGENT: &str = concat!("pravega-sdk/", env!("CARGO_PKG_VERSION"));

/// Sends requests, each over a connection of its own.
#[derive(Debug)]
pub struct HttpClient {
    tls: TlsConnector,
    max_len: usize,
}

impl HttpClient {
    /// Creates a client whose answers have bodies of at most `max_len` bytes. No file of `tls` is
    /// read yet.
    #[must_use]
    pub fn new(tls: &TlsConfig, max_len: usize) -> Self {
        Self { tls: TlsConnector::offering(tls, HTTP1), max_len }
    }

    /// Reads the files of TLS now, so that a wrong one is found before the first request. It blocks
    /// for as long as that takes.
    ///
    /// # Errors
    ///
    /// As [`TlsConnector::check`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.tls.check()
    }

    /// Sends a request, and reads its answer. The limit covers the look-up of the name, the
    /// connection, TLS, the request and the whole answer.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] says why there is no answer. The server may have received the request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the server may have received the request.
    pub async fn send(&self, request: &Request, limit: Duration) -> Result<Answer, Unanswered> {
        // Boxed, as the futures of TLS and HTTP are large.
        match timeout(limit, Box::pin(self.exchange(request, limit))).await {
            Ok(result) => result,
            Err(_) => Err(Unanswered::Late(limit)),
        }
    }

    async fn exchange(&self, request: &Request, limit: Duration) -> Result<Answer, Unanswered> {
        let url = request.url();
        let socket = dial(url, limit).await?;
        let fault = PeerFault::default();
        let result = if url.is_tls() {
            let connecting = self.tls.connect(socket, url.endpoint(), fault.clone());
            self.talk(connecting.await.map_err(Unanswered::Insecure)?, request).await
        } else {
            self.talk(PlainStream::new(socket, fault.clone()), request).await
        };
        // The library knows of the end of a connection only, not of its reason.
        result.map_err(|failure| match (fault.reason(), failure) {
            (Some(reason), _) => Unanswered::Insecure(reason),
            (None, Unanswered::Lost(reason)) if fault.is_silent() => {
                Unanswered::Lost(format!("{reason}; its port may speak TLS only: https"))
            }
            (None, failure) => failure,
        })
    }

    async fn talk<S>(&self, stream: S, request: &Request) -> Result<Answer, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let message = message(request).map_err(|_| Unanswered::NotSent)?;
        let mut answering = pin!(async {
            let response = sender.send_request(message).await.map_err(failed)?;
            self.read(response).await
        });
        tokio::select! {
            biased;
            answer = &mut answering => answer,
            // What has arrived before the end may be a whole answer.
            _ = connection => answering.await,
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Unanswered> {
        let (head, mut incoming) = response.into_parts();
        let too_long = || Unanswered::TooLong(self.max_len);
        // A length that the server names is not waited for.
        if incoming.size_hint().lower() > self.max_len as u64 {
            return Err(too_long());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(USUAL_LEN.min(self.max_len)));
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(failed)?;
            let Some(data) = frame.data_ref() else { continue };
            if data.len() > self.max_len - body.len() {
                return Err(too_long());
            }
            append(&mut body, data);
        }
        let retry_after = text_of(&head.headers, &RETRY_AFTER)
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let location = text_of(&head.headers, &LOCATION).map(str::to_owned);
        let answer = Answer::new(head.status.as_u16(), std::mem::take(&mut *body));
        Ok(answer.with_retry_after(retry_after).with_location(location))
    }
}

/// Connects to the first address of a server that answers; one of many that is silent takes its
/// share of the limit.
async fn dial(url: &Url, limit: Duration) -> Result<TcpStream, Unanswered> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limit));
    let address = format!("http://{}", url.endpoint());
    let address: Uri = address.parse().map_err(|_| Unanswered::NotSent)?;
    match TowerToHyperService::new(connector).call(address).await {
        Ok(socket) => Ok(socket.into_inner()),
        Err(error) => Err(Unanswered::Unreachable(reason(&error))),
    }
}

/// The failure of the system, without the words of the library around it.
fn reason(error: &dyn Error) -> io::Error {
    let Some(source) = error.source() else { return io::Error::other(error.to_string()) };
    match source.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => {
            io::Error::new(io::ErrorKind::TimedOut, "not connected in time")
        }
        Some(kind) => io::Error::new(kind, source.to_string()),
        None => io::Error::other(source.to_string()),
    }
}

fn message(request: &Request) -> hyper::http::Result<hyper::Request<Full<Bytes>>> {
    let method = if request.form().is_some() { Method::POST } else { Method::GET };
    let mut builder = hyper::Request::builder()
        .method(method)
        .uri(request.url().target())
        .header(HOST, request.url().authority())
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(CONNECTION, HeaderValue::from_static("close"));
    if let Some(authorization) = request.authorization() {
        let mut value = HeaderValue::from_str(authorization.expose_secret())?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    let body = match request.form() {
        Some(form) => {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            builder = builder.header(CONTENT_TYPE, kind);
            Bytes::copy_from_slice(form.expose_secret().as_bytes())
        }
        None => Bytes::new(),
    };
    builder.body(Full::from(body))
}

/// Appends data. A body that grows leaves nothing of itself behind in memory.
fn append(body: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let len = body.len() + data.len();
    if body.capacity() < len {
        let mut grown = Zeroizing::new(Vec::with_capacity(len.max(2 * body.capacity())));
        grown.extend_from_slice(body);
        *body = grown;
    }
    body.extend_from_slice(data);
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn failed(error: hyper::Error) -> Unanswered {
    let source = error.source();
    let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    if error.is_parse() || io.is_some_and(is_malformed) {
        Unanswered::NotHttp(reason)
    } else {
        Unanswered::Lost(reason)
    }
}

/// Returns true if the library calls the parts of a body wrong. TLS has errors of the same kind.
fn is_malformed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        && !error.get_ref().is_some_and(|inner| inner.is::<TlsError>())
}
