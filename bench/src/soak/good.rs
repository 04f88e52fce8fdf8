//! The clients that behave: each appends events at a steady rate, and reads them back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use pravega_sdk::{
    Ack, Appended, ClientFactory, ErrorKind, EventWriter, Outcome, ReadUntil, ReaderConfig,
    StreamPosition, WriteError,
    codec::Raw,
    types::{ScalingPolicy, ScopedStream, StreamConfiguration},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    ledger::{Fate, Faults, Pass, event},
    phase::{Phase, Wait, Watch},
};

/// The number of clients that behave.
pub(super) const CLIENTS: u32 = 4;
/// The time between two events of a client.
pub(super) const PERIOD: Duration = Duration::from_millis(4);
/// The most time for reading everything back.
const READING_BACK: Duration = Duration::from_secs(300);
/// The time between two new clients, and the most time that one waits.
const NEWCOMERS: Duration = Duration::from_secs(2);
const NEWCOMER_PATIENCE: Duration = Duration::from_secs(30);
/// The most different errors that are kept.
const MAX_ERRORS: usize = 20;

/// Errors that clients which behave met, with their numbers.
pub(super) type Errors = BTreeMap<String, u64>;

/// The clients that behave.
pub(super) struct Good {
    clients: Vec<Client>,
    watch: Arc<Watch>,
    errors: Arc<Mutex<Errors>>,
    tasks: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
    writing: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Client {
    number: u32,
    url: String,
    stream: ScopedStream,
    /// The moment from which events count their times.
    base: Instant,
    watch: Arc<Watch>,
    fates: Arc<Mutex<Vec<Fate>>>,
    live: Arc<Mutex<Pass>>,
    errors: Arc<Mutex<Errors>>,
}

impl Good {
    /// Starts them, each with a stream, connections and caches of its own.
    pub(super) async fn start(url: &str, watch: &Arc<Watch>) -> Result<Self> {
        let errors: Arc<Mutex<Errors>> = Arc::default();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut good = Self {
            clients: Vec::new(),
            watch: Arc::clone(watch),
            errors: Arc::clone(&errors),
            tasks: Vec::new(),
            stop,
            writing: Vec::new(),
        };
        let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(1));
        for number in 0..CLIENTS {
            let client = Client {
                number,
                url: url.to_owned(),
                stream: format!("behave/client-{number}").parse()?,
                base: Instant::now(),
                watch: Arc::clone(watch),
                fates: Arc::default(),
                live: Arc::new(Mutex::new(Pass::of(number))),
                errors: Arc::clone(&errors),
            };
            let factory = ClientFactory::connect(url).await?;
            factory.create_stream_if_absent(&client.stream, &configuration).await?;
            let writer = factory.event_writer(&client.stream, Raw).await?;
            let writing = client.clone().write(writer, factory.clone(), stopped.clone());
            good.writing.push(tokio::spawn(writing));
            good.tasks.push(tokio::spawn(client.clone().follow()));
            good.clients.push(client);
        }
        let newcomers = newcomers(url.to_owned(), Arc::clone(watch), Arc::clone(&errors));
        good.tasks.push(tokio::spawn(newcomers));
        Ok(good)
    }

    /// Ends writing, and waits until the fate of each event is known.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        for writing in self.writing.drain(..) {
            writing.await?;
        }
        Ok(())
    }

    /// Reads all streams from their heads, and compares them with what was acknowledged.
    pub(super) async fn read_back(&self, url: &str) -> Result<(Faults, usize)> {
        let (mut faults, mut count) = (Faults::default(), 0);
        for client in &self.clients {
            let reading = timeout(READING_BACK, client.read_all(url)).await;
            let pass = reading.context("the events cannot be read back in time")??;
            faults.add(pass.against(&lock(&client.fates)));
            count += pass.count();
        }
        Ok((faults, count))
    }

    /// Returns what the readers at the tails have seen, without what they have yet to read.
    pub(super) fn followed(&self) -> Faults {
        let mut faults = Faults::default();
        for client in &self.clients {
            faults.add(lock(&client.live).against(&[]));
        }
        faults
    }

    /// Returns the numbers of events that were acknowledged, refused, and of unknown fate.
    pub(super) fn fates(&self) -> [usize; 3] {
        let count = |fate| {
            let counts = self.clients.iter();
            counts.map(|client| lock(&client.fates).iter().filter(|f| **f == fate).count()).sum()
        };
        [count(Fate::Acknowledged), count(Fate::Refused), count(Fate::Unknown)]
    }

    pub(super) fn errors(&self) -> Errors {
        lock(&self.errors).clone()
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for Good {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain(&self.writing) {
            task.abort();
        }
    }
}

