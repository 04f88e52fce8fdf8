//! The counterpart that uses Kafka, through librdkafka. It does what `own.rs` of `elsewhere` does,
//! with the same lines.

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
    sync::{Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use numbered::{Check, Numbered};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::{ClientContext, DefaultClientContext},
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{DeliveryResult, Message},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
    Offset, TopicPartitionList,
};
use timeline::Timeline;
use work::{wait_for_a_line, Work};

/// What all producers together may have waiting, in messages: the default of one.
const IN_FLIGHT: usize = 100_000;
const WARM_UP: f64 = 3.0;
const COUNTED: u64 = 256;
const FAR: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = Work::parse(&arguments).expect("URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS");
    let topic = work.stream.replace('/', ".");
    create(&work, &topic);
    let mut producers: Vec<Producer> =
        (0..work.keys).map(|number| Producer::new(&work, &topic, number)).collect();
    let seconds = if work.mode == "read" { f64::MAX } else { WARM_UP.min(work.seconds) };
    let mode = if work.mode == "read" { "throughput" } else { &work.mode }.to_owned();
    write(&mut producers, &Work { seconds, mode, ..work.clone() });
    println!("ready");
    wait_for_a_line();
    let began = Instant::now();
    let count = |producers: &[Producer]| producers.iter().map(|p| p.events.count()).sum();
    if work.mode == "read" {
        let (check, timeline) = read_back(&work, &topic, count(&producers), began);
        println!("{}", timeline.report(began.elapsed()));
        wait_for_a_line();
        println!("{}", check.report(count(&producers)));
    } else {
        let timeline = write(&mut producers, &work);
        println!("{}", timeline.report(began.elapsed()));
        wait_for_a_line();
        let (check, _) = read_back(&work, &topic, count(&producers), Instant::now());
        println!("{}", check.report(count(&producers)));
    }
    wait_for_a_line();
    std::process::exit(0);
}

fn create(work: &Work, topic: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &work.uri).create().expect("a client");
    let new = NewTopic::new(topic, work.keys as i32, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(FAR)).request_timeout(Some(FAR));
    let made = runtime.block_on(admin.create_topics([&new], &options)).expect("an answer");
    made.into_iter().for_each(|topic| drop(topic.expect("a topic")));
}

/// What the producer reports of its events: each has the time since `base` at which it was handed
/// in.
struct Acks {
    base: Instant,
    state: Mutex<State>,
    /// Told after each acknowledgement if events are written one at a time.
    one: Condvar,
    is_latency: bool,
}

struct State {
    timeline: Timeline,
    acknowledged: u64,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, begun: usize) {
        if let Err((error, _)) = result {
            eprintln!("an event is lost: {error}");
            std::process::exit(1);
        }
        let mut state = self.state.lock().expect("a state");
        state.acknowledged += 1;
        state.timeline.acknowledged(self.base + Duration::from_nanos(begun as u64));
        if self.is_latency {
            self.one.notify_all();
        }
    }
}

struct Producer {
    number: i32,
    topic: String,
    producer: ThreadedProducer<Acks>,
    events: Numbered,
}

impl Producer {
    fn new(work: &Work, topic: &str, number: usize) -> Self {
        let base = Instant::now();
        let state = State { timeline: Timeline::new(base), acknowledged: 0 };
        let is_latency = work.mode == "latency";
        let acks = Acks { base, state: Mutex::new(state), one: Condvar::new(), is_latency };
        // The default waits 5 ms for more, which is right for a flood only.
        let linger = if is_latency || work.mode == "rate" { "0" } else { "5" };
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &work.uri)
            .set("acks", "all")
            .set("linger.ms", linger)
            .set("queue.buffering.max.messages", (IN_FLIGHT / work.keys).to_string())
            .create_with_context(acks)
            .expect("a producer");
        let events = Numbered::new(number as u16, work.size);
        Self { number: number as i32, topic: topic.to_owned(), producer, events }
    }

    fn acks(&self) -> &Acks {
        self.producer.context()
    }

    fn write(&mut self, work: &Work, began: Instant) -> Timeline {
        self.acks().state.lock().expect("a state").timeline = Timeline::new(began);
        let mut written = 0;
        while !work.is_over(began, written) {
            if work.mode == "rate" {
                let due = began + Duration::from_nanos(written * 1_000_000_000 / work.rate);
                while Instant::now() < due {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            let event = self.events.next_event();
            let begun = self.acks().base.elapsed().as_nanos() as usize;
            self.send(&event, begun);
            written += 1;
            if work.mode == "latency" {
                let count = self.events.count();
                let acks = self.acks();
                let state = acks.state.lock().expect("a state");
                drop(acks.one.wait_while(state, |state| state.acknowledged < count).expect("a state"));
            }
        }
        self.producer.flush(FAR).expect("a flush");
        let mut state = self.acks().state.lock().expect("a state");
        assert_eq!(state.acknowledged, self.events.count());
        std::mem::replace(&mut state.timeline, Timeline::new(began))
    }

    /// Hands an event in; waits while the queue is full.
    fn send(&self, event: &[u8], begun: usize) {
        loop {
            let record: BaseRecord<'_, (), [u8], usize> =
                BaseRecord::with_opaque_to(&self.topic, begun).partition(self.number).payload(event);
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("an event is refused: {error}"),
            }
        }
    }
}

fn write(producers: &mut [Producer], work: &Work) -> Timeline {
    let share = producers.len() as u64;
    let work = Work { max_bytes: work.max_bytes / share, rate: work.rate / share, ..work.clone() };
    let began = Instant::now();
    let mut timeline = Timeline::new(began);
    thread::scope(|scope| {
        let writing: Vec<_> = producers
            .iter_mut()
            .map(|producer| scope.spawn(|| producer.write(&work, began)))
            .collect();
        for written in writing {
            timeline.merge(&written.join().expect("a producer"));
        }
    });
    timeline
}

fn read_back(work: &Work, topic: &str, total: u64, began: Instant) -> (Check, Timeline) {
    // Tuned: by default the client is idle for much of the time.
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &work.uri)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("queued.min.messages", "1000000")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..work.keys {
        all.add_partition_offset(topic, partition as i32, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&all).expect("an assignment");
    let mut timeline = Timeline::new(began);
    let mut check = Check::new(work.keys, work.size);
    while check.read() < total {
        let message = consumer.poll(FAR).expect("the topic ended early").expect("a message");
        check.take(message.payload().unwrap_or_default());
        if check.read() % COUNTED == 0 {
            timeline.read(COUNTED);
        }
    }
    timeline.read(total % COUNTED);
    (check, timeline)
}
