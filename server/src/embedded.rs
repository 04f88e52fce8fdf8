//! A running server: its handle, its tasks, and its shutdown.

use std::{fmt, os::unix::net::UnixListener, sync::Arc, time::Duration};

use pravega_sdk_server_core::ids::StoreIndex;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    builder::ServerBuilder,
    clock::ClockError,
    connection, controller, copy,
    faults::Faults,
    fullness::{MemoryFill, Shortage},
    guard::Calls,
    log::LogHandle,
    ports::{Port, Seat},
    rest,
    service::{Addresses, Service},
    state::ServerState,
    storage::Storage,
    transport::{Door, Transport},
};

/// The interval between checks for periodic work.
const TICK: Duration = Duration::from_millis(500);
/// How long a shutdown waits for connections to end.
const DRAIN: Duration = Duration::from_secs(5);

/// A Pravega in this process: a controller and its segment stores, on ports of this machine.
///
/// It speaks Pravega's own protocols over real sockets, so any client of Pravega can use it. It
/// lives as long as this value: dropping it closes its ports and ends its connections without
/// waiting; [`shutdown`](Self::shutdown) finishes the requests in progress.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pravega_sdk_server::EmbeddedServer;
///
/// let server = EmbeddedServer::builder().start().await?;
/// println!("connect to {}", server.url());
/// # Ok(())
/// # }
/// ```
pub struct EmbeddedServer {
    pub(crate) state: Arc<ServerState>,
    pub(crate) addresses: Addresses,
    /// No more connections are accepted.
    pub(crate) stop: CancellationToken,
    /// Connections end at once.
    pub(crate) cut: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The connections to all stores.
    pub(crate) stores: Arc<Port>,
    /// The connections to the controller.
    pub(crate) controller: Arc<Port>,
    /// The connections to REST.
    pub(crate) rest: Arc<Port>,
    /// The threads of the log, which end after it is closed.
    pub(crate) storage: Option<Storage>,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<Arc<crate::tls::Certificates>>,
}

impl fmt::Debug for EmbeddedServer {
    /// Shows where the server listens; nothing that it stores or keeps secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedServer").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl EmbeddedServer {
    /// Configures a server. Defaults: free ports of 127.0.0.1, data in memory, no accounts.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The URL that clients connect to, such as `tcp://127.0.0.1:9090`, or with TLS
    /// `tls://127.0.0.1:9090`.
    #[must_use]
    pub fn url(&self) -> String {
        let Addresses { scheme, host, controller, .. } = &self.addresses;
        format!("{scheme}://{host}:{controller}")
    }

