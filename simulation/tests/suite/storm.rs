//! An outage that many clients share: they retry in moderation, and do not all reconnect at once.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_event_stream::{EventWriter, WriterConfig, codec::Raw};

use crate::common::{Cluster, block_on};

const CLIENTS: u64 = 200;
const OUTAGE: Duration = Duration::from_secs(60);

#[test]
fn two_hundred_clients_live_through_a_minute_without_stores_in_moderation() {
    for seed in 0..20 {
        block_on(async {
            let cluster = Cluster::new(1);
            let mut writers = Vec::new();
            for client in 0..CLIENTS {
                let config = WriterConfig::default().with_seed(seed * CLIENTS + client);
                let writer = EventWriter::open(cluster.context(), &cluster.stream, Raw, config)
                    .await
                    .unwrap();
                writer.write("k", "before").await.unwrap();
                writers.push(writer);
            }
            let before = cluster.network.attempts().len();
            assert_eq!(before as u64, CLIENTS, "without a fault one connection is enough");
            cluster.world.set_store_up(0, false);
            cluster.network.reset(0);
            let mut acks = Vec::new();
            for writer in &writers {
                acks.push(writer.enqueue("k", "during").await.unwrap());
            }
            tokio::time::sleep(OUTAGE).await;
            let during = cluster.network.attempts().len() - before;
            assert!(during <= (CLIENTS * 25) as usize, "{during} attempts of {CLIENTS} clients");
            cluster.world.set_store_up(0, true);
            for ack in acks {
                ack.await.unwrap();
            }
            let mut slots: BTreeMap<u128, usize> = BTreeMap::new();
            for attempt in &cluster.network.attempts()[before + during..] {
                *slots
                    .entry(attempt.duration_since(cluster.network.attempts()[0]).as_millis() / 100)
                    .or_default() += 1;
            }
            let most = slots.values().max().copied().unwrap_or(0);
            assert!(
                most as u64 <= CLIENTS * 8 / 100,
                "{most} of {CLIENTS} came back within 100 ms: {slots:?}"
            );
        });
    }
}
