//! A seed as a table that clients agree on: several synchronizers update it over connections that
//! break, while replies are lost, requests are late, the table moves between stores, its removals
//! are cleaned away, and it is deleted and created again.
//!
//! | check | holds |
//! |---|---|
//! | C9 | all updates, and what fetches return, have an order |
//! | C9 | no function runs on some of the changes that were made together |
//! | C14 | every call ends within its limit, and succeeds after the repair |
//! | W1 | every copy is in the end what the table holds |

use std::{collections::BTreeMap, time::Duration};

use futures_util::TryStreamExt as _;
use pravega_sdk_event_stream::{SeededBug, codec::Utf8};
use pravega_sdk_table_synchronizer::{
    SynchronizerConfig, TableConfig, TableKind, TableSegment, TableSynchronizer,
};
use pravega_sdk_types::ScopedKeyValueTable;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    agreed_load::{Client, KEYS, Shared, Table, name_of},
    linear::{self, PutId, Step, Told, Verdict, Wanted},
    load::patient,
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
        scenario.stage.create_scope().await;
        scenario.run().await
    })
}

struct Scenario {
    stage: Stage,
    name: ScopedKeyValueTable,
    config: SynchronizerConfig,
    shared: Shared,
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        let times = Times { request_millis: 300..2000, requests: 2..8 };
        let name: ScopedKeyValueTable = "sim/agreed".parse().expect("a name");
        let (stage, table) = Stage::new(seed, About::table(&name), times, |random, limit| {
            TableConfig::default().with_timeout(limit).with_page_size(random.u32(1..6))
        });
        let config = SynchronizerConfig::default().with_table(with_bug(table, bug));
        Self { stage, name, config: config.with_max_runs(30), shared: Shared::default() }
    }

    async fn run(mut self) -> Report {
        let clients: Vec<_> = (0..4).map(|_| self.start_client()).collect();
        for _ in 0..self.stage.random.u32(2..10) {
            if self.stage.disturb(|_| 0).await {
                self.recreate().await;
            }
        }
        let late = |check, detail| self.shared.say(check, detail);
        let mut ended = self.stage.repair(clients, late).await;
        for (client, table) in &mut ended {
            client.end(table).await;
        }
        let truth = self.read().await;
        for (client, table) in &mut ended {
            client.compare(table, &truth).await;
        }
        self.report()
    }

    fn start_client(&mut self) -> JoinHandle<(Client, Table)> {
        let stage = &mut self.stage;
        let client = Client {
            context: stage.context(&stage.network),
            name: self.name.clone(),
            config: self.config.clone(),
            limit: stage.limit,
            random: stage.random.fork(),
            shared: self.shared.clone(),
            operations: stage.random.u32(8..25),
            max_pause: Duration::from_millis(stage.random.u64(1..400)),
        };
        tokio::spawn(client.run())
    }

    /// Deletes the table, and creates it again: all keys are removed at once.
    async fn recreate(&mut self) {
        let context = self.stage.context(&self.stage.perfect);
        let opened = TableSegment::open(context.clone(), &self.name, 0.into(), patient()).await;
        let Ok(table) = opened else { return };
        let begun = self.shared.now();
        table.delete().await.expect("the stores answer");
        let gone = (0..KEYS).map(|key| Step { key, wanted: Wanted::Anything, put: None });
        // What is put from here on is in the next table.
        self.shared.note(begun, gone.collect(), Told::Made);
        sleep(Duration::from_millis(self.stage.random.u64(0..300))).await;
        let config = SynchronizerConfig::default().with_table(patient());
        let opened = TableSynchronizer::open(context, &self.name, Utf8, Utf8, config).await;
        drop(opened.expect("the stores answer"));
        self.stage.world.count("agreed table deleted and made again");
    }

    /// The entries of the table as they are stored.
    async fn read(&self) -> [Option<PutId>; KEYS] {
        let context = self.stage.context(&self.stage.perfect);
        let kind = TableKind::Hash;
        let created = TableSegment::create(context, &self.name, 0.into(), kind, patient()).await;
        let (table, _) = created.expect("the stores answer");
        let entries: Vec<_> = table.entries().try_collect().await.expect("the stores answer");
        let stored: BTreeMap<_, _> =
            entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        std::array::from_fn(|key| {
            let stored = stored.get([&[1], name_of(key).as_bytes()].concat().as_slice())?;
            let (1u8, value) = stored.split_first()? else { return None };
            let text = std::str::from_utf8(value).expect("a value of a client");
            Some(text.trim_end_matches('.').parse().expect("a value of a client"))
        })
    }

    fn report(&self) -> Report {
        let mut log = self.shared.lock();
        match linear::check(KEYS, &log.operations, &BTreeMap::new()) {
            Verdict::Linearizable => log.history.count("table in order"),
            Verdict::Undecided => log.history.count("table undecided"),
            Verdict::Impossible { fitted, required } => {
                let detail = format!("{fitted} of {required} operations have an order");
                log.history.say("C9", detail);
            }
        }
        self.stage.report(&mut log.history, "update made")
    }
}
