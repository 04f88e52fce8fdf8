//! How a server is to be, and how it is put together.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use pravega_sdk_server_core::{
    access::{Access, Account},
    catalog::Pace,
    ids::StoreIndex,
    machine::Machine,
    placement::Placement,
    record::{Millis, Sequence},
    store::Store,
};

use crate::{
    clock::Clock,
    embedded::EmbeddedServer,
    hub::{Durable, Hub},
    journal::{self, Folder, JournalQueue, OpenError, OpenProblem, Recovered, Writer},
    service::Addresses,
};

/// How much the segments of a server hold unless it is told otherwise, in bytes: 1 GiB.
const DEFAULT_MEMORY_LIMIT: u64 = 1 << 30;

/// Says how a server is to be; from [`EmbeddedServer::builder`].
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    address: IpAddr,
    controller_port: u16,
    rest_port: Option<u16>,
    directory: Option<PathBuf>,
    memory_limit: u64,
    stores: usize,
    accounts: Vec<Account>,
    token_lifetime: Duration,
    clock: ClockKind,
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClockKind {
    Wall,
    Standing,
}

/// Why a server could not be started.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The folder of data cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            controller_port: 0,
            rest_port: None,
            directory: None,
            memory_limit: DEFAULT_MEMORY_LIMIT,
            stores: 1,
            accounts: Vec::new(),
            token_lifetime: Duration::from_secs(600),
            clock: ClockKind::Wall,
            pace: Pace::default(),
        }
    }
}

impl ServerBuilder {
    /// The port of the controller; 0, the default, takes any that is free. The stores' ports are
    /// always free ones.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.controller_port = port;
        self
    }

    /// Serves the reading half of the controller's REST interface on a port; 0 takes any that is
    /// free. It is not served unless this is called.
    #[must_use]
    pub fn with_rest_port(mut self, port: u16) -> Self {
        self.rest_port = Some(port);
        self
    }

    /// Keeps everything in a folder, which is made if need be; without one, everything is gone with
    /// the server.
    ///
    /// What was acknowledged survives a crash of the process and of the system. All of it is in
    /// memory as well.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// How much the segments may hold, in bytes; 1 GiB by default. Beyond it, what makes them grow
    /// is refused; reading, truncating and deleting go on.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// How many segment stores there are, 1 by default and at the most 4; each has a port and a
    /// share of the segments.
    #[must_use]
    pub fn with_segment_stores(mut self, stores: usize) -> Self {
        self.stores = stores.clamp(1, pravega_sdk_server_core::placement::CONTAINERS as usize);
        self
    }

    /// Lets in only those who have an account; the stores ask for delegation tokens then. May be
    /// called several times.
    #[must_use]
    pub fn with_account(mut self, user: &str, password: &str) -> Self {
        self.accounts.push(Account::new(user, password));
        self
    }

    /// How long delegation tokens are good, 10 minutes by default.
    #[must_use]
    pub fn with_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Gives the server a clock that stands until [`EmbeddedServer::advance_clock`] moves it:
    /// leases, watermarks, retention, scaling by rate and the expiry of tokens go by it.
    #[must_use]
    pub fn with_standing_clock(mut self) -> Self {
        self.clock = ClockKind::Standing;
        self
    }

    /// How often watermarks are written, 10 seconds by default.
    #[must_use]
    pub fn with_watermark_interval(mut self, interval: Duration) -> Self {
        self.pace.watermarks = millis(interval);
        self
    }

    /// How often retention is looked at, 30 minutes by default.
    #[must_use]
    pub fn with_retention_interval(mut self, interval: Duration) -> Self {
        self.pace.retention = millis(interval);
        self
    }

    /// Over how long rates are measured at the least before a stream scales by them, 2 minutes by
    /// default. Merges take ten times as long.
    #[must_use]
    pub fn with_rate_window(mut self, window: Duration) -> Self {
        self.pace.rate_window = millis(window);
        self.pace.rates = (self.pace.rate_window / 24).max(1);
        self
    }

    /// Starts the server on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a port cannot be had, or the folder of data cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves nothing behind.
    pub async fn start(self) -> Result<EmbeddedServer, StartError> {
        let controller = listen(self.address, self.controller_port).await?;
        let mut stores = Vec::new();
        for _ in 0..self.stores {
            stores.push(listen(self.address, 0).await?);
        }
        let rest = match self.rest_port {
            Some(port) => Some(listen(self.address, port).await?),
            None => None,
        };
        let port =
            |listener: &TcpListener| listener.local_addr().map_or(0, |address| address.port());
        let addresses = Addresses {
            host: self.address.to_string(),
            controller: port(&controller),
            stores: stores.iter().map(port).collect(),
            rest: rest.as_ref().map(port),
        };

        let clock = if self.clock == ClockKind::Wall { Clock::wall() } else { Clock::standing() };
        let opened = match self.directory.clone() {
            None => {
                let (_, durable) = watch::channel(Durable::To(Sequence::default()));
                Opened { machine: self.machine(false), durable, queue: None, writer: None }
            }
            Some(directory) => self.open(directory).await?,
        };
        let hub = Arc::new(Hub::new(opened.machine, clock, opened.durable, opened.queue));
        // What is done at intervals counts from here.
        hub.run(|machine, at| machine.tick(at));
        let server = EmbeddedServer {
            hub,
            addresses,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            writer: opened.writer,
        };
        if let Some(directory) = self.directory.clone() {
            server.watch_journal(self, directory);
        }
        server.serve_controller(controller);
        if let Some(rest) = rest {
            server.serve_rest(rest);
        }
        for (index, listener) in stores.into_iter().enumerate() {
            server.serve_store(listener, StoreIndex(index));
        }
        server.keep_time();
        Ok(server)
    }
}

