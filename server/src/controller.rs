//! A connection to the controller: HTTP/2 on a socket, whose tasks share an account.

use std::sync::Arc;

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, codegen::http::Request};

use crate::{
    guard::Calls,
    limits::{CONNECTION_CALLS, FIRST_WORD},
    ports::Seat,
    tasks::{Spawner, Tasks},
    transport::Transport,
    watched::{Watch, Watched},
};

/// The largest headers of a call, in bytes.
const HEADERS: u32 = 8 << 10;
/// The window of a connection and of each call: what arrives although the server has taken less.
const WINDOW: u32 = (64 << 10) - 1;

/// Serves a client until it leaves, or its seat is taken. After `stop`, no more calls begin.
pub(crate) async fn serve(socket: Transport, calls: Calls, seat: Seat, stop: CancellationToken) {
    let account = calls.state().turns.account();
    let seat = Arc::new(seat);
    let (watch, tasks) = (Watch::new(Some(Arc::clone(&seat))), Arc::new(Tasks::default()));
    let replies = calls.state().budget.replies.clone();
    let socket = Watched::new(socket, Arc::clone(&watch), Arc::clone(&tasks), replies);
    let called = Arc::clone(&account);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&watch));
        calls.clone().call(request, Arc::clone(&called))
    });
    let spawner = Spawner::new(Arc::clone(&account), tasks);
    let mut connection = http2::Builder::new(spawner)
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONNECTION_CALLS)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(FIRST_WORD)
        .keep_alive_timeout(FIRST_WORD)
        .serve_connection(TokioIo::new(socket), service);
    let serving = async {
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection to the controller ends");
                    }
                    return;
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    tokio::select! {
        () = account.meter(serving) => {}
        () = seat.cut() => {}
    }
}
