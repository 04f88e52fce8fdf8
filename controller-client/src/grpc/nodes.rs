//! The controllers of a cluster, and a channel to each.
//!
//! With `tcp` and `tls` the address lists all controllers. With `pravega` and `pravegas` the client
//! asks them for the others, every 2 minutes, and 10 s after a failure. The last list stays in use;
//! without any list (a standalone server has none) the client uses the controllers of the address.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pravega_sdk_proto::ServerRequest;
use pravega_sdk_types::{Endpoint, ErrorKind, Failure, Outcome};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::{attempt::attempt, connector::Connector};
use crate::{ControllerConfig, ControllerError, Credentials, TlsTrust};

const DISCOVERY_INTERVAL: Duration = Duration::from_secs(120);
const DISCOVERY_PAUSE: Duration = Duration::from_secs(10);
/// Maximum number of controllers of an answer, which comes from outside; the rest is cut.
const MAX_DISCOVERED: usize = 1000;

pub(super) struct Nodes {
    shared: Arc<Shared>,
    is_discovery: bool,
}

struct Shared {
    known: Mutex<Known>,
    /// Index of the node of the next call: round robin over the list.
    next: AtomicUsize,
    dialer: Dialer,
    bootstrap: Vec<Endpoint>,
    credentials: Credentials,
}

struct Known {
    nodes: Arc<[Node]>,
    next_discovery: Option<Instant>,
    is_discovering: bool,
}

/// One controller.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    pub(super) channel: Channel,
}

/// Creates channels.
struct Dialer {
    tls: Option<ClientTlsConfig>,
    connect_timeout: Duration,
    keep_alive_interval: Duration,
}

impl Nodes {
    pub(super) fn new(config: &ControllerConfig) -> Result<Self, ControllerError> {
        let dialer = Dialer::new(config)?;
        let bootstrap = config.uri.endpoints().to_vec();
        let nodes =
            bootstrap.iter().map(|endpoint| dialer.node(endpoint)).collect::<Result<_, _>>()?;
        let known = Known { nodes, next_discovery: None, is_discovering: false };
        let shared = Shared {
            known: Mutex::new(known),
            next: AtomicUsize::new(0),
            dialer,
            bootstrap,
            credentials: config.credentials.clone(),
        };
        Ok(Self { shared: Arc::new(shared), is_discovery: config.uri.scheme().is_discovery() })
    }

    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        self.shared.lock().nodes.iter().map(|node| node.endpoint.clone()).collect()
    }

    /// Returns the controllers in the order in which a call tries them.
    pub(super) fn in_order(&self) -> Vec<Node> {
        let nodes = Arc::clone(&self.shared.lock().nodes);
        let start = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let mut order: Vec<Node> = nodes.to_vec();
        let len = order.len().max(1);
        order.rotate_left(start % len);
        order
    }

    /// Makes later calls start with the node after `failed`.
    pub(super) fn prefer_after(&self, failed: &Endpoint) {
        let nodes = Arc::clone(&self.shared.lock().nodes);
        if let Some(at) = nodes.iter().position(|node| node.endpoint == *failed) {
            self.shared.next.store(at + 1, Ordering::Relaxed);
        }
    }

    /// Fetches the list of controllers if that is due. The first call waits for the answer, up to
    /// `limit`; later ones use the known list meanwhile.
    pub(super) async fn discover(&self, limit: Duration) {
        // The attempt that follows reports that there is no runtime.
        let Ok(runtime) = Handle::try_current() else { return };
        let now = Instant::now();
        let is_first = {
            let mut known = self.shared.lock();
            let is_due = known.next_discovery.is_none_or(|due| due <= now);
            if !self.is_discovery || !is_due || known.is_discovering {
                return;
            }
            known.is_discovering = true;
            known.next_discovery.is_none()
        };
        let discovering = Discovering(Arc::clone(&self.shared));
        // In a separate task, so that a dropped caller does not interrupt the discovery.
        let discovery = runtime.spawn(async move {
            let discovering = discovering;
            discovering.0.refresh().await;
        });
        if is_first {
            timeout(limit, discovery).await.ok();
        }
    }
}

/// Marks a discovery in progress until it ends, with its runtime if need be.
struct Discovering(Arc<Shared>);

impl Drop for Discovering {
    fn drop(&mut self) {
        self.0.lock().is_discovering = false;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while the lock is held. If it did, the list would still be consistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self) {
        let found = self.ask_all().await;
        let pause = if found.is_some() { DISCOVERY_INTERVAL } else { DISCOVERY_PAUSE };
        let nodes = found.and_then(|found| self.nodes_for(&found));
        let mut known = self.lock();
        if let Some(nodes) = nodes {
            known.nodes = nodes;
        }
        known.next_discovery = Some(Instant::now() + pause);
    }

