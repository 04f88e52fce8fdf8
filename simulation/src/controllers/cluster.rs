//! The controllers: their health, their addresses, and the connections to them.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_controller_client::{ByteStream, Network};
use pravega_sdk_types::Endpoint;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::theme::{Listing, Theme, endpoint as endpoint_of};
use crate::link::{self, End, Faults, Switch};

/// How a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Healthy,
    /// Its process has ended: connects are refused.
    Refuses,
    /// Its machine has died, or its packets are dropped: connects and connections are silent.
    Unanswered,
    /// It takes requests and does not answer.
    Silent,
    /// It answers that it is not available.
    Unavailable,
    /// It answers that it has failed.
    Broken,
    /// It carries requests out, and its answers are lost with their connections, or alone.
    LosesAnswers,
    /// Its name is not looked up; connections go on.
    NoNameServer,
}

impl Health {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let all = [
            Self::Healthy,
            Self::Healthy,
            Self::Healthy,
            Self::Refuses,
            Self::Unanswered,
            Self::Silent,
            Self::Unavailable,
            Self::Broken,
            Self::LosesAnswers,
            Self::NoNameServer,
        ];
        all[random.usize(0..all.len())]
    }

    fn counter(self) -> &'static str {
        match self {
            Self::Healthy => "controller healthy",
            Self::Refuses => "controller refuses connects",
            Self::Unanswered => "controller does not answer connects",
            Self::Silent => "controller silent",
            Self::Unavailable => "controller unavailable",
            Self::Broken => "controller broken",
            Self::LosesAnswers => "controller loses answers",
            Self::NoNameServer => "controller without a name server",
        }
    }
}

/// The controllers.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    begun: Instant,
    listing: Listing,
    nodes: usize,
}

struct State {
    random: fastrand::Rng,
    nodes: Vec<Node>,
    /// How often each call was received, and carried out.
    received: BTreeMap<String, u32>,
    carried_out: BTreeMap<String, u32>,
    first_connected: Option<Duration>,
    counters: BTreeMap<&'static str, u64>,
}

struct Node {
    /// Since when it has been how.
    health: Vec<(Duration, Health)>,
    /// When its connections fell silent, though it is healthy.
    silences: Vec<Duration>,
    addresses: Vec<Address>,
    links: Vec<Switch>,
    incoming: mpsc::UnboundedSender<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    /// The controller's.
    Real,
    Silent,
    Refuses,
}

