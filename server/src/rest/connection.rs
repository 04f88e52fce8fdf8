//! One connection: one request, its response, and the end.

use std::{convert::Infallible, future::poll_fn, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    limits::{CALL_TIMEOUT, HEAD_TIMEOUT, LINGER, LINGER_BYTES, MAX_HEAD_LEN, MAX_HEADERS},
    routes,
    screen::Screen,
    socket::{Head, Socket},
};
use crate::{ports::Seat, state::ServerState, transport::Transport, turns::Turns};

/// The service: its paths, and what is refused before.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    screen: Arc<Screen>,
    router: Router,
    turns: Turns,
}

impl Service {
    /// A service that clients may call by these hosts, besides addresses and `localhost`.
    pub(crate) fn new(state: Arc<ServerState>, hosts: Vec<String>) -> Self {
        let turns = state.turns.clone();
        Self { screen: Arc::new(Screen::new(hosts)), router: routes::router(state), turns }
    }
}

/// Serves a client until its response is sent, or its seat is taken. After `stop`, a request that
/// has not begun is not waited for.
pub(crate) async fn serve(
    stream: Transport,
    service: Service,
    seat: Seat,
    stop: CancellationToken,
) {
    let (seat, account) = (Arc::new(seat), service.turns.account());
    tokio::select! {
        () = account.meter(respond_once(stream, service, Arc::clone(&seat), stop)) => {}
        () = seat.cut() => {}
    }
}

async fn respond_once(
    stream: Transport,
    service: Service,
    seat: Arc<Seat>,
    stop: CancellationToken,
) {
    let head = Arc::new(Head::default());
    let socket = Socket::new(stream, seat, Arc::clone(&head));
    let respond = service_fn(move |request| {
        let (head, service) = (Arc::clone(&head), service.clone());
        Box::pin(async move { Ok::<_, Infallible>(respond(service, &head, request).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LEN)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), respond);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the REST service ends");
                }
                break;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    end(connection.into_parts().io.into_inner().into_stream()).await;
}

/// Responds to a request.
async fn respond(service: Service, head: &Head, request: Request<Incoming>) -> Response {
    let Service { screen, router, .. } = service;
    let mut request = request.map(Body::new);
    without_last_slash(request.uri_mut());
    if let Err(refusal) = screen.check(head, &request) {
        return refusal.into_response();
    }
    match timeout(CALL_TIMEOUT, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(response)) => response,
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

/// Pravega's own service takes a path that ends in a slash like the one without.
fn without_last_slash(uri: &mut Uri) {
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return };
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = path.parse().ok();
    // A part of a valid target is valid.
    *uri = parts.try_into().unwrap_or_default();
}

/// Ends the connection so that the client receives its response, also if it is still sending.
async fn end(mut stream: Transport) {
    let drain = async {
        stream.shutdown().await?;
        let (mut buffer, mut drained) = ([0; 4096], 0);
        while drained < LINGER_BYTES {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => drained += read,
            }
        }
        std::io::Result::Ok(())
    };
    timeout(LINGER, drain).await.ok();
}
