//! Readers of both clients that come and go in a random order.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use pravega_sdk_integration_tests::harness::{FAR, scale_all};

use super::{
    log::Log,
    member::{Client, Member},
    mixed::{Mixed, are_in_order},
};

const CHECKPOINTS: Option<Duration> = Some(Duration::from_millis(300));
const STEPS: usize = 15;
const MAX_READERS: usize = 4;

/// The readers in the group, and the logs of all that were in it.
struct Readers {
    live: Vec<Member>,
    logs: Vec<Log>,
}

impl Readers {
    async fn join(&mut self, mixed: &Mixed, client: Client) {
        let member = mixed.join(client, &format!("reader-{}", self.logs.len())).await;
        self.logs.push(member.log.clone());
        self.live.push(member);
    }

    fn take(&mut self, random: &mut Rng) -> Member {
        self.live.swap_remove(random.usize(..self.live.len()))
    }
}

/// A reader ends without leaving, and a client takes it out after its last event.
async fn die(mixed: &Mixed, reader: Member, by: Client) {
    let id = reader.id.clone();
    let last = reader.vanish().await.events().pop();
    mixed.offline(by, &id, last.map(|last| last.position).as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_read_once_in_whatever_order_readers_come_and_go_and_the_stream_scales() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let mixed = Mixed::new(2, CHECKPOINTS).await;
    let mut readers = Readers { live: Vec::new(), logs: Vec::new() };
    for client in [Client::Java, Client::Rust] {
        readers.join(&mixed, client).await;
    }
    for _ in 0..STEPS {
        let client = if random.bool() { Client::Java } else { Client::Rust };
        let (is_full, is_spare) = (readers.live.len() >= MAX_READERS, readers.live.len() > 1);
        match random.u32(..8) {
            0..=1 if !is_full => readers.join(&mixed, client).await,
            2 if is_spare => {
                readers.take(&mut random).close().await;
            }
            3 if is_spare => die(&mixed, readers.take(&mut random), client).await,
            4 => {
                let segments = random.u32(2..7);
                scale_all(mixed.factory.controller(), &mixed.stream, segments).await;
            }
            // The next checkpoint of a reader may replace it before its cuts are read.
            5 => drop(mixed.group.generate_stream_cuts(FAR).await),
            _ => mixed.write_one_by_one(random.u32(..100)).await,
        }
        mixed.write(random.u32(..50)).await;
    }
    mixed.all_are_read(&readers.logs, &BTreeSet::new()).await;
    for reader in readers.live {
        assert_eq!(reader.log.ending(), None, "{} is in the group", reader.id);
        reader.close().await;
    }
    mixed.all_are_read(&readers.logs, &BTreeSet::new()).await;
    are_in_order(&readers.logs);
}
