//! Delegation tokens that expire while events are written and read: no writer and no reader sees
//! one.

use std::time::Duration;

use pravega_sdk_event_stream::{EventReader, EventWriter, ReaderConfig, codec::Raw, codec::Utf8};
use pravega_sdk_simulation::World;
use tokio::time::{sleep, timeout};

use crate::common::{Cluster, block_on};

const SECOND: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(30);
const EXPIRIES: u64 = 300;
/// An expiry may cost a connection and a call of the controller, and no wait that is felt.
const PROMPT: Duration = SECOND;

struct Pair {
    writer: EventWriter<Raw>,
    reader: EventReader<Utf8>,
    written: usize,
}

impl Pair {
    async fn open(cluster: &Cluster) -> Self {
        let writer = cluster.writer().await;
        Self { writer, reader: cluster.reader(ReaderConfig::default()).await, written: 0 }
    }

    /// Writes an event and reads it, each within a time.
    async fn pass(&mut self, limit: Duration) {
        let event = format!("event {}", self.written);
        let writing = self.writer.write("key", event.clone().into_bytes());
        timeout(limit, writing).await.expect("it is stored in time").unwrap();
        let read = timeout(limit, self.reader.next()).await.expect("it is read in time");
        assert_eq!(read.unwrap().unwrap().into_event(), event);
        self.written += 1;
    }
}

fn counted(world: &World, what: &str) -> u64 {
    world.counters().get(what).copied().unwrap_or_default()
}

#[test]
fn three_hundred_expiries_are_seen_by_no_writer_and_no_reader() {
    let cluster = Cluster::new(1);
    cluster.world.set_tokens(LIFETIME);
    block_on(async {
        let mut pair = Pair::open(&cluster).await;
        let closed = || counted(&cluster.world, "connection closed as its token expired");
        // A store ends the connection of a writer when its token expires, whatever the client does.
        for round in 0.. {
            if closed() >= EXPIRIES {
                break;
            }
            assert!(round < 10 * EXPIRIES, "only {} connections were closed", closed());
            sleep(LIFETIME / 5).await;
            pair.pass(PROMPT).await;
        }
        let written = pair.written;
        pair.writer.close(SECOND).await.into_result().unwrap();
        assert_eq!(cluster.texts().len(), written, "each event is stored once");
    });
}

/// The clients' clocks do not show that the tokens have expired; only the stores' answers do.
#[test]
fn tokens_that_only_the_stores_know_as_expired_are_replaced_on_their_word() {
    let cluster = Cluster::new(1);
    cluster.world.set_tokens(LIFETIME);
    block_on(async {
        let mut pair = Pair::open(&cluster).await;
        for round in 0..EXPIRIES {
            pair.pass(PROMPT).await;
            if round % 2 == 0 {
                cluster.world.revoke_tokens();
            } else {
                cluster.world.advance_clock(LIFETIME + SECOND);
            }
            // The writer presents its token again to a new connection.
            cluster.network.reset(0);
            sleep(LIFETIME / 3).await;
        }
        pair.pass(PROMPT).await;
        let written = pair.written;
        pair.writer.close(SECOND).await.into_result().unwrap();
        assert_eq!(cluster.texts().len(), written, "each event is stored once");
        assert_eq!(counted(&cluster.world, "tokens revoked"), EXPIRIES / 2);
    });
}