    /// The PEM text of the certificate that the server shows to clients, and of those that signed
    /// it; `None` without TLS. Clients that trust it can connect.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate(&self) -> Option<String> {
        self.certificates.as_ref().map(|certificates| certificates.text())
    }

    /// The port of the controller.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addresses.controller
    }

    /// The port of the REST interface, if it is served.
    #[must_use]
    pub fn rest_port(&self) -> Option<u16> {
        self.addresses.rest
    }

    /// The ports of the segment stores, by their numbers from 0.
    #[must_use]
    pub fn store_ports(&self) -> &[u16] {
        &self.addresses.stores
    }

    /// Makes the server fail in ways that a test chooses.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.state))
    }

    /// Approximate memory that the data of segments and controller uses, in bytes.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.state.run(|machine, _| machine.held()).0
    }

    /// Memory that is reserved for requests and replies on their way, in bytes, without the little
    /// that each connection may have in any case. It does not count towards
    /// [`bytes_held`](Self::bytes_held); it has a bound of its own.
    #[must_use]
    pub fn bytes_on_their_way(&self) -> u64 {
        let budget = &self.state.budget;
        (budget.requests.lent() + budget.replies.lent()) as u64
    }

    /// The number of segments, including those of transactions and of Pravega's own streams.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.state.run(|machine, _| machine.store.segment_count()).0
    }

    /// The number of connections to the segment stores.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.state.connection_count()
    }

    /// Advances a standing clock and does the periodic work that is due then: leases expire,
    /// watermarks are written, retention truncates.
    ///
    /// # Errors
    ///
    /// [`ClockError`] without [`ServerBuilder::with_standing_clock`].
    pub fn advance_clock(&self, by: Duration) -> Result<(), ClockError> {
        self.state.clock.advance(by)?;
        self.state.run(|machine, at| machine.tick(at));
        Ok(())
    }

    /// Accepts no more connections and waits at most five seconds for the requests in progress.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server as dropping it does.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.state.close_all();
        self.tasks.close();
        // Outside a runtime nothing can be waited for, and the server ends at once.
        let has_runtime = Handle::try_current().is_ok();
        if has_runtime {
            tokio::time::timeout(DRAIN, self.tasks.wait()).await.ok();
        }
        self.cut.cancel();
        self.state.close_log();
        if has_runtime && let Some(storage) = self.storage.take() {
            // The folder is free for the next server after that.
            tokio::task::spawn_blocking(move || storage.join()).await.ok();
        }
    }

    /// After batches are refused or lost, serves what is durable.
    pub(crate) fn watch_log(&self, builder: ServerBuilder) {
        let Some(storage) = &self.storage else { return };
        let watching = storage.watch(Arc::clone(&self.state), builder);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = watching => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Keeps the files of the log for backups while they are copied.
    pub(crate) fn serve_snapshots(&self, socket: UnixListener) {
        let (Some(storage), Some(log)) = (&self.storage, &self.state.log) else { return };
        self.tasks.spawn(copy::serve(socket, storage.snapshots(log.clone()), self.stop.clone()));
    }

    pub(crate) fn serve_controller(&self, listener: TcpListener, door: Door) {
        let service = Service::new(Arc::clone(&self.state), self.addresses.clone());
        let calls = Calls::new(Arc::clone(&self.state), service);
        let stop = self.stop.clone();
        self.accept((listener, door), &self.controller, move |socket, seat| {
            controller::serve(socket, calls.clone(), seat, stop.clone())
        });
    }

    pub(crate) fn serve_rest(&self, listener: TcpListener, door: Door, hosts: Vec<String>) {
        let service = rest::Service::new(Arc::clone(&self.state), hosts);
        let stop = self.stop.clone();
        self.accept((listener, door), &self.rest, move |socket, seat| {
            rest::serve(socket, service.clone(), seat, stop.clone())
        });
    }

    pub(crate) fn serve_store(&self, listener: TcpListener, door: Door, store: StoreIndex) {
        let state = Arc::clone(&self.state);
        self.accept((listener, door), &self.stores, move |socket, seat| {
            let state = Arc::clone(&state);
            async move {
                if !state.faults.refuses_connections() {
                    connection::serve(state, socket, store, seat).await;
                }
            }
        });
    }

    /// Accepts connections, and spawns the task of each, which serves it once it has come in.
    fn accept<F>(
        &self,
        (listener, door): (TcpListener, Door),
        port: &Arc<Port>,
        serve: impl Fn(Transport, Seat) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (port, tasks) = (Arc::clone(port), self.tasks.clone());
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        let accepting = async move {
            while let Some((socket, seat)) = port.accept(&listener, &stop, &cut).await {
                let (door, serve) = (door.clone(), serve.clone());
                tasks.spawn(async move {
                    if let Some(socket) = door.enter(socket, &seat).await {
                        serve(socket, seat).await;
                    }
                });
            }
        };
        // Clients decide how often they connect, so this too takes turns, and the next one each
        // time: meanwhile connections wait in the system, which drops new ones if too many do.
        self.tasks.spawn(self.state.turns.common_account().meter(accepting));
    }

    /// Fetches the keys that sign the tokens of clients, if they are published.
    #[cfg(feature = "jwt")]
    pub(crate) fn follow_keys(&self) {
        let Some(keys) = self.state.keys() else { return };
        // Clients decide how often there are unknown ones.
        let account = self.state.turns.common_account();
        self.tasks.spawn(account.meter(Arc::clone(keys).follow(self.stop.clone())));
    }

    pub(crate) fn keep_time(&self) {
        let (state, stop) = (Arc::clone(&self.state), self.stop.clone());
        let account = self.state.turns.common_account();
        let keeping = async move {
            let mut shortage = Shortage::default();
            while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
                let (memory, _) = state.run(|machine, at| {
                    machine.tick(at);
                    MemoryFill::of(machine)
                });
                state.warnings.note_memory(memory);
                // It fills without a request, too.
                state.note_folder();
                let is_short = state.log.as_ref().is_some_and(LogHandle::is_short);
                if shortage.is_news(is_short, Instant::now()) {
                    tracing::warn!(
                        "the disk has no space left: what takes space is refused; truncate or \
                         delete streams, or make room on the disk"
                    );
                }
                state.budget.requests.tick();
                state.budget.replies.tick();
                // A failure of the log is reported where it is watched.
                state.finish_work().await.ok();
            }
        };
        self.tasks.spawn(account.meter(keeping));
    }

    /// Follows the files of accounts and of keys, if there are any, apart from all other periodic
    /// work: a file system may not answer.
    pub(crate) fn follow_accounts(&self) {
        let Some(identity) = self.state.followed_accounts().map(Arc::clone) else { return };
        let stop = self.stop.clone();
        let following = async move {
            loop {
                sleep(TICK).await;
                let identity = Arc::clone(&identity);
                tokio::task::spawn_blocking(move || identity.refresh()).await.ok();
            }
        };
        self.tasks.spawn(async move {
            tokio::select! {
                () = following => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
        self.state.close_log();
    }
}
