//! Readers: they join, read with pauses, and leave, stop or die.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_event_stream::{
    ReaderConfig, SegmentContext,
    codec::Raw,
    group::{
        GroupItem, GroupReader, GroupReaderConfig, GroupReaderError, HandOver, SegmentAssignment,
    },
};
use pravega_sdk_types::{
    ErrorKind, Position, ReaderId, ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentOffset,
    Timestamp,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    bug::Bug,
    log::{Complete, Ending, Item, Lived, Returned, Shared},
};
use crate::{SimNetwork, World};

/// How a reader ends.
#[derive(Debug)]
pub(super) enum End {
    /// It has left.
    Gone,
    /// It was told that it is not in the group any more.
    Told,
    /// It may be in the group, and is dead. It was last at this position, unless it has not read.
    Dead(Option<Position>),
    /// Everything was read.
    Finished,
}

/// What a reader does in its life.
pub(super) struct Life {
    pub(super) context: SegmentContext,
    /// The links of this reader.
    pub(super) network: SimNetwork,
    pub(super) group: ScopedReaderGroup,
    pub(super) stream: ScopedStream,
    pub(super) id: Arc<str>,
    pub(super) is_restarted: bool,
    pub(super) world: World,
    pub(super) shared: Shared,
    pub(super) random: fastrand::Rng,
    pub(super) limit: Duration,
    pub(super) lease: Option<Duration>,
    pub(super) is_calm: bool,
    pub(super) begun: Instant,
    /// When it ends; `None` means when everything was read.
    pub(super) until: Option<Duration>,
    pub(super) bug: Option<Bug>,
    /// The time that was complete when it was asked for last.
    pub(super) complete: Option<i64>,
}

impl Life {
    pub(super) async fn run(mut self) -> (Arc<str>, End) {
        let end = self.live().await;
        (self.id, end)
    }

    async fn live(&mut self) -> End {
        let reader = match self.open().await {
            Ok(reader) => reader,
            Err(error) => {
                self.world.count("reader did not join");
                let is_wrong = error.kind() == ErrorKind::AlreadyExists && !self.is_restarted;
                if is_wrong || self.is_calm {
                    self.shared.say("C14", format!("{} is not there: {error}", self.id));
                }
                return End::Dead(None);
            }
        };
        self.world.count(if self.is_restarted { "reader restarted" } else { "reader joined" });
        let number = {
            let mut log = self.shared.lock();
            log.lives.push(Lived {
                reader: self.id.clone(),
                has_lease: self.lease.is_some(),
                joined: self.begun.elapsed(),
                ended: None,
                ending: Ending::Alive,
            });
            log.lives.len() - 1
        };
        let end = self.read(reader).await;
        let mut log = self.shared.lock();
        if let Some(life) = log.lives.get_mut(number) {
            life.ended = Some(self.begun.elapsed());
            life.ending = match end {
                End::Dead(_) => Ending::Died,
                End::Told => Ending::Told,
                End::Gone | End::Finished => Ending::Alive,
            };
        }
        end
    }

    async fn read(&mut self, mut reader: GroupReader<Raw>) -> End {
        let (mut last, impatient) = (None, self.random.bool());
        let mut places = (self.random.u32(0..8) == 0).then(BTreeMap::new);
        while self.until.is_none_or(|until| self.begun.elapsed() < until) {
            self.pause().await;
            self.ask_for_window(&mut reader).await;
            // The future of an impatient one is dropped all the time.
            let patience = if impatient { self.random.u64(1..300) } else { 2000 };
            let limit = Duration::from_millis(patience);
            let items = match timeout(limit, reader.next_batch(self.random.usize(1..4))).await {
                Err(_) => continue,
                Ok(None) => return self.finish(reader).await,
                Ok(Some(Err(error))) => match error.kind() {
                    ErrorKind::ReaderOffline => {
                        self.world.count("reader told that it is offline");
                        return End::Told;
                    }
                    ErrorKind::Truncated => {
                        self.world.count("reader told of a truncation");
                        self.note(error.segment().map(Returned::Truncated));
                        continue;
                    }
                    ErrorKind::Unavailable => continue,
                    _ => {
                        self.shared.say("C14", format!("{}: {error}", self.id));
                        return End::Dead(last);
                    }
                },
                Ok(Some(Ok(items))) => items,
            };
            for item in items {
                if let GroupItem::Event(event) = &item {
                    let position = event.position();
                    if let Some(places) = &mut places {
                        self.check_position(&position, places);
                    }
                    last = Some(position);
                }
                self.note(Some(returned(&item)));
            }
        }
        self.end(reader, last).await
    }

    async fn open(&mut self) -> Result<GroupReader<Raw>, GroupReaderError> {
        let backoff = (Duration::from_millis(10), Duration::from_millis(500));
        let reads = ReaderConfig::default()
            .with_seed(self.random.u64(..))
            .with_backoff(backoff.0, backoff.1)
            .with_stall_timeout(Duration::from_secs(20));
        let config = GroupReaderConfig::default()
            .with_reader(reads)
            .with_timeout(self.limit)
            .with_lease(self.lease)
            .with_wall_clock(self.wall_clock())
            .with_hand_over(self.hand_over())
            .with_assignment(self.assignment())
            .with_initial_allocation_delay(Duration::from_millis(self.random.u64(0..500)));
        let config = match self.bug {
            Some(Bug::Reader(bug)) => config.with_seeded_bug(bug),
            Some(Bug::Lease(bug)) => config.with_seeded_lease_bug(bug),
            None => config,
        };
        let id: ReaderId = self.id.parse().expect("a name");
        GroupReader::open(self.context.clone(), &self.group, &id, Raw, config).await
    }

