//! A seed as tables with faults: clients change and read the same keys of a key-value table over
//! connections that break, while replies are lost, requests are late, partitions move, and the
//! table is deleted and created again. Beside them a watch follows the table, and a reader of
//! changes follows a hash table.
//!
//! | check | holds |
//! |---|---|
//! | C9, C11 | those of `history` |
//! | C14 | every call ends within its limit, and every client is done after the repair |
//! | W1 | a watch, and a reader of changes, know in the end what the table holds |
//! | W2 | a watch that is resumed all the time reports each put once |

pub mod agreed;
mod agreed_load;
mod follow;
mod history;
mod leases;
mod linear;
mod load;
pub mod recipes;
mod stage;
pub mod states;
mod states_load;

use std::time::Duration;

use pravega_sdk_controller_client::{Controller as _, KeyValueTableConfiguration};
use pravega_sdk_event_stream::{SeededBug, SegmentContext};
use pravega_sdk_table_synchronizer::{KeyValueTable, TableConfig, Values};
use pravega_sdk_types::ScopedKeyValueTable;
use tokio::{task::JoinHandle, time::sleep};

use self::{
    follow::{Follower, QUIET, Watcher},
    history::Shared,
    load::{Client, Opened, SECONDARIES, patient, scan},
    stage::{About, Stage, Times, block_on, with_bug},
};
use crate::Report;

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    block_on(async {
        let scenario = Scenario::new(seed, bug);
        scenario.create_table().await;
        scenario.run().await
    })
}

struct Scenario {
    stage: Stage,
    name: ScopedKeyValueTable,
    configuration: KeyValueTableConfiguration,
    config: TableConfig,
    bug: Option<SeededBug>,
    history: Shared,
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        let times = Times { request_millis: 200..2000, requests: 1..6 };
        let name: ScopedKeyValueTable = "sim/table".parse().expect("a name");
        let (stage, (config, configuration)) =
            Stage::new(seed, About::table(&name), times, |random, limit| {
                let values = if random.bool() { Values::Unique } else { Values::MayRepeat };
                let config = TableConfig::default()
                    .with_timeout(limit)
                    .with_values(values)
                    .with_page_size(random.u32(1..6));
                let configuration = KeyValueTableConfiguration::new(random.u32(1..4), 1)
                    .with_secondary_key_length(1);
                (config, configuration)
            });
        let config = with_bug(config, bug);
        Self { stage, name, configuration, config, bug, history: Shared::default() }
    }

    async fn create_table(&self) {
        self.stage.create_scope().await;
        let (controller, name) = (&self.stage.controller, &self.name);
        let created = controller.create_key_value_table(name, &self.configuration);
        created.await.expect("no fault yet");
    }

    async fn run(mut self) -> Report {
        let clients: Vec<JoinHandle<()>> = (0..5).map(|_| self.start_client()).collect();
        let perfect = self.stage.context(&self.stage.perfect);
        // A bug of the checker's clients would show as one of the others.
        let config = with_bug(patient(), self.bug);
        let watcher = Watcher::start(perfect.clone(), &self.name, config);
        let config = with_bug(patient().with_page_size(2), self.bug);
        let random = self.stage.random.fork();
        let follower = Follower::start(perfect.clone(), config, random).await;
        for _ in 0..self.stage.random.u32(2..12) {
            if self.stage.disturb(|random| random.i64(0..3)).await {
                self.recreate().await;
            }
        }
        let late = |check, detail| self.history.lock().say(check, detail);
        self.stage.repair(clients, late).await;
        self.check_end(perfect).await;
        sleep(QUIET).await;
        watcher.check(&self.history).await;
        follower.check(&self.history).await;
        self.stage.report(&mut self.history.lock(), "table change made")
    }

    fn start_client(&mut self) -> JoinHandle<()> {
        let stage = &mut self.stage;
        let client = Client {
            context: stage.context(&stage.network),
            name: self.name.clone(),
            config: self.config.clone(),
            limit: stage.limit,
            random: stage.random.fork(),
            history: self.history.clone(),
            operations: stage.random.u32(10..50),
            max_pause: Duration::from_millis(stage.random.u64(1..200)),
        };
        tokio::spawn(client.run())
    }

    async fn recreate(&mut self) {
        let Self { name, stage: Stage { random, world, controller, .. }, .. } = self;
        let deleted = controller.delete_key_value_table(name).await;
        deleted.expect("the controller answers");
        sleep(Duration::from_millis(random.u64(0..300))).await;
        let created = controller.create_key_value_table(name, &self.configuration);
        created.await.expect("the controller answers");
        world.count("table deleted and made again");
    }

    /// Reads everything over links that work.
    async fn check_end(&self, context: SegmentContext) {
        let opened = KeyValueTable::open(context, &self.name, patient()).await;
        let mut opened = Opened::new(opened.expect("the controller answers"));
        if let Err(kind) = scan(&mut opened, None, &self.history).await {
            self.history.lock().say("C14", format!("the table cannot be read: {kind:?}"));
        }
        self.history.lock().check(usize::from(SECONDARIES));
    }
}
