//! The start of a server: its ports, its machine with the data of its folder, and its tasks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use pravega_sdk_server_core::{
    ids::StoreIndex,
    machine::Machine,
    record::{Durability, Sequence},
};
use pravega_sdk_types::{ErrorKind, classify};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    builder::ServerBuilder,
    embedded::EmbeddedServer,
    io_kind::io_kind,
    journal::{self, Durable, Folder, JournalQueue, OpenError, OpenProblem, Recovered, Writer},
    limits::{BACKLOG, ConnectionLimits, SEND_BUFFER},
    ports::Port,
    service::Addresses,
    signals,
    state::ServerState,
};

/// An error from starting a server.
///
/// The variants are public, so that a caller can match on the reason.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The folder of data cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// There is no tokio runtime to start it on.
    #[error("there is no tokio runtime here; call it inside one")]
    NoRuntime,
}

classify!(StartError, |error| match error {
    StartError::Listen { source, .. } => io_kind(source),
    StartError::Data(error) => error.kind(),
    StartError::NoRuntime => ErrorKind::NoRuntime,
});

impl ServerBuilder {
    /// Starts the server on the runtime of the caller, which needs I/O and timers (`enable_all`):
    /// without them tokio panics.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a port cannot be listened on, or the folder of data cannot be used, and
    /// outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the ports that it has opened.
    pub async fn start(self) -> Result<EmbeddedServer, StartError> {
        if Handle::try_current().is_err() {
            return Err(StartError::NoRuntime);
        }
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

        let clock = self.clock();
        let rest_hosts = self.rest_hosts.clone();
        let opened = match self.directory.clone() {
            None => {
                let (_, durable) = watch::channel(Durable::To(Sequence::default()));
                Opened {
                    machine: self.machine(Durability::InMemory),
                    durable,
                    queue: None,
                    writer: None,
                }
            }
            Some(directory) => self.open(directory).await?,
        };
        let state = Arc::new(ServerState::new(opened.machine, clock, opened.durable, opened.queue));
        // The intervals of periodic work count from here.
        state.run(|machine, at| machine.tick(at));
        let limits = ConnectionLimits::of_process();
        let server = EmbeddedServer {
            state,
            addresses,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            stores: Port::new("segment store", limits.stores),
            controller: Port::new("controller", limits.controller),
            rest: Port::new("REST", limits.rest),
            writer: opened.writer,
        };
        if let Some(directory) = self.directory.clone() {
            server.watch_journal(self, directory);
        }
        server.serve_controller(controller);
        if let Some(rest) = rest {
            server.serve_rest(rest, rest_hosts);
        }
        for (index, listener) in stores.into_iter().enumerate() {
            server.serve_store(listener, StoreIndex(index));
        }
        server.keep_time();
        Ok(server)
    }
}

/// A machine with the data of its folder, and the thread that writes to the folder.
struct Opened {
    machine: Machine,
    durable: watch::Receiver<Durable>,
    queue: Option<JournalQueue>,
    writer: Option<Writer>,
}

impl ServerBuilder {
    /// Reads back the data of a folder, outside the runtime's threads.
    async fn open(&self, directory: PathBuf) -> Result<Opened, OpenError> {
        signals::survive_long_files();
        let (machine, folder) = (self.machine(Durability::Kept), directory.clone());
        let opened = tokio::task::spawn_blocking(move || open(machine, &folder)).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(OpenProblem::Io {
                what: "reading it back".to_owned(),
                error: io::Error::other("the task panicked"),
            })
        });
        opened.map_err(|problem| OpenError { folder: directory, problem })
    }
}

fn open(mut machine: Machine, directory: &Path) -> Result<Opened, OpenProblem> {
    let mut folder = Folder::open(directory)?;
    let recovered = journal::recover(&mut folder, |record| machine.restore(record))?;
    if let Some(recovered) = &recovered {
        machine.resume(recovered.sequence);
    }
    let queue = JournalQueue::default();
    let is_wasteful = is_wasteful(recovered.as_ref(), &machine);
    machine.begin_copy();
    let mut copy = || machine.copy(queue.portion());
    let copy: Option<journal::Copy<'_>> = if is_wasteful { Some(&mut copy) } else { None };
    let started =
        journal::start(Box::new(folder), recovered, fastrand::u64(..), copy, queue.clone());
    machine.end_copy();
    let (durable, writer) = started
        .map_err(|error| OpenProblem::Io { what: "cannot create its journal".to_owned(), error })?;
    Ok(Opened { machine, durable, queue: Some(queue), writer: Some(writer) })
}

/// Returns true if a new journal should be written at the start: the folder has none, or half of it
/// is obsolete.
fn is_wasteful(recovered: Option<&Recovered>, machine: &Machine) -> bool {
    recovered.is_none_or(|recovered| recovered.len > WASTE_BYTES + 2 * machine.held())
}

/// Obsolete data of this length is never worth a rewrite, in bytes.
const WASTE_BYTES: u64 = 16 << 20;

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(address, port);
    bind(address).map_err(|source| StartError::Listen { address, source })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would share the port with another process.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpStream, task::yield_now};

    use super::*;

    #[tokio::test]
    async fn the_system_keeps_little_for_a_client_that_takes_nothing() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let (_client, (socket, _)) = (client.unwrap(), accepted.unwrap());
        let (mut kept, mut full) = (0, 0);
        // It is full once no more is taken for a while.
        while full < 1000 {
            match socket.try_write(&[7; 64 << 10]) {
                Ok(taken) => (kept, full) = (kept + taken, 0),
                Err(_) => full += 1,
            }
            yield_now().await;
        }
        assert!(kept <= 4 * SEND_BUFFER as usize, "{kept} bytes");
    }
}