    /// Readers of both kinds are in one group. Broken variants are those of the first kind.
    fn hand_over(&mut self) -> HandOver {
        if self.random.bool() && self.bug.is_none() {
            self.world.count("reader hands over between events");
            return HandOver::BetweenEvents;
        }
        HandOver::AtCheckpoints
    }

    fn assignment(&mut self) -> SegmentAssignment {
        if self.random.u32(0..4) == 0 && self.bug.is_none() {
            self.world.count("reader keeps its segments");
            return SegmentAssignment::Sticky;
        }
        SegmentAssignment::Fair
    }

    /// R15. Reading is not disturbed by it.
    async fn ask_for_window(&mut self, reader: &mut GroupReader<Raw>) {
        if self.random.u32(0..20) > 0 {
            return;
        }
        self.world.count("time window asked for");
        let limit = Duration::from_millis(self.random.u64(1..2000));
        let asked = timeout(limit, reader.time_window(&self.stream)).await;
        let Ok(Ok(window)) = asked else { return };
        let time = window.lower().map(Timestamp::as_millis);
        if time < self.complete {
            let detail = format!("{} was told {:?}, and then {time:?}", self.id, self.complete);
            self.shared.say("R15", detail);
        }
        self.complete = time;
        if let Some(time) = time {
            self.world.count("time complete");
            let mut log = self.shared.lock();
            let (reader, items) = (self.id.clone(), log.items.len());
            log.complete.push(Complete { reader, time, items });
        }
    }

    /// The clocks of some machines are wrong by years.
    fn wall_clock(&mut self) -> Duration {
        if self.random.u32(0..8) == 0 {
            self.world.count("wall clock wrong by years");
            return Duration::from_secs(self.random.u64(0..8_000_000_000));
        }
        Duration::from_secs(1_795_259_163) + self.begun.elapsed()
    }

    async fn pause(&mut self) {
        let pause = match self.random.u32(0..400) {
            0 => {
                self.world.count("reader paused for long");
                let (from, pause) = (self.begun.elapsed(), self.random.u64(2000..15_000));
                let pause = Duration::from_millis(pause);
                self.shared.lock().pauses.push((from, from + pause));
                pause
            }
            1 if !self.is_calm => return self.freeze().await,
            2..100 => Duration::from_millis(self.random.u64(1..100)),
            _ => return,
        };
        sleep(pause).await;
    }

    /// The process of the reader is stopped, often for longer than its lease.
    async fn freeze(&mut self) {
        let Some(lease) = self.lease else { return };
        self.world.count("process of a reader stopped");
        let stop = lease.mul_f64(0.2 + 2.3 * self.random.f64());
        let from = self.begun.elapsed();
        // The time in which what was on its way arrives.
        let trouble = (from, from + stop + lease / 2);
        self.shared.lock().troubles.push(trouble);
        self.network.freeze();
        sleep(stop).await;
        self.network.thaw();
    }

    fn note(&self, returned: Option<Returned>) {
        let Some(returned) = returned else { return };
        let (reader, at) = (self.id.clone(), self.begun.elapsed());
        self.shared.lock().items.push(Item { reader, at, returned });
    }

    /// R13.
    fn check_position(
        &self,
        position: &Position,
        places: &mut BTreeMap<ScopedSegment, SegmentOffset>,
    ) {
        for (segment, at) in position.owned() {
            let before = places.insert(segment.clone(), at);
            if before.is_some_and(|before| before > at) {
                let detail = format!("{} went back in {segment}: {before:?}, {at:?}", self.id);
                self.shared.say("R13", detail);
            }
        }
    }

    async fn finish(&self, mut reader: GroupReader<Raw>) -> End {
        if reader.close(self.limit * 10).await.is_err() && self.until.is_none() {
            self.shared.say("C14", format!("{} did not leave after the repair", self.id));
        }
        End::Finished
    }

    async fn end(&mut self, mut reader: GroupReader<Raw>, last: Option<Position>) -> End {
        match self.random.u32(0..4) {
            0 => {
                let closing = reader.close(self.limit * 2);
                // It may die while it leaves.
                let left =
                    timeout(Duration::from_millis(self.random.u64(1..20_000)), closing).await;
                match left {
                    Ok(Ok(())) => {
                        self.world.count("reader left");
                        self.shared.lock().exact.insert(self.id.clone());
                        End::Gone
                    }
                    _ => End::Dead(last),
                }
            }
            1 => {
                let Some(position) = last.clone() else { return End::Dead(last) };
                match reader.close_at(&position, self.limit * 2).await {
                    Ok(()) => {
                        self.world.count("reader left at a position");
                        End::Gone
                    }
                    Err(_) => End::Dead(last),
                }
            }
            _ => {
                self.world.count("reader died");
                End::Dead(last)
            }
        }
    }
}

fn returned(item: &GroupItem<bytes::Bytes>) -> Returned {
    match item {
        GroupItem::Event(event) => {
            Returned::Event { segment: event.segment().id(), offset: event.offset() }
        }
        GroupItem::Checkpoint(name) => Returned::Checkpoint(name.to_string()),
    }
}
