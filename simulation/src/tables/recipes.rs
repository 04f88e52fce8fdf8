//! A seed as a lease: several programs compete for a lock, or elect a leader, over connections that
//! break, while replies are lost, requests are late, the table moves between stores, and some of
//! them are cut off from it until after their leases.
//!
//! | check | holds |
//! |---|---|
//! | C14 | after the repair each program gets the lease |
//! | L1 | no two programs believe to hold the lease at the same time |
//! | L2 | each holder has a token of its own, higher than those before |

use std::time::Duration;

use pravega_sdk_event_stream::{SeededBug, SegmentContext, codec::Raw};
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableConfig, TableSynchronizer,
    recipes::{Election, LeaseConfig, Lock, LockGuard, Role},
};
use pravega_sdk_types::ScopedKeyValueTable;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    leases::Shared,
    stage::{About, Stage, Times, block_on},
};
use crate::{Report, SimNetwork};

/// The pause before a table that cannot be opened is opened again.
const PAUSE: Duration = Duration::from_millis(100);
/// The time between two looks of a program at its role.
const LOOK: Duration = Duration::from_millis(5);
/// How long a program waits for the lease after the repair.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    block_on(async {
        let scenario = Scenario::new(seed, bug);
        scenario.stage.create_scope().await;
        scenario.run().await
    })
}

struct Scenario {
    stage: Stage,
    name: ScopedKeyValueTable,
    config: SynchronizerConfig,
    lease: LeaseConfig,
    lease_time: Duration,
    recipe: Recipe,
    shared: Shared,
}

/// What the programs compete for.
#[derive(Debug, Clone, Copy)]
enum Recipe {
    Lock,
    Leadership,
}

/// The key of the lease.
const KEY: &str = "lease";

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        let times = Times { request_millis: 200..1000, requests: 2..5 };
        let name: ScopedKeyValueTable = "sim/leases".parse().expect("a name");
        let (mut stage, table) = Stage::new(seed, About::table(&name), times, |random, limit| {
            TableConfig::default().with_timeout(limit).with_page_size(random.u32(1..6))
        });
        let lease_time = Duration::from_millis(stage.random.u64(200..3000));
        let lease = LeaseConfig::default().with_lease(lease_time);
        let lease = bug.into_iter().fold(lease, LeaseConfig::with_seeded_bug);
        let recipe = if stage.random.bool() { Recipe::Lock } else { Recipe::Leadership };
        let config = SynchronizerConfig::default().with_table(table);
        Self { stage, name, config, lease, lease_time, recipe, shared: Shared::default() }
    }

    async fn run(mut self) -> Report {
        let networks: Vec<SimNetwork> = (0..3).map(|_| self.stage.network.for_client()).collect();
        let clients: Vec<_> =
            networks.iter().zip(0..).map(|(own, id)| self.start_client(own, id)).collect();
        for _ in 0..self.stage.random.u32(4..14) {
            let cut_off = self.stage.random.usize(0..networks.len() * 2);
            if let Some(network) = networks.get(cut_off) {
                network.freeze();
                self.stage.world.count("program cut off");
                sleep(self.lease_time.mul_f64(self.stage.random.f64() * 2.0)).await;
            }
            // A table that is created again begins with the first token.
            self.stage.disturb(|_| 0).await;
            networks.iter().for_each(SimNetwork::thaw);
        }
        let late = |check, detail| self.shared.say(check, detail);
        for client in self.stage.repair(clients, late).await {
            client.end().await;
        }
        self.stage.report(&mut self.shared.lock().history, "lease held")
    }

    fn start_client(&mut self, network: &SimNetwork, id: u32) -> JoinHandle<Client> {
        let client = Client {
            context: self.stage.context(network),
            name: self.name.clone(),
            config: self.config.clone(),
            lease: self.lease.clone(),
            lease_time: self.lease_time,
            random: self.stage.random.fork(),
            shared: self.shared.clone(),
            id,
            tenures: self.stage.random.u32(3..10),
        };
        let recipe = self.recipe;
        tokio::spawn(async move {
            match recipe {
                Recipe::Lock => client.lock().await,
                Recipe::Leadership => client.lead().await,
            }
        })
    }
}