impl Client {
    async fn write(
        self,
        mut writer: EventWriter<Raw>,
        factory: ClientFactory,
        stop: tokio::sync::watch::Receiver<bool>,
    ) {
        let (acks, waiting) = mpsc::unbounded_channel();
        let settling = tokio::spawn(self.clone().settle(waiting));
        let mut turns = interval(PERIOD);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let key = format!("client-{}", self.number);
        while !*stop.borrow() {
            turns.tick().await;
            let number = {
                let mut fates = lock(&self.fates);
                fates.push(Fate::Waiting);
                fates.len() as u64 - 1
            };
            let (begun, phase) = (Instant::now(), self.watch.phase());
            let event = event(self.number, number, self.base.elapsed().as_nanos() as u64);
            match writer.enqueue(&key, event).await {
                Ok(ack) => {
                    acks.send(Sent { number, begun, phase, ack }).ok();
                }
                Err(error) => {
                    self.settle_one(number, begun, phase, &Err(error.clone()));
                    if error.kind() == ErrorKind::Closed
                        && let Ok(opened) = factory.event_writer(&self.stream, Raw).await
                    {
                        writer = opened;
                    }
                }
            }
        }
        drop(acks);
        settling.await.ok();
    }

    async fn settle(self, mut waiting: mpsc::UnboundedReceiver<Sent>) {
        while let Some(sent) = waiting.recv().await {
            let result = sent.ack.await;
            self.settle_one(sent.number, sent.begun, sent.phase, &result);
        }
    }

    fn settle_one(
        &self,
        number: u64,
        begun: Instant,
        phase: Phase,
        result: &Result<Appended, WriteError>,
    ) {
        let (fate, wait) = match result {
            Ok(_) => (Fate::Acknowledged, Wait::Append),
            Err(error) => {
                note(&self.errors, phase, error);
                let refused = error.outcome() == Outcome::NotApplied;
                (if refused { Fate::Refused } else { Fate::Unknown }, Wait::Refusal)
            }
        };
        if let Some(known) = lock(&self.fates).get_mut(number as usize) {
            *known = fate;
        }
        self.watch.record(phase, wait, begun.elapsed());
    }

    /// Reads at the tail, for as long as the soak goes on.
    async fn follow(self) {
        let mut start = StreamPosition::Head;
        loop {
            if let Err(error) = self.follow_from(&mut start).await {
                note(&self.errors, self.watch.phase(), &error);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn follow_from(&self, start: &mut StreamPosition) -> Result<()> {
        let factory = ClientFactory::connect(&self.url).await?;
        let config = ReaderConfig::default().with_start(start.clone());
        let mut reader = factory.event_reader_with(&self.stream, Raw, config).await?;
        while let Some(event) = reader.next().await {
            let event = event?;
            *start = reader.position();
            let taken = lock(&self.live).take(event.event());
            if let Some((_, nanos)) = taken {
                let took = self.base.elapsed().saturating_sub(Duration::from_nanos(nanos));
                self.watch.record(self.watch.phase(), Wait::EndToEnd, took);
            }
        }
        Ok(())
    }

    async fn read_all(&self, url: &str) -> Result<Pass> {
        let factory = ClientFactory::connect(url).await?;
        let config = ReaderConfig::default().with_end(ReadUntil::Tail);
        let mut reader = factory.event_reader_with(&self.stream, Raw, config).await?;
        let mut pass = Pass::of(self.number);
        while let Some(event) = reader.next().await {
            pass.take(event?.event());
        }
        Ok(pass)
    }
}

/// An event on its way.
struct Sent {
    number: u64,
    begun: Instant,
    phase: Phase,
    ack: Ack,
}

/// New clients that come all the time, write one event, and leave.
async fn newcomers(url: String, watch: Arc<Watch>, errors: Arc<Mutex<Errors>>) {
    let mut turns = interval(NEWCOMERS);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let (begun, phase) = (Instant::now(), watch.phase());
        let result = timeout(NEWCOMER_PATIENCE, newcomer(&url)).await;
        match result {
            Ok(Ok(())) => watch.record(phase, Wait::Newcomer, begun.elapsed()),
            Ok(Err(error)) => note(&errors, phase, &error),
            Err(_) => note(&errors, phase, &"a newcomer was not served in time"),
        }
    }
}

async fn newcomer(url: &str) -> Result<()> {
    let stream: ScopedStream = "behave/newcomers".parse()?;
    let factory = ClientFactory::connect(url).await?;
    factory.create_stream_if_absent(&stream, &StreamConfiguration::default()).await?;
    let writer = factory.event_writer(&stream, Raw).await?;
    writer.write("key", vec![0; 100]).await?;
    Ok(())
}

fn note(errors: &Mutex<Errors>, phase: Phase, error: &impl std::fmt::Display) {
    let mut errors = lock(errors);
    let text = format!("{}: {error:#}", phase.name());
    if errors.len() < MAX_ERRORS || errors.contains_key(&text) {
        *errors.entry(text).or_default() += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