impl Cluster {
    /// The controllers of a seed, and the connections that each of them accepts.
    pub(super) fn new(
        theme: &Theme,
        random: &mut fastrand::Rng,
    ) -> (Self, Vec<mpsc::UnboundedReceiver<End>>) {
        let dead = |is_silent: &bool| if *is_silent { Address::Silent } else { Address::Refuses };
        let (mut nodes, mut servers) = (Vec::new(), Vec::new());
        for node in &theme.nodes {
            let before = node.before.iter().map(dead);
            let after = node.after.iter().map(dead);
            let (incoming, accepted) = mpsc::unbounded_channel();
            let health = Health::draw(random);
            nodes.push(Node {
                health: vec![(Duration::ZERO, health)],
                silences: Vec::new(),
                addresses: before.chain([Address::Real]).chain(after).collect(),
                links: Vec::new(),
                incoming,
            });
            servers.push(accepted);
        }
        let state = State {
            random: random.fork(),
            nodes,
            received: BTreeMap::new(),
            carried_out: BTreeMap::new(),
            first_connected: None,
            counters: BTreeMap::new(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            begun: Instant::now(),
            listing: theme.listing.unwrap_or(Listing::Fails),
            nodes: theme.nodes.len(),
        };
        let cluster = Self(Arc::new(shared));
        (cluster, servers)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    pub(super) fn listing(&self) -> Listing {
        self.0.listing
    }

    /// The number of controllers that exist.
    pub(super) fn len(&self) -> usize {
        self.0.nodes
    }

    pub(super) fn count(&self, what: &'static str) {
        *self.lock().counters.entry(what).or_default() += 1;
    }

    pub(super) fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counters.clone()
    }

    // Health.

    pub(super) fn set_health(&self, node: usize, health: Health) {
        let now = self.now();
        let mut state = self.lock();
        let node = &mut state.nodes[node];
        let before = node.health.last().map(|(_, health)| *health);
        if before == Some(health) {
            return;
        }
        node.health.push((now, health));
        if before == Some(Health::Unanswered) || health == Health::Refuses {
            node.links.drain(..).for_each(|link| link.reset());
        } else if health == Health::Unanswered {
            node.links.iter().for_each(Switch::silence);
        }
        drop(state);
        self.count(health.counter());
        self.0.changed.send_replace(());
    }

    /// Lets the connections to a controller fall silent, as by a router that has lost its state.
    pub(super) fn silence(&self, node: usize) {
        let now = self.now();
        let mut state = self.lock();
        let node = &mut state.nodes[node];
        if node.links.is_empty() {
            return;
        }
        node.links.iter().for_each(Switch::silence);
        node.silences.push(now);
        drop(state);
        self.count("connections silent");
    }

    /// Resets the connections to a controller.
    pub(super) fn reset(&self, node: usize) {
        let mut state = self.lock();
        state.nodes[node].links.drain(..).for_each(|link| link.reset());
    }

    pub(super) fn health(&self, node: usize) -> Health {
        let state = self.lock();
        state.nodes[node].health.last().map_or(Health::Healthy, |(_, health)| *health)
    }

    /// How a controller was between two times.
    pub(super) fn health_between(&self, node: usize, from: Duration, to: Duration) -> Vec<Health> {
        let state = self.lock();
        let all = &state.nodes[node].health;
        let ends = all.iter().skip(1).map(|(since, _)| *since).chain([Duration::MAX]);
        let held = all.iter().zip(ends).filter(|((since, _), end)| *since <= to && *end >= from);
        held.map(|((_, health), _)| *health).collect()
    }

    /// How often connections to a controller had fallen silent by then.
    pub(super) fn silences(&self, node: usize, by: Duration) -> u32 {
        let state = self.lock();
        let silences = state.nodes[node].silences.iter().filter(|at| **at <= by);
        u32::try_from(silences.count()).unwrap_or(u32::MAX)
    }

    /// When the first connection was established.
    pub(super) fn first_connected(&self) -> Option<Duration> {
        self.lock().first_connected
    }

    // Requests.

    pub(super) fn receive(&self, call: &str) {
        *self.lock().received.entry(call.to_owned()).or_default() += 1;
    }

    pub(super) fn carry_out(&self, call: &str) {
        *self.lock().carried_out.entry(call.to_owned()).or_default() += 1;
    }

    pub(super) fn received(&self, call: &str) -> u32 {
        self.lock().received.get(call).copied().unwrap_or_default()
    }

    pub(super) fn carried_out(&self, call: &str) -> u32 {
        self.lock().carried_out.get(call).copied().unwrap_or_default()
    }

    pub(super) fn is_lucky(&self) -> bool {
        self.lock().random.bool()
    }

    /// Takes the time of a step of a request.
    pub(super) async fn take_time(&self) {
        let millis = self.lock().random.u64(0..20);
        sleep(Duration::from_millis(millis)).await;
    }

    /// Waits until the health of a controller changes from what it is.
    async fn wait_while(&self, node: usize, health: Health) {
        let mut changed = self.0.changed.subscribe();
        while self.health(node) == health {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn find(&self, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
        self.take_time().await;
        let host = endpoint.host();
        if let Some(lie) = host.strip_prefix("lie") {
            let number: u8 = lie.parse().expect("the number of a lie");
            return Ok(vec![SocketAddr::from(([10, 9, number, 0], endpoint.port()))]);
        }
        let node = (0..self.len()).find(|node| endpoint_of(*node) == *endpoint);
        let Some(node) = node else { return Err(io::ErrorKind::NotFound.into()) };
        if self.health(node) == Health::NoNameServer {
            self.count("look-up unanswered");
            self.wait_while(node, Health::NoNameServer).await;
        }
        let addresses = self.lock().nodes[node].addresses.len();
        let address = |number| SocketAddr::from(([10, 0, node as u8, number], endpoint.port()));
        Ok((0..addresses as u8).map(address).collect())
    }

    async fn open(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        self.take_time().await;
        let SocketAddr::V4(v4) = address else { return Err(io::ErrorKind::Unsupported.into()) };
        let [_, network, node, number] = v4.ip().octets();
        if network != 0 {
            self.count("connect to a lie");
            return pending().await;
        }
        let (node, number) = (usize::from(node), usize::from(number));
        let kind = self.lock().nodes[node].addresses[number];
        match kind {
            Address::Real => self.accept(node).await,
            Address::Silent => {
                self.count("address silent");
                pending().await
            }
            Address::Refuses => {
                self.count("address refused");
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    async fn accept(&self, node: usize) -> io::Result<Box<dyn ByteStream>> {
        if self.health(node) == Health::Unanswered {
            self.count("connect unanswered");
            self.wait_while(node, Health::Unanswered).await;
        }
        if self.health(node) == Health::Refuses {
            self.count("connect refused");
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let now = self.now();
        let mut state = self.lock();
        let mut faults = || {
            let delay = (Duration::ZERO, Duration::from_millis(5));
            Faults { delay, seed: state.random.u64(..), ..Faults::default() }
        };
        let (client, server) = link::pair(faults(), faults());
        state.first_connected.get_or_insert(now);
        let node = &mut state.nodes[node];
        node.links.push(client.switch());
        node.incoming.send(server).ok();
        *state.counters.entry("connection").or_default() += 1;
        Ok(Box::new(client))
    }
}

/// The names that a list has.
pub(super) fn listed(listing: Listing, nodes: usize) -> Vec<(String, i32)> {
    let real = |node| {
        let endpoint = endpoint_of(node);
        (endpoint.host().to_owned(), i32::from(endpoint.port()))
    };
    let lie = |number| (format!("lie{number}"), 9090);
    match listing {
        Listing::All => (0..nodes).map(real).collect(),
        Listing::One => vec![real(0)],
        Listing::Lies => vec![lie(0), lie(1)],
        Listing::Mixed => [lie(0)].into_iter().chain((0..nodes).map(real)).collect(),
        Listing::Garbage => vec![(String::new(), 1), ("c0".to_owned(), -7), ("c 1".to_owned(), 1)],
        Listing::Empty | Listing::Fails | Listing::Hangs => Vec::new(),
    }
}

impl Network for Cluster {
    fn look_up<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.find(endpoint).boxed()
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        self.open(address).boxed()
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("nodes", &self.0.nodes).finish_non_exhaustive()
    }
}
