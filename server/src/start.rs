//! The start of a server: its ports, its machine with the data of its folder, and its tasks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use pravega_sdk_server_core::{
    access::TokenKey,
    ids::StoreIndex,
    record::{Durability, Sequence},
};
use pravega_sdk_types::{ErrorKind, classify};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "jwt")]
use crate::jwt::Tokens;
#[cfg(feature = "tls")]
use crate::tls::{Certificates, Handshakes};
use crate::{
    builder::{self, ServerBuilder},
    configured::Unusable,
    durable::Durable,
    embedded::EmbeddedServer,
    identity::Identity,
    io_kind::io_kind,
    journal::{OpenError, OpenProblem},
    limits::{BACKLOG, ConnectionLimits, SEND_BUFFER},
    ports::{Clients, Port},
    protocol::Protocol,
    service::Addresses,
    signals,
    signing::{Signing, read_key},
    state::ServerState,
    storage::OpenedStorage,
    transport::Door,
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
    /// A file or another part of the configuration cannot be used: of accounts, a certificate, a
    /// key of one or of tokens, or the address of a realm.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file, or what else cannot be used.
        path: PathBuf,
        /// The reason.
        reason: String,
        /// The kind of failure.
        kind: ErrorKind,
    },
    /// The key that is given for delegation tokens is too weak.
    #[error("cannot sign tokens: {reason}")]
    TokenKey {
        /// The reason.
        reason: String,
    },
    /// There is no tokio runtime to start it on.
    #[error("there is no tokio runtime here; call it inside one")]
    NoRuntime,
}

classify!(StartError, |error| match error {
    StartError::Listen { source, .. } => io_kind(source),
    StartError::Data(error) => error.kind(),
    StartError::File { kind, .. } => *kind,
    StartError::TokenKey { .. } => ErrorKind::Config,
    StartError::NoRuntime => ErrorKind::NoRuntime,
});

impl From<Unusable> for StartError {
    fn from(Unusable { path, reason, kind }: Unusable) -> Self {
        Self::File { path, reason, kind }
    }
}

impl ServerBuilder {
    /// Starts the server on the runtime of the caller, which needs I/O and timers (`enable_all`):
    /// without them tokio panics.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a port cannot be listened on, or the folder of data, the certificate, the
    /// file of accounts or the key of tokens cannot be used, and outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the ports that it has opened.
    pub async fn start(mut self) -> Result<EmbeddedServer, StartError> {
        if Handle::try_current().is_err() {
            return Err(StartError::NoRuntime);
        }
        self.token_key = self.token_key().await?;
        let identity = self.identity().await?;
        #[cfg(feature = "tls")]
        let certificates = self.certificates().await?;
        #[cfg(feature = "tls")]
        let scheme = if certificates.is_some() { "tls" } else { "tcp" };
        #[cfg(not(feature = "tls"))]
        let scheme = "tcp";
        let listeners = Listeners::open(&self).await?;
        let addresses = listeners.addresses(scheme, self.address);

        let clock = self.clock();
        let rest_hosts = self.rest_hosts.clone();
        let opened = match self.directory.clone() {
            Some(directory) => Some(self.open(directory).await?),
            None => None,
        };
        let mut socket = None;
        let (state, storage) = match opened {
            None => {
                let durable = watch::Sender::new(Durable::To(Sequence::default()));
                let machine = self.machine(Durability::InMemory);
                (Arc::new(ServerState::new(machine, clock, durable, None)), None)
            }
            Some((mut opened, directory)) => {
                socket = opened.socket.take();
                let started = opened.start(clock);
                let (state, storage) = started.map_err(|error| {
                    let problem = OpenProblem::io("cannot start the threads of its log")(error);
                    OpenError { folder: directory, problem }
                })?;
                (state, Some(storage))
            }
        };
        let clients = match identity {
            Some(identity) => {
                state.set_identity(identity);
                Clients::Strangers
            }
            None => Clients::Any,
        };
        // The intervals of periodic work count from here.
        state.run(|machine, at| machine.tick(at));
        let limits = ConnectionLimits::of_process();
        let server = EmbeddedServer {
            state,
            addresses,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            stores: Port::new("segment store", limits.stores, clients),
            controller: Port::new("controller", limits.controller, clients),
            // Only long answers keep a seat of it, which a stranger does not get.
            rest: Port::new("REST", limits.rest, Clients::Any),
            storage,
            #[cfg(feature = "tls")]
            certificates,
        };
        server.watch_log(self);
        if let Some(socket) = socket {
            server.serve_snapshots(socket);
        }
        server.serve(listeners, rest_hosts)?;
        server.keep_time();
        server.follow_accounts();
        #[cfg(feature = "jwt")]
        server.follow_keys();
        Ok(server)
    }
}

/// The listeners of all ports.
struct Listeners {
    controller: TcpListener,
    stores: Vec<TcpListener>,
    rest: Option<TcpListener>,
}

