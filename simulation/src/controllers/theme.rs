//! What a seed draws: the controllers and their addresses, what they say about each other, the
//! credentials and the timeouts of the client.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use pravega_sdk_controller_client::{
    Authorization, ControllerUri, CredentialError, CredentialProvider, Credentials,
};
use pravega_sdk_types::Endpoint;

/// The port of every controller.
const PORT: u16 = 9090;

/// The faults and the workload of a seed.
#[derive(Debug, Clone)]
pub(super) struct Theme {
    /// The controllers that the address names.
    pub(super) nodes: Vec<Addresses>,
    /// What they answer to a discovery; `None` if the client makes none.
    pub(super) listing: Option<Listing>,
    pub(super) credentials: Source,
    pub(super) connect_timeout: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) callers: u32,
    pub(super) calls: u32,
    pub(super) max_pause: Duration,
    /// How often the health of a controller changes.
    pub(super) changes: u32,
}

/// The addresses of a name. One of them is the controller's.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// Those before it: true for one that is silent, false for one that refuses connections.
    pub(super) before: Vec<bool>,
    /// The same for those after it.
    pub(super) after: Vec<bool>,
}

/// What a controller answers to a discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    All,
    /// The first of them.
    One,
    /// Controllers that cannot be reached from where the client runs.
    Lies,
    /// All of them, and one that cannot be reached.
    Mixed,
    Empty,
    /// Names and ports that cannot be.
    Garbage,
    Fails,
    Hangs,
}

/// Where the client's credentials are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Nowhere,
    Fixed,
    /// A provider that answers soon, or after up to a second.
    Quick,
    Slow,
    /// One that does not answer now and then, or fails.
    Hangs,
    Fails,
}

impl Theme {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let addresses = |random: &mut fastrand::Rng| {
            let some = |random: &mut fastrand::Rng| {
                let count = [0, 0, 0, 1, 2][random.usize(0..5)];
                (0..count).map(|_| random.bool()).collect()
            };
            Addresses { before: some(random), after: some(random) }
        };
        let nodes = random.usize(1..5);
        let listing = random.bool().then(|| Listing::draw(random));
        let seconds =
            |random: &mut fastrand::Rng, longest| Duration::from_millis(random.u64(1000..longest));
        let connect_timeout = seconds(random, 6000);
        let longest = [4000, 15_000, 40_000][random.usize(0..3)];
        let attempt_timeout = seconds(random, longest);
        let call_timeout = match random.u32(0..4) {
            0 => Duration::from_millis(random.u64(20..4000)),
            1 => seconds(random, 20_000),
            _ => seconds(random, 200_000),
        };
        let is_burst = random.u32(0..3) == 0;
        Self {
            nodes: (0..nodes).map(|_| addresses(random)).collect(),
            listing,
            credentials: Source::draw(random),
            connect_timeout,
            attempt_timeout,
            call_timeout,
            callers: if is_burst { random.u32(4..12) } else { random.u32(1..4) },
            calls: if is_burst { 2 } else { random.u32(2..8) },
            max_pause: Duration::from_millis(if is_burst { 1 } else { random.u64(1..8000) }),
            changes: random.u32(0..8),
        }
    }

    pub(super) fn uri(&self) -> ControllerUri {
        let scheme = if self.listing.is_some() { "pravega" } else { "tcp" };
        let names: Vec<String> =
            (0..self.nodes.len()).map(|node| endpoint(node).to_string()).collect();
        format!("{scheme}://{}", names.join(",")).parse().expect("an address")
    }
}

/// The name and port of a controller.
pub(super) fn endpoint(node: usize) -> Endpoint {
    Endpoint::new(&format!("c{node}"), PORT).expect("a name")
}

impl Listing {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let all = [
            Self::All,
            Self::One,
            Self::Lies,
            Self::Mixed,
            Self::Empty,
            Self::Garbage,
            Self::Fails,
            Self::Hangs,
        ];
        all[random.usize(0..all.len())]
    }

    pub(super) fn counter(self) -> &'static str {
        match self {
            Self::All => "seed with a true list",
            Self::One => "seed with a short list",
            Self::Lies => "seed with a list of lies",
            Self::Mixed => "seed with a lie in the list",
            Self::Empty => "seed with an empty list",
            Self::Garbage => "seed with a list of garbage",
            Self::Fails => "seed with discoveries that fail",
            Self::Hangs => "seed with discoveries that hang",
        }
    }
}

impl Source {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let all = [
            Self::Nowhere,
            Self::Nowhere,
            Self::Fixed,
            Self::Quick,
            Self::Slow,
            Self::Hangs,
            Self::Fails,
        ];
        all[random.usize(0..all.len())]
    }

    pub(super) fn counter(self) -> &'static str {
        match self {
            Self::Nowhere => "seed without credentials",
            Self::Fixed => "seed with fixed credentials",
            Self::Quick => "seed with a quick provider",
            Self::Slow => "seed with a slow provider",
            Self::Hangs => "seed with a provider that hangs",
            Self::Fails => "seed with a provider that fails",
        }
    }

    /// The longest time that the credentials take; `None` if there may be none.
    pub(super) fn longest(self) -> Option<Duration> {
        match self {
            Self::Nowhere | Self::Fixed => Some(Duration::ZERO),
            Self::Quick => Some(Duration::from_millis(50)),
            Self::Slow => Some(Duration::from_secs(1)),
            Self::Hangs | Self::Fails => None,
        }
    }

    pub(super) fn create(self, seed: u64) -> Credentials {
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        match self {
            Self::Nowhere => Credentials::anonymous(),
            Self::Fixed => Credentials::basic("user", "word").expect("credentials"),
            source => Credentials::provider(Arc::new(Provider { source, random })),
        }
    }
}

#[derive(Debug)]
struct Provider {
    source: Source,
    random: Arc<Mutex<fastrand::Rng>>,
}

#[async_trait]
impl CredentialProvider for Provider {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        let longest = self.source.longest().unwrap_or(Duration::from_millis(50));
        let (time, fails) = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (longest.mul_f64(random.f64()), random.u32(0..4) == 0)
        };
        tokio::time::sleep(time).await;
        match self.source {
            Source::Hangs if fails => std::future::pending().await,
            Source::Fails if fails => Err(CredentialError::provider("scripted")),
            _ => Authorization::new("Bearer", "token"),
        }
    }
}
