//! One request: no redirection, no compression, no more bytes than are allowed. The caller bounds
//! its time.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
};

use bytes::Bytes;
use http_body::Body as _;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    failure::{FetchFailure, shown},
    tls::Trust,
    url::Url,
};

/// The longest head of a response, and the length of the buffers of a connection, in bytes.
const HEAD: usize = 32 << 10;
/// The most fields of a head.
const FIELDS: usize = 64;

/// Asks for what is at an address, with at most some bytes.
pub(super) async fn get(url: &Url, trust: &Trust, most: usize) -> Result<Vec<u8>, FetchFailure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        FetchFailure::new(format!("{url}: {what}: {error}"))
    };
    let socket = TcpStream::connect((&*url.host, url.port))
        .await
        .map_err(|error| failed("cannot connect", &error))?;
    if !url.has_tls {
        return exchange(socket, url, most).await;
    }
    let stream = trust.connect(&url.host, socket).await.map_err(|why| failed("TLS", &why))?;
    exchange(stream, url, most).await
}

/// Makes the request on a connection, which ends with it.
async fn exchange<S>(stream: S, url: &Url, most: usize) -> Result<Vec<u8>, FetchFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed =
        |what: &str, error: hyper::Error| FetchFailure::new(format!("{url}: {what}: {error}"));
    let request = Request::get(&*url.path)
        .header(HOST, &*url.authority)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("pravega-sdk/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        // An empty body.
        .body(String::new())
        .map_err(|error| FetchFailure::new(format!("{url}: {error}")))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .max_headers(FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed("HTTP", error))?;
    let exchanged = async {
        let response =
            sender.send_request(request).await.map_err(|error| failed("no response", error))?;
        body(check(response, url)?, url, most).await
    };
    let mut exchanged = pin!(exchanged);
    let mut connection = pin!(connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            done = &mut exchanged => return done,
            // What it ends with is what the exchange ends with.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

/// Refuses every response but the one with what was asked for.
fn check(response: Response<Incoming>, url: &Url) -> Result<Incoming, FetchFailure> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response.into_body());
    }
    let location = response.headers().get(LOCATION);
    let location = location.map(|to| shown(&String::from_utf8_lossy(to.as_bytes())));
    let to = location.map_or(String::new(), |to| format!("; it leads to {to}, not followed"));
    Err(FetchFailure::new(format!("{url}: the response is {status}{to}")))
}

async fn body(mut body: Incoming, url: &Url, most: usize) -> Result<Vec<u8>, FetchFailure> {
    let too_long = || FetchFailure::new(format!("{url}: the response has more than {most} bytes"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_long());
    }
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            FetchFailure::new(format!("{url}: the response ends early: {error}"))
        })?;
        // Trailers are of no interest.
        let data: Bytes = frame.into_data().unwrap_or_default();
        if data.len() > most - all.len() {
            return Err(too_long());
        }
        all.extend_from_slice(&data);
    }
    Ok(all)
}
