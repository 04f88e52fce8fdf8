//! A trial of promptness: everything is repaired, then one part of the cluster gets into trouble,
//! alone. Clients write, read and ask meanwhile, and note when each call ended.
//!
//! The stream is scaled at first, so that every segment is new and few stores have many of them.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use pravega_sdk_event_stream::{
    EventReader, EventWriter, ReadError, ReaderConfig, SegmentContext, StreamPosition,
    WriterConfig, codec::Raw,
};
use pravega_sdk_segment_client::request::AskError;
use pravega_sdk_types::{
    BoundedCut, ErrorKind, KeyRange, Offset, RoutingKey, ScopedSegment, ScopedStream, SegmentId,
};
use pravega_sdk_wire_protocol::commands::SealSegment;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    SimNetwork, World,
    history::{EventId, Violation},
    promptness::{Asked, Changed, Health, Limits, Notes, SharedNotes, Time, Watched, Wrote},
    trouble::{self, CONNECT_TIMEOUT, REQUEST_TIMEOUT, Trouble},
    workload::{SharedHistory, event, hash},
};

/// The number of the writer of a trial.
const WRITER: u32 = 7;
/// The time that an event of a trial may wait for its acknowledgement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);
/// The length of the events.
const LENGTH: usize = 200;
/// The bytes that a reader may have on their way: fewer than a few segments hold.
const SMALL_BUFFER: usize = 4096;
/// The events of each segment that are there when a reader begins.
const BACKLOG: usize = 12;
/// Events in a burst, and the pause between two of them.
const BURST: (usize, Duration) = (100, Duration::from_millis(20));
/// The longest time from the beginning of an attempt to read until it fails.
const ATTEMPT: Duration = Duration::from_secs(30);
/// A reader reports with the first attempt that fails after its stall timeout.
const NEXT_ATTEMPT: Duration = Duration::from_secs(40);
/// What a bound leaves to timers and to the latency of calls.
const SLACK: Duration = Duration::from_secs(1);

/// Tries one trouble.
pub(crate) struct Trial {
    pub(crate) world: World,
    pub(crate) network: SimNetwork,
    pub(crate) stores: usize,
    pub(crate) stream: ScopedStream,
    pub(crate) context: SegmentContext,
    /// The parts of a client that writes.
    pub(crate) writing: SegmentContext,
    /// The parts of a client that makes one request after the other.
    pub(crate) other: SegmentContext,
    pub(crate) config: WriterConfig,
    pub(crate) reader_config: ReaderConfig,
    pub(crate) stall_timeout: Duration,
    pub(crate) trouble: Trouble,
    /// The requests that may be in flight on a connection, if they are few.
    pub(crate) max_in_flight: usize,
    pub(crate) random: fastrand::Rng,
    pub(crate) history: SharedHistory,
    pub(crate) started: Instant,
}

/// What a trial found.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    pub(crate) violations: Vec<Violation>,
    /// The number of times that a reader reported that nothing can be read.
    pub(crate) stalls: u64,
    /// Everything that was noted, as text.
    pub(crate) notes: String,
}

/// A segment, and the events that go to it.
struct Lane {
    id: SegmentId,
    key: String,
    written: u64,
}

