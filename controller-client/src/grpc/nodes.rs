//! Drives what all calls share: the connections to the controllers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, future::Shared as SharedFuture};
use pravega_sdk_tls::PeerFault;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};
use tokio::{runtime::EnterGuard, sync::oneshot};
use tonic::transport::Channel;

use super::{
    dialer::{Dialer, Dialled},
    status::FailedAttempt,
};
use crate::{
    ControllerConfig, ControllerError, Credentials, HomeRuntime,
    clock::Clock,
    machine::{Bugs, LinkId, LinkUse, NodesMachine, Now, Via},
    network::Network,
};

/// A connection, or its end.
type DialResult = Result<Dialled, FailedAttempt>;
/// The end of a dial, for all that wait for it. It is canceled if the runtime ends first.
type Link = SharedFuture<oneshot::Receiver<DialResult>>;

/// The controllers of a cluster, and the connections to them.
#[derive(Clone)]
pub(super) struct Nodes(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    dialer: Dialer,
    credentials: Credentials,
    clock: Clock,
    bugs: Bugs,
    config: ControllerConfig,
    /// The connections have their tasks there.
    home: HomeRuntime,
}

struct State {
    machine: NodesMachine,
    links: HashMap<LinkId, Link>,
}

/// A connection for an attempt.
pub(super) struct Connected {
    pub(super) link: LinkId,
    pub(super) channel: Channel,
    /// The reason why the controller refuses the connection, if it does so after the handshake.
    pub(super) fault: PeerFault,
    /// True if it was established for this attempt.
    pub(super) is_new: bool,
}

/// There is no connection for an attempt.
pub(super) struct Unconnected {
    pub(super) failure: FailedAttempt,
    /// True if this attempt has tried to establish it.
    pub(super) is_new: bool,
}

impl Nodes {
    pub(super) fn new(
        config: &ControllerConfig,
        network: Arc<dyn Network>,
        home: HomeRuntime,
    ) -> Result<Self, ControllerError> {
        let dialer = Dialer::new(config, network)?;
        let bootstrap = config.uri.endpoints().to_vec();
        bootstrap.iter().try_for_each(|endpoint| dialer.check(endpoint))?;
        let is_discovery = config.uri.scheme().is_discovery();
        let machine = NodesMachine::new(bootstrap, is_discovery, config.bugs);
        let shared = Shared {
            state: Mutex::new(State { machine, links: HashMap::new() }),
            dialer,
            credentials: config.credentials.clone(),
            clock: Clock::start(),
            bugs: config.bugs,
            config: config.clone(),
            home,
        };
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn config(&self) -> &ControllerConfig {
        &self.0.config
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    pub(super) fn bugs(&self) -> Bugs {
        self.0.bugs
    }

    /// Returns true if the runtime has ended on which the client was created.
    pub(super) fn has_ended(&self) -> bool {
        self.0.home.has_ended()
    }

    /// Makes a step of the machine.
    pub(super) fn with<T>(&self, step: impl FnOnce(&mut NodesMachine, Now) -> T) -> T {
        let now = self.0.clock.now();
        step(&mut self.0.lock().machine, now)
    }

    // Connections.

    /// Waits for a connection; the caller sets the deadline. A dial goes on without its caller.
    pub(super) async fn connect(&self, via: &Via) -> Result<Connected, Unconnected> {
        let (id, link, is_new) = match via {
            Via::Shared(endpoint) => self.0.link(endpoint),
            Via::Only(_, id) => match self.0.lock().links.get(id) {
                Some(link) => (*id, link.clone(), false),
                None => return Err(Unconnected { failure: ended(), is_new: false }),
            },
        };
        match link.await {
            Ok(Ok(Dialled { channel, fault })) => {
                Ok(Connected { link: id, channel, fault, is_new })
            }
            Ok(Err(failure)) => Err(Unconnected { failure, is_new }),
            Err(_) => {
                self.end_link(via.endpoint(), id);
                Err(Unconnected { failure: FailedAttempt::lost(Outcome::NotApplied), is_new: true })
            }
        }
    }

    /// A connection has ended, or its controller is silent: it is not used again.
    pub(super) fn end_link(&self, endpoint: &Endpoint, link: LinkId) {
        let mut state = self.0.lock();
        state.machine.handle_ended(endpoint, link);
        state.links.remove(&link);
    }

    // Discovery.

    /// Enters the runtime on which the client was created. Returns `None` after its end.
    pub(super) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.home.enter()
    }

    /// A discovery has ended, with a list or without.
    pub(super) fn handle_discovered(&self, mut list: Option<Vec<Endpoint>>) {
        if let Some(list) = &mut list {
            list.retain(|endpoint| self.0.dialer.check(endpoint).is_ok());
        }
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        for unused in state.machine.handle_discovered(list, now) {
            state.links.remove(&unused);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held. If it did, the state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that an attempt uses, which is dialled if there is none.
    fn link(self: &Arc<Self>, endpoint: &Endpoint) -> (LinkId, Link, bool) {
        let mut state = self.lock();
        let (id, is_new) = match state.machine.link(endpoint) {
            LinkUse::Share(id) => (id, false),
            LinkUse::Dial(id) => (id, true),
        };
        if !is_new && let Some(link) = state.links.get(&id) {
            return (id, link.clone(), false);
        }
        let (sender, link) = oneshot::channel();
        let link = link.shared();
        state.links.insert(id, link.clone());
        drop(state);
        if let Some(_home) = self.home.enter() {
            tokio::spawn(Arc::clone(self).dial(endpoint.clone(), id, sender));
        }
        (id, link, true)
    }

    /// Connects to a controller, in a task of its own.
    async fn dial(
        self: Arc<Self>,
        endpoint: Endpoint,
        id: LinkId,
        sender: oneshot::Sender<DialResult>,
    ) {
        let dialled = self.dialer.connect(&endpoint).await;
        if dialled.is_err() {
            let mut state = self.lock();
            state.machine.handle_ended(&endpoint, id);
            state.links.remove(&id);
        }
        sender.send(dialled).ok();
    }
}

/// The failure of an attempt over a connection that has ended.
fn ended() -> FailedAttempt {
    let detail = "the connection to the controller has ended";
    FailedAttempt::unreached(ControllerError::new(
        ErrorKind::Unavailable,
        Outcome::NotApplied,
        detail,
    ))
}