impl Listeners {
    async fn open(builder: &ServerBuilder) -> Result<Self, StartError> {
        let controller = listen(builder.address, builder.controller_port).await?;
        let mut stores = Vec::new();
        for _ in 0..builder.stores {
            stores.push(listen(builder.address, 0).await?);
        }
        let rest = match builder.rest_port {
            Some(port) => Some(listen(builder.address, port).await?),
            None => None,
        };
        Ok(Self { controller, stores, rest })
    }

    fn addresses(&self, scheme: &'static str, host: IpAddr) -> Addresses {
        let port =
            |listener: &TcpListener| listener.local_addr().map_or(0, |address| address.port());
        Addresses {
            scheme,
            host: host.to_string(),
            controller: port(&self.controller),
            stores: self.stores.iter().map(port).collect(),
            rest: self.rest.as_ref().map(port),
        }
    }
}

impl EmbeddedServer {
    /// Serves the clients of all ports.
    fn serve(&self, listeners: Listeners, rest_hosts: Vec<String>) -> Result<(), StartError> {
        let Listeners { controller, stores, rest } = listeners;
        self.serve_controller(controller, self.door(Protocol::Controller)?);
        if let Some(rest) = rest {
            self.serve_rest(rest, self.door(Protocol::Rest)?, rest_hosts);
        }
        for (index, listener) in stores.into_iter().enumerate() {
            self.serve_store(listener, self.door(Protocol::Store)?, StoreIndex(index));
        }
        Ok(())
    }

    /// The entry of a port.
    fn door(&self, protocol: Protocol) -> Result<Door, StartError> {
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.certificates {
            let turns = self.state.turns.clone();
            return Ok(Door::Tls(Handshakes::new(certificates, protocol, turns)?));
        }
        let _ = protocol;
        Ok(Door::Plain)
    }
}

impl ServerBuilder {
    /// The accounts, whose file is read outside the runtime's threads.
    async fn identity(&self) -> Result<Option<Identity>, StartError> {
        if !self.has_accounts() {
            return Ok(None);
        }
        let configured = self.clone();
        let opened = tokio::task::spawn_blocking(move || configured.open_identity());
        let opened = opened.await.map_err(|_| StartError::File {
            path: self.accounts_file.clone().unwrap_or_default(),
            reason: "the task that reads it panicked".to_owned(),
            kind: ErrorKind::Config,
        })?;
        Ok(Some(opened?))
    }

    /// It blocks.
    fn open_identity(self) -> Result<Identity, Unusable> {
        #[cfg_attr(not(feature = "jwt"), expect(unused_mut, reason = "the feature adds to it"))]
        let (mut given, file) = (self.accounts, self.accounts_file);
        #[cfg(feature = "jwt")]
        if let Some(jwt) = self.jwt {
            let tokens = Tokens::open(&jwt)?;
            given.extend(jwt.users);
            return Ok(Identity::open(given, file, builder::secret())?.with_tokens(tokens));
        }
        Identity::open(given, file, builder::secret())
    }

    /// The key of tokens, if one is set. Its file is read outside the runtime's threads.
    async fn token_key(&self) -> Result<Option<TokenKey>, StartError> {
        match self.signing.clone() {
            None => Ok(None),
            Some(Signing::Given(Ok(key))) => Ok(Some(*key)),
            Some(Signing::Given(Err(weak))) => {
                Err(StartError::TokenKey { reason: weak.to_string() })
            }
            Some(Signing::File(path)) => {
                let read = path.clone();
                let read = tokio::task::spawn_blocking(move || read_key(&read)).await;
                let reason = "the task that reads it panicked".to_owned();
                let panicked = StartError::File { path, reason, kind: ErrorKind::Config };
                Ok(Some(read.map_err(|_| panicked)??))
            }
        }
    }

    /// Reads or makes the certificate and the key, outside the runtime's threads.
    #[cfg(feature = "tls")]
    async fn certificates(&self) -> Result<Option<Arc<Certificates>>, StartError> {
        let Some(mut tls) = self.tls.clone() else { return Ok(None) };
        tls.names.push(self.address.to_string());
        tls.names.extend(self.rest_hosts.iter().cloned());
        let opened = tokio::task::spawn_blocking(move || Certificates::open(&tls)).await;
        let opened = opened.map_err(|_| StartError::File {
            path: PathBuf::from("the certificate of the server"),
            reason: "the task that reads it panicked".to_owned(),
            kind: ErrorKind::Config,
        })?;
        Ok(Some(Arc::new(opened?)))
    }

    /// Reads back the data of a folder, outside the runtime's threads.
    async fn open(&self, directory: PathBuf) -> Result<(OpenedStorage, PathBuf), OpenError> {
        signals::survive_long_files();
        let (builder, folder) = (self.clone(), directory.clone());
        let opened = move || OpenedStorage::open(&builder, &folder);
        let opened = tokio::task::spawn_blocking(opened).await.unwrap_or_else(|_| {
            Err(OpenProblem::io("reading it back")(io::Error::other("the task panicked")))
        });
        match opened {
            Ok(opened) => Ok((opened, directory)),
            Err(problem) => Err(OpenError { folder: directory, problem }),
        }
    }
}

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