/// A program.
struct Client {
    context: SegmentContext,
    name: ScopedKeyValueTable,
    config: SynchronizerConfig,
    lease: LeaseConfig,
    lease_time: Duration,
    random: fastrand::Rng,
    shared: Shared,
    id: u32,
    /// How often it tries to get the lease.
    tenures: u32,
}

impl Client {
    async fn open(&self) -> TableSynchronizer<Raw, Raw> {
        loop {
            let (context, config) = (self.context.clone(), self.config.clone());
            match TableSynchronizer::open(context, &self.name, Raw, Raw, config).await {
                Ok(table) => return table,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn draw(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.f64())
    }

    /// Acquires the lock again and again.
    async fn lock(mut self) -> Self {
        let mut lock = Lock::new(self.open().await, KEY, self.lease.clone());
        for _ in 0..self.tenures {
            match lock.acquire(self.lease_time * 3).await {
                Ok(held) => self.hold(held).await,
                Err(_) => self.shared.count("lease not acquired"),
            }
            self.shared.gives_up(self.id);
            sleep(self.draw(self.lease_time)).await;
        }
        self
    }

    /// Holds the lock for a while, and releases it, or leaves it to its lease.
    async fn hold(&mut self, mut held: LockGuard<'_>) {
        self.shared.count("lease held");
        self.shared.holds(self.id, held.token(), held.left());
        for _ in 0..self.random.u32(0..4) {
            sleep(self.draw(self.lease_time / 2)).await;
            if !held.left().is_zero() {
                self.shared.uses(self.id, held.token());
            }
            match held.renew().await {
                Ok(true) => {
                    self.shared.count("lease renewed");
                    self.shared.holds(self.id, held.token(), held.left());
                }
                Ok(false) => {
                    self.shared.count("lease lost");
                    return;
                }
                Err(_) => self.shared.count("lease not renewed"),
            }
        }
        if self.random.bool() {
            self.shared.gives_up(self.id);
            let released = held.release().await;
            self.shared.count(if released.is_ok() { "lease released" } else { "lease left" });
        } else {
            // It goes on until the lease ends.
            sleep(held.left()).await;
        }
    }

    /// Takes part in the election again and again.
    async fn lead(mut self) -> Self {
        let mut election = Election::new(self.open().await, KEY, self.lease.clone());
        for _ in 0..self.tenures * 3 {
            if election.round().await.is_err() {
                self.shared.count("lease not renewed");
            }
            let ends = Instant::now() + self.draw(election.pause() * 4);
            let mut has_led = false;
            while Instant::now() < ends {
                match election.role() {
                    Role::Leader { token } => {
                        // It looks again before that time.
                        self.shared.holds(self.id, token, LOOK);
                        self.shared.uses(self.id, token);
                        has_led = true;
                        sleep(LOOK).await;
                    }
                    Role::Follower { .. } => {
                        self.shared.gives_up(self.id);
                        sleep(LOOK).await;
                    }
                }
            }
            self.shared.count(if has_led { "lease held" } else { "lease not acquired" });
            self.shared.gives_up(self.id);
            if self.random.u32(0..4) == 0 && election.resign().await.is_ok() && has_led {
                self.shared.count("lease released");
            }
        }
        self
    }

    /// Gets the lease after the repair, when those of before have ended.
    async fn end(self) {
        let mut lock = Lock::new(self.open().await, KEY, self.lease.clone());
        match lock.acquire(PATIENCE).await {
            Ok(held) => {
                self.shared.count("lease held after the repair");
                held.release().await.ok();
            }
            Err(error) => {
                self.shared.say("C14", format!("no lease after the repair: {error}"));
            }
        }
    }
}
