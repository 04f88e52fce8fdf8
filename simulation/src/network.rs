//! Connections of the SDK to the simulated stores.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pravega_sdk_segment_client::{ByteStream, Opening, Transport};
use pravega_sdk_types::Endpoint;
use tokio::{sync::watch, time::Instant};

use crate::{
    World,
    faults::Connects,
    link::{self, Faults, Switch},
    sent::Sent,
    store,
};

/// Returns the faults of the next link: of the direction to the store, and of the one from it.
pub type Plan = Box<dyn FnMut() -> (Faults, Faults) + Send>;

/// Opens links to simulated stores, each with the faults of a plan.
#[derive(Clone)]
pub struct SimNetwork {
    world: World,
    plan: Arc<Mutex<Plan>>,
    switches: Arc<Mutex<Vec<(usize, Switch)>>>,
    own: Arc<Own>,
    attempts: Arc<Mutex<Vec<Instant>>>,
    sent: Sent,
}

/// The links of one client.
#[derive(Default)]
struct Own {
    switches: Mutex<Vec<Switch>>,
    is_frozen: watch::Sender<bool>,
}

impl SimNetwork {
    /// Links to the stores of `world`.
    #[must_use]
    pub fn new(world: &World, plan: Plan) -> Self {
        Self {
            world: world.clone(),
            plan: Arc::new(Mutex::new(plan)),
            switches: Arc::default(),
            own: Arc::default(),
            attempts: Arc::default(),
            sent: Sent::default(),
        }
    }

    /// Links without faults.
    #[must_use]
    pub fn perfect(world: &World) -> Self {
        Self::new(world, Box::new(Default::default))
    }

    /// Links to the same stores with the same faults, of a client that can be frozen alone.
    #[must_use]
    pub fn for_client(&self) -> Self {
        Self { own: Arc::default(), ..self.clone() }
    }

    /// Freezes the links of a client, as those of a process that is stopped: nothing arrives at
    /// either end, and nothing is lost. New links wait.
    pub fn freeze(&self) {
        self.own.is_frozen.send_replace(true);
        self.own_switches().iter().for_each(|switch| switch.set_frozen(true));
    }

    /// Ends a freeze: everything arrives that is on its way, on all links at once.
    pub fn thaw(&self) {
        self.own.is_frozen.send_replace(false);
        self.own_switches().iter().for_each(|switch| switch.set_frozen(false));
    }

    fn own_switches(&self) -> MutexGuard<'_, Vec<Switch>> {
        self.own.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets every link to a store.
    pub fn reset(&self, store: usize) {
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.iter().filter(|(to, _)| *to == store).for_each(|(_, switch)| switch.reset());
    }

    /// Lets the machine of a store die without a word: its links fall silent, and connects to it
    /// are not answered.
    pub fn kill_machine(&self, store: usize) {
        self.world.set_connects(store, Connects::Unanswered);
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.iter().filter(|(to, _)| *to == store).for_each(|(_, switch)| switch.silence());
        self.world.count("machine killed");
    }

    /// Starts the machine of a store again: it accepts connections, and resets the links that it no
    /// longer knows.
    pub fn start_machine(&self, store: usize) {
        self.reset(store);
        self.world.set_connects(store, Connects::Accepted);
    }

    /// Ends all faults: new links have none, and silent links are reset.
    pub fn heal(&self) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(Default::default);
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.iter().for_each(|(_, switch)| switch.heal());
    }

    /// The number of links opened so far.
    #[must_use]
    pub fn links(&self) -> usize {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The numbers of bytes that the client and the store wrote into the first link.
    #[must_use]
    pub fn written_to_first(&self) -> (u64, u64) {
        let switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        switches.first().map_or((0, 0), |(_, switch)| switch.written())
    }

    /// The times of all attempts to connect, refused ones included.
    #[must_use]
    pub fn attempts(&self) -> Vec<Instant> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What clients wrote into the links.
    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Box<dyn ByteStream>> {
        // A turn of the scheduler, as a real connection is never established at once.
        tokio::task::yield_now().await;
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        self.own.is_frozen.subscribe().wait_for(|is_frozen| !is_frozen).await.ok();
        let store = self.accept(endpoint).await?;
        let (up, down) = self.plan.lock().unwrap_or_else(PoisonError::into_inner)();
        let (client, server) = link::pair(up, down);
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).push((store, client.switch()));
        client.switch().set_frozen(*self.own.is_frozen.borrow());
        self.own_switches().push(client.switch());
        tokio::spawn(store::serve(self.world.clone(), store, server));
        Ok(Box::new(self.sent.record(client)))
    }

    /// Waits until a store accepts or refuses a connection.
    async fn accept(&self, endpoint: &Endpoint) -> io::Result<usize> {
        let mut is_counted = false;
        loop {
            let changed = self.world.changed();
            match self.world.store_at(endpoint) {
                Some((store, Connects::Accepted)) => return Ok(store),
                Some((_, Connects::Unanswered)) => {
                    if !std::mem::replace(&mut is_counted, true) {
                        self.world.count("connect unanswered");
                    }
                    changed.await;
                }
                Some((_, Connects::Refused)) | None => {
                    self.world.count("connect refused");
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
            }
        }
    }
}

impl Transport for SimNetwork {
    fn open<'a>(&'a self, endpoint: &'a Endpoint) -> Opening<'a> {
        Box::pin(self.connect(endpoint))
    }
}

impl std::fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimNetwork").finish_non_exhaustive()
    }
}