/// The tasks of a trial that end by themselves.
#[derive(Default)]
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task));
    }

    /// Waits for all of them, up to a limit.
    async fn finish(self, limit: Duration) {
        let until = Instant::now() + limit;
        for mut task in self.0 {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Trial {
    pub(crate) async fn run(mut self) -> Tried {
        self.world.count(self.trouble.counter());
        let segments = self.prepare();
        let ids: Vec<SegmentId> = segments.iter().map(|segment| segment.id).collect();
        let mut lanes: Vec<Lane> = segments.iter().map(Lane::of).collect();
        let heads = ids.iter().map(|id| (*id, Offset(0)));
        let heads = BoundedCut::new(self.stream.clone(), heads).expect("a cut");
        let config = self.config.clone().with_delivery_timeout(DELIVERY_TIMEOUT);
        let config = config.with_seed(self.random.u64(..));
        let writer = EventWriter::open(self.writing.clone(), &self.stream, Raw, config).await;
        let writer = writer.expect("a stream to write to");
        let notes = SharedNotes::new(self.notes());
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, mut readers) = (Tasks::default(), Tasks::default());
        // Connections are made, and caches filled.
        readers.spawn(self.reader(&heads, 0, &notes, &stopped));
        self.write(&writer, &mut lanes, 0.., &notes, &mut tasks).await;
        for id in &ids {
            self.context.inspect(&self.segment(*id)).await.ok();
            self.other.inspect(&self.segment(*id)).await.ok();
        }
        if self.trouble.stops_reads() {
            for _ in 0..BACKLOG {
                self.write(&writer, &mut lanes, 0.., &notes, &mut tasks).await;
            }
        }
        sleep(SLACK * 2).await;
        let mut unpolled = self.leave_requests(&ids).await;
        self.seal(&notes, &mut tasks).await;
        let (begun, health) = trouble::begin(
            (&self.world, &self.network),
            (self.stores, &self.stream),
            (self.trouble, &segments),
            self.started.elapsed(),
        );
        self.note_beginning(&notes, ids.iter().copied().zip(health).collect());
        if !matches!(self.trouble, Trouble::NoController { .. }) {
            readers.spawn(self.reader(&heads, 1, &notes, &stopped));
        }
        self.disturbed(&writer, &mut lanes, &notes, &mut tasks).await;
        notes.lock().ended = self.started.elapsed();
        drop(begun);
        unpolled.clear();
        self.healed(&writer, &mut lanes, &notes, &mut tasks).await;
        tasks.finish(self.limits().request + DELIVERY_TIMEOUT).await;
        // What was stored at last is returned by then.
        sleep(self.limits().healthy + self.limits().read).await;
        stop.send(true).ok();
        readers.finish(SLACK).await;
        let closing = Instant::now();
        // The acknowledgements are checked.
        drop(writer.close(SLACK).await);
        if closing.elapsed() > SLACK * 2 {
            let detail = format!("a writer was closed after {:?}", closing.elapsed());
            notes.lock().violations.push(Violation { check: "P4", detail });
        }
        if let Some(seal) = &mut notes.lock().seal {
            seal.is_applied = self.world.open_segments(&asked()).is_empty();
        }
        let notes = notes.lock();
        let stalls = notes.readers.iter().map(|reader| reader.reports.len() as u64).sum();
        Tried { violations: notes.check(), stalls, notes: format!("{notes:?}") }
    }

    /// Scales the stream into new segments, of which a dead machine has all or some.
    fn prepare(&mut self) -> Vec<pravega_sdk_controller_client::SegmentWithRange> {
        // New links have no faults.
        (0..self.stores).for_each(|store| self.network.reset(store));
        self.world.create_stream(&asked(), 1);
        self.world.finish_scale();
        let active = self.world.active_segments(&self.stream);
        let dies_alone = self.trouble == Trouble::DeadMachine { moves: true };
        let count = if dies_alone { self.random.u32(5..9) } else { self.random.u32(2..6) };
        let sealed = active.iter().map(|segment| segment.id).collect();
        self.world.begin_scale(&self.stream, sealed, KeyRange::equal(count));
        self.world.finish_scale();
        let segments = self.world.active_segments(&self.stream);
        for segment in &segments {
            let store = if dies_alone { 0 } else { self.random.usize(0..self.stores) };
            self.world.move_segment(&self.segment(segment.id), store);
        }
        segments
    }

    fn segment(&self, id: SegmentId) -> ScopedSegment {
        ScopedSegment::new(&self.stream, id)
    }

    fn limits(&self) -> Limits {
        Limits {
            healthy: SLACK,
            read: SLACK * 5,
            request: REQUEST_TIMEOUT * 2 + SLACK,
            stall: ATTEMPT + self.stall_timeout + NEXT_ATTEMPT + SLACK,
            round: CONNECT_TIMEOUT * 2 + SLACK,
        }
    }

    fn notes(&self) -> Notes {
        Notes {
            began: Time::MAX,
            ended: Time::MAX,
            healed: None,
            limits: self.limits(),
            health: BTreeMap::new(),
            writes: Vec::new(),
            readers: vec![Watched::default(), Watched::default()],
            requests: Vec::new(),
            round: None,
            seal: None,
            violations: Vec::new(),
        }
    }

    fn note_beginning(&self, notes: &SharedNotes, health: BTreeMap<SegmentId, Health>) {
        let mut notes = notes.lock();
        notes.began = self.started.elapsed();
        let has_stuck = health.values().any(|health| health.reads.is_none());
        // A read at the tail may wait for three minutes. The second reader has bytes to read.
        let is_stall = self.trouble.stops_reads();
        for (number, reader) in notes.readers.iter_mut().enumerate() {
            reader.must_report = has_stuck && (!is_stall || number == 1);
        }
        notes.health = health;
    }

    /// Writes, asks and waits while the trouble lasts.
    async fn disturbed(
        &mut self,
        writer: &EventWriter<Raw>,
        lanes: &mut [Lane],
        notes: &SharedNotes,
        tasks: &mut Tasks,
    ) {
        let has_stuck = notes.lock().readers.iter().any(|reader| reader.must_report);
        let is_long = has_stuck && (!self.trouble.stops_reads() || self.random.u32(0..3) == 0);
        let lasts = if is_long { self.limits().stall + SLACK * 3 } else { Duration::from_secs(15) };
        let until = Instant::now() + lasts;
        let ids: Vec<SegmentId> = lanes.iter().map(|lane| lane.id).collect();
        self.ask_in_turn(&ids, notes, tasks);
        if self.trouble.stops_appends() {
            for number in 0..BURST.0 {
                self.write_one(writer, &mut lanes[0], notes, tasks).await;
                if number % 10 == 0 {
                    self.write(writer, lanes, 1.., notes, tasks).await;
                }
                sleep(BURST.1).await;
            }
        }
        let mut round = 0;
        while Instant::now() < until {
            if round % 5 == 0 {
                ids.iter().for_each(|id| self.ask(*id, notes, tasks));
            }
            round += 1;
            for lane in lanes.iter_mut() {
                self.write_one(writer, lane, notes, tasks).await;
                sleep(lasts.mul_f64(self.random.f64() / 50.0)).await;
            }
        }
    }

    /// Writes to all segments, and asks for them, once the trouble is over.
    async fn healed(
        &mut self,
        writer: &EventWriter<Raw>,
        lanes: &mut [Lane],
        notes: &SharedNotes,
        tasks: &mut Tasks,
    ) {
        sleep(trouble::RECOVERY).await;
        notes.lock().healed = Some(self.started.elapsed());
        for lane in lanes {
            self.ask(lane.id, notes, tasks);
            self.write_one(writer, lane, notes, tasks).await;
        }
    }

    async fn write(
        &mut self,
        writer: &EventWriter<Raw>,
        lanes: &mut [Lane],
        which: std::ops::RangeFrom<usize>,
        notes: &SharedNotes,
        tasks: &mut Tasks,
    ) {
        for lane in lanes.iter_mut().skip(which.start) {
            self.write_one(writer, lane, notes, tasks).await;
        }
    }

    /// Writes an event to a segment.
    async fn write_one(
        &self,
        writer: &EventWriter<Raw>,
        lane: &mut Lane,
        notes: &SharedNotes,
        tasks: &mut Tasks,
    ) {
        let id = EventId { writer: WRITER, key: lane.key.clone(), number: lane.written };
        lane.written += 1;
        let event = same_length(&id);
        let (begun, started) = (self.started.elapsed(), self.started);
        let limit = DELIVERY_TIMEOUT + SLACK;
        self.history.lock().begin_within(id.clone(), hash(&event), limit, begun);
        let number = {
            let mut notes = notes.lock();
            notes.writes.push(Wrote { segment: lane.id, begun, acknowledged: None });
            notes.writes.len() - 1
        };
        let enqueued = writer.enqueue(&lane.key, event).await;
        let (history, notes) = (self.history.clone(), notes.clone());
        let writing = async move {
            let result = match enqueued {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            };
            let result = result
                .map(|appended| appended.offset().map(|offset| (appended.segment().id(), offset)));
            if let Ok(Some(place)) = &result
                && let Some(wrote) = notes.lock().writes.get_mut(number)
            {
                wrote.acknowledged = Some((started.elapsed(), *place));
            }
            history.end(&[id], &result, started);
        };
        tasks.spawn(writing);
    }

    /// Reads until the trial ends.
    fn reader(
        &mut self,
        start: &BoundedCut,
        number: usize,
        notes: &SharedNotes,
        stopped: &watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (context, stream) = (self.context.clone(), self.stream.clone());
        let mut config = self
            .reader_config
            .clone()
            .with_start(StreamPosition::Cut(start.clone()))
            .with_stall_timeout(self.stall_timeout)
            .with_seed(self.random.u64(..));
        if self.random.bool() {
            config = config.with_small_buffer(SMALL_BUFFER);
        }
        let (notes, mut stopped, started) = (notes.clone(), stopped.clone(), self.started);
        async move {
            let mut reader = loop {
                let (context, config) = (context.clone(), config.clone());
                match EventReader::open(context, &stream, Raw, config).await {
                    Ok(reader) => break reader,
                    Err(error) if error.is_retryable() && !*stopped.borrow() => {
                        sleep(Duration::from_millis(100)).await;
                    }
                    Err(error) => return fail(&notes, &error),
                }
            };
            notes.lock().readers[number].opened = Some(started.elapsed());
            loop {
                let next = tokio::select! {
                    biased;
                    _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
                    next = reader.next() => next,
                };
                let now = started.elapsed();
                match next {
                    Some(Ok(event)) => {
                        let place = (event.segment().id(), event.offset());
                        notes.lock().readers[number].returned.insert(place, now);
                    }
                    Some(Err(error)) if error.kind() == ErrorKind::Unavailable => {
                        notes.lock().readers[number].reports.push(now);
                    }
                    Some(Err(error)) => return fail(&notes, &error),
                    None => return,
                }
            }
        }
    }

    /// Asks for the length of a segment.
    fn ask(&self, id: SegmentId, notes: &SharedNotes, tasks: &mut Tasks) {
        let (context, segment, notes) = (self.context.clone(), self.segment(id), notes.clone());
        let (begun, started) = (self.started.elapsed(), self.started);
        let number = {
            let mut notes = notes.lock();
            notes.requests.push(Asked { segment: id, begun, ended: None });
            notes.requests.len() - 1
        };
        tasks.spawn(async move {
            let is_answered = context.inspect(&segment).await.is_ok();
            if let Some(asked) = notes.lock().requests.get_mut(number) {
                asked.ended = Some((started.elapsed(), is_answered));
            }
        });
    }

    /// Asks all segments of a dead store for their lengths, one after the other.
    fn ask_in_turn(&self, ids: &[SegmentId], notes: &SharedNotes, tasks: &mut Tasks) {
        if self.trouble != (Trouble::DeadMachine { moves: true }) {
            return;
        }
        let (context, notes) = (self.other.clone(), notes.clone());
        let segments: Vec<ScopedSegment> = ids.iter().map(|id| self.segment(*id)).collect();
        tasks.spawn(async move {
            let begun = Instant::now();
            for segment in segments {
                context.inspect(&segment).await.ok();
            }
            notes.lock().round = Some(begun.elapsed());
        });
    }

    /// Begins requests, and leaves each alone once it has been sent, if that is the trouble.
    async fn leave_requests(
        &mut self,
        ids: &[SegmentId],
    ) -> Vec<futures_util::future::BoxFuture<'static, ()>> {
        let mut left = Vec::new();
        if self.trouble != Trouble::UnpolledRequests {
            return left;
        }
        for id in ids {
            for _ in 0..self.max_in_flight {
                let (context, segment) = (self.context.clone(), self.segment(*id));
                let mut request = async move { drop(context.inspect(&segment).await) }.boxed();
                let polls = self.random.u32(1..3);
                let mut is_done = false;
                for _ in 0..polls {
                    is_done = is_done || request.as_mut().now_or_never().is_some();
                }
                if !is_done {
                    left.push(request);
                }
            }
        }
        // The replies arrive, and nothing takes them.
        sleep(SLACK).await;
        left
    }

    /// Seals a segment of another stream just before the machine of its store dies. The reply to
    /// the first attempt is lost.
    async fn seal(&self, notes: &SharedNotes, tasks: &mut Tasks) {
        if !matches!(self.trouble, Trouble::DeadMachine { .. }) {
            return;
        }
        let segment = ScopedSegment::new(&asked(), SegmentId::from(0));
        let first = self.world.active_segments(&self.stream)[0].id;
        self.world.move_segment(&segment, self.world.owner(&self.segment(first).to_string()));
        self.context.inspect(&segment).await.ok();
        let about = segment.clone();
        let lost = self.world.lose_replies(move |departure| departure.is_about(&about));
        let (context, notes, started) = (self.context.clone(), notes.clone(), self.started);
        let begun = started.elapsed();
        notes.lock().seal = Some(Changed { begun, ended: None, is_applied: false });
        tasks.spawn(async move {
            let asked = context.ask(&segment, |token| SealSegment {
                request_id: 0,
                segment: segment.to_string().into(),
                delegation_token: token.into(),
            });
            let result = asked.await.map(drop).map_err(|error: AskError| error.outcome());
            if let Some(seal) = &mut notes.lock().seal {
                seal.ended = Some((started.elapsed(), result));
            }
        });
        timeout(SLACK, lost.reached()).await.ok();
    }
}

impl Lane {
    /// A segment, and a key that is in its range.
    fn of(segment: &pravega_sdk_controller_client::SegmentWithRange) -> Self {
        let range = segment.range.low()..segment.range.high();
        let key = (0..)
            .map(|number| format!("key-t{number}"))
            .find(|key| range.contains(&RoutingKey::from(key.as_str()).position()));
        Self { id: segment.id, key: key.expect("a key"), written: 0 }
    }
}

/// Notes an error that no trouble explains.
fn fail(notes: &SharedNotes, error: &ReadError) {
    let detail = format!("a reader of the trial failed: {error:?}");
    notes.lock().violations.push(Violation { check: "R1", detail });
}

/// A stream of which a segment is sealed.
fn asked() -> ScopedStream {
    "sim/asked".parse().expect("a name")
}

/// An event that names itself. All have the same length.
fn same_length(id: &EventId) -> Bytes {
    event(id, LENGTH.saturating_sub(event(id, 0).len()))
}
