//! A disk that takes long: no reply leaves early, what waits is bounded, and nothing else waits.

use super::*;
use crate::{disk_queue::Writes, limits::QUEUED_BYTES};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn while_a_write_or_a_sync_takes_long_reads_are_answered_and_no_reply_leaves() {
    for call in [Slow::Writes, Slow::Syncs] {
        let server = Server::start().await;
        server.append("one", b"durable").await.unwrap();
        let parts = server.evict("one", 7);
        server.disk.hold(&[call]);
        let (_, after) = server.state.run(append("one", b" later"));
        let state = Arc::clone(&server.state);
        let reply = tokio::spawn(async move { state.wait_durable(after).await });
        server.until("a call waits", |server| server.disk.are_held() > 0).await;
        assert_eq!(server.info("one").unwrap().len, 13, "from memory");
        assert_eq!(server.read(&parts).await.unwrap(), &b"durable"[..], "from files");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!reply.is_finished(), "{call:?}: it is not durable");
        server.disk.hold(&[]);
        timeout(FAR, reply).await.unwrap().unwrap().unwrap();
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_slow_disk_is_bounded_and_answered_in_the_end() {
    const CALLS: u64 = 40;
    for call in [Slow::Writes, Slow::Syncs] {
        let server = Server::start().await;
        server.disk.hold(&[call]);
        let append = |_| {
            let (state, bytes) = (Arc::clone(&server.state), vec![7; MIB as usize]);
            tokio::spawn(async move { state.run_durably(append("one", &bytes)).await })
        };
        let calls: Vec<_> = (0..CALLS).map(append).collect();
        let queued = |server: &Server| server.state.log.as_ref().unwrap().queued();
        server.until("the queue is full", |server| queued(server) >= QUEUED_BYTES).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The last of them came when there was hardly room.
        let most = QUEUED_BYTES + MIB + MIB / 2;
        assert!(queued(&server) <= most, "{call:?}: {} bytes are queued", queued(&server));
        assert!(server.info("one").unwrap().len <= most, "{call:?}: the others have not begun");
        assert!(calls.iter().all(|call| !call.is_finished()), "{call:?}: nothing is durable");
        // A connection that has changed something is not read.
        let last = server.state.with_machine(|machine| machine.journal.latest());
        assert!(server.state.has_to_wait_for_disk(last, Writes::Little));
        server.disk.hold(&[]);
        for call in calls {
            timeout(FAR, call).await.unwrap().unwrap().unwrap();
        }
        assert_eq!(server.info("one").unwrap().len, CALLS * MIB);
        assert!(!server.state.has_to_wait_for_disk(last, Writes::Little));
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_threads_that_read_wait_for_the_disk_others_append_and_read() {
    let server = Server::start().await;
    let long = vec![7; MIB as usize];
    server.append("one", &long).await.unwrap();
    let parts = server.evict("one", long.len());
    server.create("two").await.unwrap().unwrap();
    server.disk.hold(&[Slow::Reads]);
    let read = |_| {
        let (state, parts) = (Arc::clone(&server.state), parts.clone());
        tokio::spawn(async move { state.read_from_disk(parts).await })
    };
    // Clients that catch up.
    let reads: Vec<_> = (0..20).map(read).collect();
    server.until("reads wait", |server| server.disk.are_held() >= 2).await;
    for number in 0..100_u64 {
        server.append("two", &number.to_be_bytes()).await.unwrap();
    }
    let found = server.state.with_machine(|machine| machine.store.look("two", 792, 8));
    assert_eq!(found, Some(Look::Bytes(Bytes::copy_from_slice(&99_u64.to_be_bytes()))));
    assert!(reads.iter().all(|read| !read.is_finished()));
    server.disk.hold(&[]);
    for read in reads {
        let found = timeout(FAR, read).await.unwrap().unwrap().unwrap();
        assert!(found == long);
    }
    server.end().await;
}
