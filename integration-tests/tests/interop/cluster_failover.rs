//! A segment store is killed under load; `cargo xtask interop cluster` starts the cluster and names
//! the store.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, factory, new_stream};

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_continues_after_a_store_is_killed_and_loses_duplicates_and_reorders_nothing() {
    let pid = std::env::var("PRAVEGA_TEST_STORE_PID")
        .expect("run this test with `cargo xtask interop cluster`");
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 8).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..16)
        .map(|at| {
            let (writer, stopped) = (writer.clone(), stopped.clone());
            tokio::spawn(async move {
                let key = format!("key-{at}");
                let (mut number, mut longest) = (0_u32, Duration::ZERO);
                while !*stopped.borrow() {
                    let begun = Instant::now();
                    let mut acks = Vec::new();
                    for _ in 0..20 {
                        acks.push(writer.enqueue(&key, format!("{key}:{number}")).await.unwrap());
                        number += 1;
                    }
                    for ack in acks {
                        ack.await.unwrap();
                    }
                    longest = longest.max(begun.elapsed());
                }
                (number, longest)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let killed = Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    assert!(killed.success());
    // Another store takes over after about 23 s; then the writers continue for a while.
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.send(true).unwrap();
    let (mut counts, mut longest) = (Vec::new(), Duration::ZERO);
    for task in tasks {
        let (count, wait) = task.await.unwrap();
        counts.push(count);
        longest = longest.max(wait);
    }
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for found in harness::read_all(&factory, &stream).await {
        let text = String::from_utf8(found.event().to_vec()).unwrap();
        let (key, number) = text.split_once(':').unwrap();
        keys.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    println!("{} events, the longest wait was {longest:?}", counts.iter().sum::<u32>());
    for (at, count) in counts.into_iter().enumerate() {
        assert_eq!(keys[&format!("key-{at}")], (0..count).collect::<Vec<_>>(), "key-{at}");
    }
    assert!(longest > Duration::from_secs(5), "no writer waited for another store");
    assert!(longest < Duration::from_secs(55), "{longest:?}");
}
