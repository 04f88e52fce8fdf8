//! The port of the REST service.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{connection, limits::MAX_CONNECTIONS, routes, screen::Screen};
use crate::state::ServerState;

/// The wait after a connection that was not accepted, most likely for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The port of the REST service, and what ends it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: TcpListener,
    /// The names by which clients may call the server, besides its addresses.
    pub(crate) hosts: Vec<String>,
    /// No more connections are accepted.
    pub(crate) stop: CancellationToken,
    /// Connections end at once.
    pub(crate) cut: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Listener {
    /// Accepts connections until the server stops.
    pub(crate) async fn serve(self, state: Arc<ServerState>) {
        let Self { port, hosts, stop, cut, tasks } = self;
        let (router, screen) = (routes::router(state), Arc::new(Screen::new(hosts)));
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, port.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                next = next => next,
                () = stop.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let (screen, router) = (Arc::clone(&screen), router.clone());
            let (stop, cut) = (stop.clone(), cut.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = connection::serve(stream, screen, router, stop) => {}
                    () = cut.cancelled() => {}
                }
                drop(permit);
            });
        }
    }
}
