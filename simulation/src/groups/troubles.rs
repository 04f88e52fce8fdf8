//! What happens to the cluster and the group while readers come and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_event_stream::group::GroupUpdate;
use pravega_sdk_types::{Offset, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::sleep;

use super::{log::Ending, stage::Stage};
use crate::{Hold, gates::Arrival, plan::scale};

/// The time after a trouble in which clients notice its end.
const RECOVERY: Duration = Duration::from_secs(2);

impl Stage {
    /// Waits, with one fault or none.
    pub(super) async fn disturb(&mut self) {
        let losing = self.lose_replies();
        sleep(Duration::from_millis(self.random.u64(1..2000))).await;
        (0..losing.taken()).for_each(|_| self.world.count("group reply lost"));
        drop(losing);
        let last = if self.is_calm { 6 } else { 14 };
        match self.random.u32(0..last) {
            0 | 1 if self.world.active_segments(&self.stream).len() < 16 => {
                scale(&self.world, &self.stream, &mut self.random).await;
                self.world.count("stream scaled");
            }
            2 => self.create_checkpoint().await,
            3 if self.is_truncated => self.truncate(),
            4 if self.table.is_none() => {
                self.store().await.compact().await.expect("the stores answer");
                self.world.count("group compacted");
            }
            6 => self.move_segment(),
            7 => self.restart_store().await,
            8 => self.delay_requests().await,
            9 | 10 => self.lose_lease_requests().await,
            11 => self.take_living_offline().await,
            12 => self.sleep_as_a_whole().await,
            _ => {}
        }
    }

    /// Notes a trouble that has begun at a time and ends now.
    fn note_trouble(&self, from: Duration) {
        let ended = self.begun.elapsed() + RECOVERY;
        self.shared.lock().troubles.push((from, ended));
    }

    async fn create_checkpoint(&mut self) {
        let silent = if self.random.bool() { "_SILENT_" } else { "" };
        let name = format!("manual-{}{silent}", self.random.u32(..));
        let create = GroupUpdate::CreateCheckpoint { checkpoint: name.into() };
        self.store().await.report(create).await.expect("the stores answer");
        self.world.count("checkpoint created by another client");
    }

    fn move_segment(&mut self) {
        let active = self.world.active_segments(&self.stream);
        let segment = match self.random.choice(&active) {
            Some(segment) if self.random.bool() => ScopedSegment::new(&self.stream, segment.id),
            _ => {
                self.world.count("state of the group moved");
                let table = self.table.clone().filter(|_| self.random.bool());
                table.unwrap_or_else(|| self.state.clone())
            }
        };
        self.world.move_segment(&segment, self.random.usize(0..self.stores));
        self.note_trouble(self.begun.elapsed());
    }

    async fn restart_store(&mut self) {
        let from = self.begun.elapsed();
        let store = self.random.usize(0..self.stores);
        self.world.set_store_up(store, false);
        self.network.reset(store);
        self.perfect.reset(store);
        sleep(Duration::from_millis(self.random.u64(0..1500))).await;
        self.world.set_store_up(store, true);
        self.note_trouble(from);
    }

    /// Truncates the stream: retention does not wait for the group.
    fn truncate(&mut self) {
        // The places at which an event begins or the segment ends.
        let mut places: BTreeMap<SegmentId, Vec<Offset>> = BTreeMap::new();
        for segment in self.world.active_segments(&self.stream) {
            let head = self.world.head_of(&ScopedSegment::new(&self.stream, segment.id));
            places.insert(segment.id, head.into_iter().collect());
        }
        for stored in self.world.content(&self.stream) {
            if let Some(places) = places.get_mut(&stored.segment) {
                places.push(Offset(stored.offset.0 + 8 + stored.event.len() as i64));
            }
        }
        let mut cut = BTreeMap::new();
        for (id, places) in &places {
            cut.extend(self.random.choice(places).map(|place| (*id, *place)));
        }
        if cut.is_empty() {
            return;
        }
        self.world.truncate(&self.stream, &cut);
        let mut log = self.shared.lock();
        for segment in self.world.ranges(&self.stream).into_keys() {
            let head = self.world.head_of(&ScopedSegment::new(&self.stream, segment));
            let head = head.unwrap_or(Offset(i64::MAX));
            if head > Offset(0) {
                log.heads.insert(segment, head);
            }
        }
    }

    /// Keeps requests about the state and the leases back on some connections, while those of
    /// others pass.
    async fn delay_requests(&mut self) {
        let (from, draw) = (self.begun.elapsed(), self.random.u64(..));
        let state = self.state.to_string();
        let table = self.table.as_ref().map(ToString::to_string);
        let late = self.world.hold(move |arrival| {
            let is_put = matches!(arrival.command, WireCommand::UpdateTableEntries(_));
            let is_change = is_about_lease(arrival) || arrival.is_append() || is_put;
            let is_drawn = (arrival.connection ^ draw).count_ones().is_multiple_of(2);
            let is_about_state = arrival
                .segment
                .is_some_and(|segment| segment == state || Some(segment) == table.as_deref());
            is_change && is_drawn && is_about_state
        });
        sleep(Duration::from_millis(self.random.u64(100..8000))).await;
        (0..late.taken()).for_each(|_| self.world.count("group request late"));
        late.release();
        self.note_trouble(from);
    }

    /// Loses requests about leases, or their replies.
    async fn lose_lease_requests(&mut self) {
        let from = self.begun.elapsed();
        let (percent, mut draws) = (self.random.u32(20..100), self.random.fork());
        let losing = if self.random.bool() {
            self.world.lose(move |arrival| is_about_lease(arrival) && draws.u32(0..100) < percent)
        } else {
            self.world.lose_replies(move |departure| {
                let is_it = matches!(
                    departure.reply,
                    WireCommand::SegmentAttribute(_) | WireCommand::SegmentAttributeUpdated(_)
                );
                is_it && draws.u32(0..100) < percent
            })
        };
        sleep(Duration::from_millis(self.random.u64(100..8000))).await;
        (0..losing.taken()).for_each(|_| self.world.count("request about a lease lost"));
        drop(losing);
        self.note_trouble(from);
    }

    /// Another client takes a reader for dead that lives.
    async fn take_living_offline(&mut self) {
        let alive: Vec<Arc<str>> = {
            let log = self.shared.lock();
            let alive = log.lives.iter().filter(|life| life.ended.is_none());
            alive
                .filter(|life| life.ending == Ending::Alive)
                .map(|life| life.reader.clone())
                .collect()
        };
        if let Some(id) = self.random.choice(&alive).cloned() {
            self.take_offline(&id, None).await;
            self.world.count("living reader taken offline");
        }
    }

    /// The machine of all clients and servers sleeps: all timers are late at once.
    async fn sleep_as_a_whole(&mut self) {
        let Some(lease) = self.lease else { return };
        let from = self.begun.elapsed();
        tokio::time::advance(lease.mul_f64(0.2 + 2.0 * self.random.f64())).await;
        self.world.count("machine slept");
        self.note_trouble(from);
    }

    /// Loses replies to changes of the state until the result is dropped.
    fn lose_replies(&mut self) -> Hold {
        let (lost, mut draws) = (self.lost_replies, self.random.fork());
        self.world.lose_replies(move |departure| {
            let is_change = matches!(
                departure.reply,
                WireCommand::DataAppended(_)
                    | WireCommand::ConditionalCheckFailed(_)
                    | WireCommand::TableEntriesUpdated(_)
                    | WireCommand::TableKeyBadVersion(_)
            );
            is_change && draws.u32(0..100) < lost
        })
    }
}

fn is_about_lease(arrival: &Arrival<'_>) -> bool {
    matches!(
        arrival.command,
        WireCommand::GetSegmentAttribute(_) | WireCommand::UpdateSegmentAttribute(_)
    )
}