/// A machine with what is in its folder, and the thread that adds to it.
struct Opened {
    machine: Machine,
    durable: watch::Receiver<Durable>,
    queue: Option<JournalQueue>,
    writer: Option<Writer>,
}

impl ServerBuilder {
    /// A machine without anything in it.
    pub(crate) fn machine(&self, keeps: bool) -> Machine {
        let mut store = Store::new(self.memory_limit, keeps);
        store.placement = Placement::over(self.stores);
        if !self.accounts.is_empty() {
            let mut secret = [0; 32];
            secret.fill_with(|| fastrand::u8(..));
            let lifetime = Millis(millis(self.token_lifetime));
            store.access = Some(Access::new(self.accounts.clone(), secret, lifetime));
        }
        Machine::new(store, self.pace)
    }

    /// Reads back what is in a folder, away from the runtime's threads.
    async fn open(&self, directory: PathBuf) -> Result<Opened, OpenError> {
        let (machine, folder) = (self.machine(true), directory.clone());
        let opened = tokio::task::spawn_blocking(move || open(machine, &folder)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(OpenProblem::Io {
                what: "reading it back".to_owned(),
                error: io::Error::other("it was broken off"),
            })
        });
        opened.map_err(|problem| OpenError { folder: directory, problem })
    }
}

fn open(mut machine: Machine, directory: &Path) -> Result<Opened, OpenProblem> {
    let mut folder = Folder::open(directory).map_err(OpenProblem::of_folder)?;
    let recovered = journal::recover(&mut folder, |record| machine.restore(record))?;
    if let Some(recovered) = &recovered {
        machine.store.resume(recovered.sequence);
    }
    let snapshot = is_wasteful(recovered.as_ref(), &machine).then(|| {
        let mut records = Vec::new();
        machine.snapshot(|record| records.push(record));
        records
    });
    let queue = JournalQueue::default();
    let started =
        journal::start(Box::new(folder), recovered, fastrand::u64(..), snapshot, queue.clone());
    let (durable, writer) = started.map_err(|error| OpenProblem::Io {
        what: "its journal cannot be begun".to_owned(),
        error,
    })?;
    Ok(Opened { machine, durable, queue: Some(queue), writer: Some(writer) })
}

/// Says whether a journal is to be begun anew when it is opened: there is none, or half of it is of
/// no use any more.
fn is_wasteful(recovered: Option<&Recovered>, machine: &Machine) -> bool {
    recovered.is_none_or(|recovered| recovered.len > WASTE_BYTES + 2 * machine.store.held())
}

/// So much of no use is never worth the work, in bytes.
const WASTE_BYTES: u64 = 16 << 20;

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
