//! One request and its answer, over a connection of its own.
//!
//! Requests are rare, a few for each token, so a connection is not kept.

use std::{error::Error, pin::pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Response,
    body::Incoming,
    client::conn::http1::Builder,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
        LOCATION, RETRY_AFTER,
    },
};
use hyper_util::rt::TokioIo;
use pravega_sdk_controller_client::dial;
use pravega_sdk_tls::{PeerFault, PlainStream, TlsConnector};
use secrecy::{ExposeSecret as _, zeroize::Zeroizing};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    answer::{Answer, MAX_LEN, Unanswered},
    request::Request,
};

/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// The capacity of a body at first. Most are shorter.
const USUAL_LEN: usize = 16 * 1024;

/// Sends a request, and reads its answer. The limit covers the look-up of the name, the connection,
/// TLS, the request and the whole answer.
pub(crate) async fn send(
    tls: &TlsConnector,
    request: &Request,
    limit: Duration,
) -> Result<Answer, Unanswered> {
    // Boxed, as the futures of TLS and HTTP are large.
    match timeout(limit, Box::pin(exchange(tls, request))).await {
        Ok(result) => result,
        Err(_) => Err(Unanswered::Late(limit)),
    }
}

async fn exchange(tls: &TlsConnector, request: &Request) -> Result<Answer, Unanswered> {
    let endpoint = request.to.endpoint();
    let socket = dial(endpoint).await.map_err(Unanswered::Unreachable)?;
    let fault = PeerFault::default();
    let result = if request.to.is_tls() {
        let connecting = tls.connect(socket, endpoint, fault.clone());
        talk(connecting.await.map_err(Unanswered::Insecure)?, request).await
    } else {
        talk(PlainStream::new(socket, fault.clone()), request).await
    };
    // The library knows of the end of a connection only, not of its reason.
    result.map_err(|failure| fault.reason().map_or(failure, Unanswered::Insecure))
}

async fn talk<S>(stream: S, request: &Request) -> Result<Answer, Unanswered>
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
        read(response).await
    });
    tokio::select! {
        biased;
        answer = &mut answering => answer,
        // What has arrived before the end may be a whole answer.
        _ = connection => answering.await,
    }
}

fn message(request: &Request) -> hyper::http::Result<hyper::Request<Full<Bytes>>> {
    let method = if request.body.is_some() { Method::POST } else { Method::GET };
    let mut builder = hyper::Request::builder()
        .method(method)
        .uri(request.to.path())
        .header(HOST, request.to.authority())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(CONNECTION, HeaderValue::from_static("close"));
    if let Some(authorization) = &request.authorization {
        let mut value = HeaderValue::from_str(authorization.expose_secret())?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    let body = match &request.body {
        Some(form) => {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            builder = builder.header(CONTENT_TYPE, kind);
            Bytes::copy_from_slice(form.expose_secret().as_bytes())
        }
        None => Bytes::new(),
    };
    builder.body(Full::<Bytes>::from(body))
}

async fn read(response: Response<Incoming>) -> Result<Answer, Unanswered> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Zeroizing::new(Vec::with_capacity(USUAL_LEN));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(failed)?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > MAX_LEN {
            return Err(Unanswered::TooLong);
        }
        append(&mut body, data);
    }
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after: text_of(&head.headers, &RETRY_AFTER)
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs),
        location: text_of(&head.headers, &LOCATION).map(str::to_owned),
        body,
    })
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
    let reason = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
    if error.is_parse() { Unanswered::NotHttp(reason) } else { Unanswered::Lost(reason) }
}
