//! What all calls of a client share: the controllers of the cluster, the connections to them, and
//! the budget of retries.
//!
//! With `tcp` and `tls` the address lists all controllers. With `pravega` and `pravegas` the client
//! asks them for the others, every 2 minutes, and 10 s after a failure. The last list stays in use;
//! without any list (a standalone server has none) the client uses the controllers of the address.
//! These stay the last resort where a list names others: it may have addresses that are of no use
//! where the client runs.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use pravega_sdk_types::{Endpoint, RetryBudget};

use super::{
    bugs::{Bugs, ControllerBug},
    time::Now,
};

const DISCOVERY_INTERVAL: Duration = Duration::from_secs(120);
const DISCOVERY_PAUSE: Duration = Duration::from_secs(10);
/// A controller that has failed is tried after the others for this long.
const REST: Duration = Duration::from_secs(10);
/// Maximum number of controllers of an answer, which comes from outside; the rest is cut.
pub(crate) const MAX_DISCOVERED: usize = 1000;

/// A connection to a controller, or an attempt to establish one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(u64);

/// How an attempt reaches a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// Over the connection that all calls share, or a new one.
    Shared(Endpoint),
    /// Over this connection alone.
    Only(Endpoint, LinkId),
}

impl Via {
    /// The controller.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Shared(endpoint) | Self::Only(endpoint, _) => endpoint,
        }
    }
}

/// How an attempt gets its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkUse {
    /// It establishes one, which others may share.
    Dial(LinkId),
    /// It uses the one that exists or is being established.
    Share(LinkId),
}

/// Whether a call waits for the discovery that it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discover {
    /// No discovery is due, or one is in progress.
    NotNow,
    /// Begin one, and wait for it: no list is known.
    AndWait,
    /// Begin one, and use the known list meanwhile.
    Meanwhile,
}

/// The controllers of a cluster.
#[derive(Debug)]
pub(crate) struct NodesMachine {
    bugs: Bugs,
    bootstrap: Vec<Endpoint>,
    /// The last list, or the controllers of the address.
    listed: Vec<Endpoint>,
    /// Index of the controller of the next call: round robin over the list.
    next: usize,
    nodes: BTreeMap<Endpoint, Node>,
    next_link: u64,
    discovery: Discovery,
    retries: RetryBudget,
}

#[derive(Debug, Default)]
struct Node {
    link: Option<LinkId>,
    /// When it failed last, unless it has answered since.
    failed: Option<Now>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Discovery {
    /// The address lists all controllers.
    Never,
    /// There has been none.
    First,
    InProgress,
    Due(Now),
}

impl NodesMachine {
    /// The controllers of an address.
    pub(crate) fn new(bootstrap: Vec<Endpoint>, is_discovery: bool, bugs: Bugs) -> Self {
        Self {
            bugs,
            listed: bootstrap.clone(),
            bootstrap,
            next: 0,
            nodes: BTreeMap::new(),
            next_link: 0,
            discovery: if is_discovery { Discovery::First } else { Discovery::Never },
            retries: RetryBudget::default(),
        }
    }

    /// The controllers of the last list, or of the address.
    pub(crate) fn listed(&self) -> &[Endpoint] {
        &self.listed
    }

    /// Registers a call.
    pub(crate) fn begin_call(&mut self, now: Now) {
        self.retries.deposit(now);
    }

    /// Returns true if a call may be retried.
    pub(crate) fn may_retry(&mut self, now: Now) -> bool {
        self.retries.withdraw(now)
    }

    /// Returns the controllers in the order in which a call tries them: those that have failed
    /// lately are last, and those of the address after those of the list.
    pub(crate) fn in_order(&mut self, now: Now) -> VecDeque<Via> {
        let mut order = self.listed.clone();
        let len = order.len().max(1);
        order.rotate_left(self.next % len);
        self.next = self.next.wrapping_add(1);
        if !self.bugs.has(ControllerBug::BelievesDiscovery) {
            order.extend(self.others());
        }
        order.sort_by_key(|endpoint| self.is_resting(endpoint, now));
        order.into_iter().map(Via::Shared).collect()
    }

