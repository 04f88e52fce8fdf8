//! Readers: they join, read with pauses, and leave, stop or die.

use std::time::Duration;

use pravega_sdk_event_stream::{
    ReaderConfig, SegmentContext,
    codec::Raw,
    group::{GroupItem, GroupReader, GroupReaderConfig, GroupReaderError},
};
use pravega_sdk_types::{ErrorKind, Position, ReaderId, ScopedReaderGroup};
use tokio::time::{Instant, sleep, timeout};

use super::log::{Item, Returned, Shared};
use crate::World;

/// How a reader ends.
#[derive(Debug)]
pub(super) enum End {
    /// It has left, or was told that it is offline.
    Gone,
    /// It may be in the group, and is dead. It was last at this position, unless it has not read.
    Dead(Option<Position>),
    /// Everything was read.
    Finished,
}

/// What a reader does in its life.
pub(super) struct Life {
    pub(super) context: SegmentContext,
    pub(super) group: ScopedReaderGroup,
    pub(super) id: String,
    pub(super) world: World,
    pub(super) shared: Shared,
    pub(super) random: fastrand::Rng,
    pub(super) limit: Duration,
    pub(super) begun: Instant,
    /// When it ends; `None` means when everything was read.
    pub(super) until: Option<Duration>,
}

impl Life {
    pub(super) async fn run(mut self) -> (String, End) {
        let end = self.live().await;
        (self.id, end)
    }

    async fn live(&mut self) -> End {
        let mut reader = match self.open().await {
            Ok(reader) => reader,
            Err(error) => {
                self.world.count("reader did not join");
                if error.kind() == ErrorKind::AlreadyExists {
                    self.shared.say("C14", format!("{} is not there: {error}", self.id));
                }
                return End::Dead(None);
            }
        };
        self.world.count("reader joined");
        let (mut last, impatient) = (None, self.random.bool());
        while self.until.is_none_or(|until| self.begun.elapsed() < until) {
            self.pause().await;
            // The future of an impatient one is dropped all the time.
            let patience = if impatient { self.random.u64(1..300) } else { 2000 };
            let limit = Duration::from_millis(patience);
            let items = match timeout(limit, reader.next_batch(self.random.usize(1..4))).await {
                Err(_) => continue,
                Ok(None) => return self.finish(reader).await,
                Ok(Some(Err(error))) => match error.kind() {
                    ErrorKind::ReaderOffline => {
                        self.world.count("reader told that it is offline");
                        return End::Gone;
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
                    last = Some(event.position());
                }
                self.note(&item);
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
            // The run itself takes the dead offline, at positions that the checks know.
            .with_lease(None)
            .with_wall_clock(Duration::from_secs(1_795_259_163) + self.begun.elapsed())
            .with_initial_allocation_delay(Duration::from_millis(self.random.u64(0..500)));
        let id: ReaderId = self.id.parse().expect("a name");
        GroupReader::open(self.context.clone(), &self.group, &id, Raw, config).await
    }

    async fn pause(&mut self) {
        let pause = match self.random.u32(0..400) {
            0 => {
                self.world.count("reader paused for long");
                self.random.u64(2000..15_000)
            }
            1..100 => self.random.u64(1..100),
            _ => return,
        };
        sleep(Duration::from_millis(pause)).await;
    }

    fn note(&self, item: &GroupItem<bytes::Bytes>) {
        let returned = match item {
            GroupItem::Event(event) => {
                Returned::Event { segment: event.segment().clone(), offset: event.offset() }
            }
            GroupItem::Checkpoint(name) => Returned::Checkpoint(name.to_string()),
        };
        let (reader, at) = (self.id.clone(), self.begun.elapsed());
        self.shared.lock().items.push(Item { reader, at, returned });
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