    /// Creates channels for a list of controllers; open ones stay.
    fn nodes_for(&self, endpoints: &[Endpoint]) -> Option<Arc<[Node]>> {
        let old = Arc::clone(&self.lock().nodes);
        let node = |endpoint: &Endpoint| match old.iter().find(|node| node.endpoint == *endpoint) {
            Some(node) => Ok(node.clone()),
            None => self.dialer.node(endpoint),
        };
        let nodes: Result<Vec<Node>, _> = endpoints.iter().map(node).collect();
        nodes.ok().filter(|nodes| !nodes.is_empty()).map(Arc::from)
    }

    /// Asks the known controllers, then those of the address; the first list wins.
    async fn ask_all(&self) -> Option<Vec<Endpoint>> {
        let known = Arc::clone(&self.lock().nodes);
        let unknown = self
            .bootstrap
            .iter()
            .filter(|endpoint| known.iter().all(|node| node.endpoint != **endpoint));
        let others: Vec<Node> =
            unknown.filter_map(|endpoint| self.dialer.node(endpoint).ok()).collect();
        for node in known.iter().chain(&others) {
            match self.ask(node).await {
                Ok(found) => return Some(found),
                Err(error) => {
                    let controller = &node.endpoint;
                    tracing::debug!(%controller, %error, "cannot discover controllers");
                }
            }
        }
        None
    }

    async fn ask(&self, node: &Node) -> Result<Vec<Endpoint>, ControllerError> {
        let limit = self.dialer.connect_timeout;
        let answer = attempt(
            &self.credentials,
            &node.channel,
            ServerRequest {},
            |mut client, request| {
                Box::pin(async move { client.get_controller_server_list(request).await })
            },
            limit,
        );
        let list = answer.await.map_err(|failure| failure.error)?.node_uri;
        let endpoints: Vec<Endpoint> = list
            .into_iter()
            .take(MAX_DISCOVERED)
            .filter_map(|uri| super::convert::endpoint(&uri, &node.endpoint).ok())
            .collect();
        if endpoints.is_empty() {
            Err(ControllerError::protocol("the list of controllers is empty"))
        } else {
            Ok(endpoints)
        }
    }
}

impl Dialer {
    fn new(config: &ControllerConfig) -> Result<Self, ControllerError> {
        let tls = match &config.tls {
            None => None,
            Some(TlsTrust::Platform) => Some(ClientTlsConfig::new().with_native_roots()),
            Some(TlsTrust::File(path)) => {
                Some(ClientTlsConfig::new().ca_certificate(read_certificate(path)?))
            }
        };
        Ok(Self {
            tls,
            connect_timeout: config.connect_timeout,
            keep_alive_interval: config.keep_alive_interval,
        })
    }

    /// Creates a channel that connects at its first use.
    fn node(&self, endpoint: &Endpoint) -> Result<Node, ControllerError> {
        let refused = |source: tonic::transport::Error| {
            let detail = format_args!("cannot create a channel to {endpoint}");
            ControllerError::from(
                Failure::new(ErrorKind::Config, Outcome::NotApplied, detail).with_source(source),
            )
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let invalid = |error: &dyn std::fmt::Display| {
            ControllerError::invalid(format!("{endpoint} is not an address: {error}"))
        };
        // A URI has no zone; the connector has the whole endpoint.
        let authority = Endpoint::new(endpoint.host_without_zone(), endpoint.port());
        let authority = authority.map_err(|error| invalid(&error))?;
        let mut channel = Channel::from_shared(format!("{scheme}://{authority}"))
            .map_err(|error| invalid(&error))?
            .http2_keep_alive_interval(self.keep_alive_interval)
            .keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            let tls =
                tls.clone().domain_name(endpoint.host_without_zone()).timeout(self.connect_timeout);
            channel = channel.tls_config(tls).map_err(refused)?;
        }
        let connector = Connector::new(endpoint.clone(), self.connect_timeout);
        let channel = channel.connect_with_connector_lazy(connector);
        Ok(Node { endpoint: endpoint.clone(), channel })
    }
}

/// Reads a trust store, so that a bad one fails now and not at the first handshake.
fn read_certificate(path: &Path) -> Result<Certificate, ControllerError> {
    let refused = |reason: String| {
        ControllerError::new(
            ErrorKind::Config,
            Outcome::NotApplied,
            format!("trust store {} cannot be used: {reason}", path.display()),
        )
    };
    if path.is_dir() {
        return Err(refused("it is a folder, not a PEM file".to_owned()));
    }
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        return Err(refused("it has no PEM certificate".to_owned()));
    }
    Ok(Certificate::from_pem(pem))
}
