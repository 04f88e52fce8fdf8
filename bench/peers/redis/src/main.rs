//! The counterpart that uses Redis: a stream for each producer. It does what `own.rs` of
//! `elsewhere` does, with the same lines.
//!
//! One thread: tasks that are spawned in an order send their pipelines in it.

#[path = "../../../src/histogram.rs"]
#[allow(dead_code)]
mod histogram;
#[path = "../../../src/elsewhere/numbered.rs"]
mod numbered;
#[path = "../../../src/elsewhere/timeline.rs"]
mod timeline;
#[path = "../../../src/work.rs"]
#[allow(dead_code)]
mod work;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use numbered::{Check, Numbered};
use redis::{aio::MultiplexedConnection, AsyncConnectionConfig, Client, Value};
use timeline::Timeline;
use tokio::{sync::Semaphore, task::LocalSet};
use work::{wait_for_a_line, Work};

/// The events of a pipeline.
const PIPELINE: usize = 500;
/// The pipelines that all producers together may have waiting.
const IN_FLIGHT: usize = 8;
/// The pipelines that may wait for their answer at a rate.
const AT_A_RATE: usize = 10_000;
const READ: usize = 1000;
const WARM_UP: f64 = 3.0;
const FAR: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = Work::parse(&arguments).expect("URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, run(work));
    std::process::exit(0);
}

async fn run(work: Work) {
    let client = Client::open(work.uri.as_str()).expect("a client");
    let mut producers = Vec::new();
    for number in 0..work.keys {
        producers.push(Producer {
            key: format!("{}:{number}", work.stream),
            connection: connect(&client).await,
            events: Numbered::new(number as u16, work.size),
        });
    }
    let seconds = if work.mode == "read" { f64::MAX } else { WARM_UP.min(work.seconds) };
    let mode = if work.mode == "read" { "throughput" } else { &work.mode }.to_owned();
    let (mut producers, _) = write(producers, &Work { seconds, mode, ..work.clone() }).await;
    println!("ready");
    wait_for_a_line();
    let began = Instant::now();
    if work.mode == "read" {
        let (check, timeline) = read_back(&client, &work, &producers, began).await;
        println!("{}", timeline.report(began.elapsed()));
        wait_for_a_line();
        println!("{}", check.report(count(&producers)));
    } else {
        let timeline;
        (producers, timeline) = write(producers, &work).await;
        println!("{}", timeline.report(began.elapsed()));
        wait_for_a_line();
        let (check, _) = read_back(&client, &work, &producers, began).await;
        println!("{}", check.report(count(&producers)));
    }
    wait_for_a_line();
}

fn count(producers: &[Producer]) -> u64 {
    producers.iter().map(|producer| producer.events.count()).sum()
}

async fn connect(client: &Client) -> MultiplexedConnection {
    // By default an answer is given up after half a second.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(FAR))
        .set_connection_timeout(Some(FAR));
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection")
}

struct Producer {
    key: String,
    connection: MultiplexedConnection,
    events: Numbered,
}

impl Producer {
    async fn write(mut self, work: Work, began: Instant, in_flight: usize) -> (Self, Timeline) {
        let timeline = Rc::new(RefCell::new(Timeline::new(began)));
        let permits = Arc::new(Semaphore::new(in_flight));
        let mut written = 0;
        while !work.is_over(began, written) {
            work.wait_for_turn(began, written).await;
            let len = match work.mode.as_str() {
                "latency" => 1,
                // What is due by now.
                "rate" => {
                    let due = began.elapsed().as_nanos() as u64 * work.rate / 1_000_000_000;
                    (due + 1).saturating_sub(written).clamp(1, PIPELINE as u64)
                }
                _ => (PIPELINE as u64).min((work.max_bytes / work.size as u64).saturating_sub(written).max(1)),
            };
            let permit = Arc::clone(&permits).acquire_owned().await.expect("a permit");
            let mut pipeline = redis::pipe();
            let mut begun = Vec::new();
            for _ in 0..len {
                begun.push(Instant::now());
                pipeline.cmd("XADD").arg(&self.key).arg("*").arg("e").arg(self.events.next_event()).ignore();
            }
            written += len;
            let (mut connection, timeline) = (self.connection.clone(), Rc::clone(&timeline));
            let sending = tokio::task::spawn_local(async move {
                pipeline.exec_async(&mut connection).await.expect("an answer");
                let mut timeline = timeline.borrow_mut();
                begun.into_iter().for_each(|begun| timeline.acknowledged(begun));
                drop(permit);
            });
            if work.mode == "latency" {
                sending.await.expect("an answer");
            }
        }
        drop(permits.acquire_many(in_flight as u32).await.expect("all answers"));
        let timeline = timeline.borrow().clone();
        (self, timeline)
    }
}

async fn write(producers: Vec<Producer>, work: &Work) -> (Vec<Producer>, Timeline) {
    let share = producers.len() as u64;
    let in_flight = match work.mode.as_str() {
        "rate" => AT_A_RATE,
        _ => IN_FLIGHT / producers.len(),
    };
    let work = Work { max_bytes: work.max_bytes / share, rate: work.rate / share, ..work.clone() };
    let began = Instant::now();
    let mut timeline = Timeline::new(began);
    let writing: Vec<_> = producers
        .into_iter()
        .map(|producer| tokio::task::spawn_local(producer.write(work.clone(), began, in_flight)))
        .collect();
    let mut producers = Vec::new();
    for written in writing {
        let (producer, seconds) = written.await.expect("a producer");
        timeline.merge(&seconds);
        producers.push(producer);
    }
    (producers, timeline)
}

async fn read_back(client: &Client, work: &Work, producers: &[Producer], began: Instant) -> (Check, Timeline) {
    let mut connection = connect(client).await;
    let mut timeline = Timeline::new(began);
    let mut check = Check::new(work.keys, work.size);
    for producer in producers {
        let mut after = "-".to_owned();
        let (before, wanted) = (check.read(), producer.events.count());
        while check.read() - before < wanted {
            let mut read = redis::cmd("XRANGE");
            read.arg(&producer.key).arg(&after).arg("+").arg("COUNT").arg(READ);
            let entries: Value = read.query_async(&mut connection).await.expect("an answer");
            let Value::Array(entries) = entries else { panic!("no list: {entries:?}") };
            assert!(!entries.is_empty(), "the stream ended early");
            timeline.read(entries.len() as u64);
            for entry in entries {
                let (id, event) = event_of(entry);
                check.take(&event);
                after = format!("({id}");
            }
        }
    }
    (check, timeline)
}

/// An entry is its id, and a list of one field and its value.
fn event_of(entry: Value) -> (String, Vec<u8>) {
    let Value::Array(parts) = entry else { panic!("no entry: {entry:?}") };
    let [Value::BulkString(id), Value::Array(fields)] = &parts[..] else { panic!("no entry: {parts:?}") };
    let [_, Value::BulkString(event)] = &fields[..] else { panic!("no value: {fields:?}") };
    (String::from_utf8(id.clone()).expect("an id"), event.clone())
}