    /// The controllers of the address that the list does not name.
    fn others(&self) -> Vec<Endpoint> {
        let others = self.bootstrap.iter().filter(|endpoint| !self.listed.contains(endpoint));
        others.cloned().collect()
    }

    fn is_resting(&self, endpoint: &Endpoint, now: Now) -> bool {
        let failed = self.nodes.get(endpoint).and_then(|node| node.failed);
        failed.is_some_and(|failed| now < failed.saturating_add(REST))
            && !self.bugs.has(ControllerBug::ForgetsFailures)
    }

    /// A controller cannot be reached, or does not answer.
    pub(crate) fn handle_failed(&mut self, endpoint: &Endpoint, now: Now) {
        self.nodes.entry(endpoint.clone()).or_default().failed = Some(now);
    }

    /// A controller has answered.
    pub(crate) fn handle_answered(&mut self, endpoint: &Endpoint) {
        if let Some(node) = self.nodes.get_mut(endpoint) {
            node.failed = None;
        }
    }

    // Connections.

    /// Returns how an attempt gets its connection to a controller.
    pub(crate) fn link(&mut self, endpoint: &Endpoint) -> LinkUse {
        let node = self.nodes.entry(endpoint.clone()).or_default();
        if let Some(link) = node.link {
            return LinkUse::Share(link);
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        node.link = Some(link);
        LinkUse::Dial(link)
    }

    /// A connection cannot be established, or has ended: later attempts need another one.
    pub(crate) fn handle_ended(&mut self, endpoint: &Endpoint, link: LinkId) {
        if let Some(node) = self.nodes.get_mut(endpoint) {
            node.link = node.link.filter(|current| *current != link);
        }
    }

    // Discovery.

    /// Returns how a call discovers the controllers. Unless the result is
    /// [`NotNow`](Discover::NotNow), a discovery is in progress until
    /// [`Self::handle_discovered`].
    pub(crate) fn discover(&mut self, now: Now) -> Discover {
        let discover = match self.discovery {
            Discovery::Never | Discovery::InProgress => return Discover::NotNow,
            Discovery::Due(at) if now < at => return Discover::NotNow,
            Discovery::Due(_) => Discover::Meanwhile,
            Discovery::First => Discover::AndWait,
        };
        self.discovery = Discovery::InProgress;
        discover
    }

    /// The controllers that a discovery asks, in this order; the first list is taken.
    pub(crate) fn to_ask(&self, now: Now) -> Vec<Endpoint> {
        let mut order = self.listed.clone();
        order.extend(self.others());
        order.sort_by_key(|endpoint| self.is_resting(endpoint, now));
        order
    }

    /// A discovery has ended, with a list or without. Returns the connections to controllers that
    /// are no longer used.
    pub(crate) fn handle_discovered(
        &mut self,
        list: Option<Vec<Endpoint>>,
        now: Now,
    ) -> Vec<LinkId> {
        let list = list.filter(|list| !list.is_empty());
        let pause = if list.is_some() { DISCOVERY_INTERVAL } else { DISCOVERY_PAUSE };
        self.discovery = Discovery::Due(now.saturating_add(pause));
        let Some(list) = list else { return Vec::new() };
        self.listed.clear();
        for endpoint in list.into_iter().take(MAX_DISCOVERED) {
            if !self.listed.contains(&endpoint) {
                self.listed.push(endpoint);
            }
        }
        let (listed, bootstrap) = (&self.listed, &self.bootstrap);
        let is_used =
            |endpoint: &Endpoint| listed.contains(endpoint) || bootstrap.contains(endpoint);
        let mut unused = Vec::new();
        self.nodes.retain(|endpoint, node| {
            let keeps = is_used(endpoint);
            if !keeps {
                unused.extend(node.link);
            }
            keeps
        });
        unused
    }

    /// A discovery ended without a word, with its runtime.
    pub(crate) fn handle_lost_discovery(&mut self, now: Now) {
        if self.discovery == Discovery::InProgress {
            self.discovery = Discovery::Due(now);
        }
    }
}
