//! The faults of a seed that are made one after the other, at random times.

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_types::{Offset, ScopedSegment, ScopedStream, SegmentId};
use tokio::time::sleep;

use crate::{
    SimNetwork, World,
    plan::scale,
    theme::{Kind, Theme},
};

/// Makes the faults of a seed.
pub(crate) struct Disturbance<'a> {
    pub(crate) world: &'a World,
    pub(crate) network: &'a SimNetwork,
    pub(crate) stream: &'a ScopedStream,
    pub(crate) theme: &'a Theme,
    pub(crate) random: fastrand::Rng,
}

/// The kinds of which every step makes one, each with as many chances as it is named.
const STEPS: &[Kind] =
    &[Kind::Scales, Kind::Scales, Kind::Moves, Kind::Restarts, Kind::Outages, Kind::Truncations];

impl Disturbance<'_> {
    /// Makes faults for about half a minute.
    pub(crate) async fn run(mut self) {
        let kinds: Vec<Kind> = STEPS.iter().copied().filter(|kind| self.theme.has(*kind)).collect();
        // Young segments are short: places in different ones have the same offsets.
        let (steps, pause) = if self.theme.is_uniform { (20..60, 120) } else { (1..25, 600) };
        for _ in 0..self.random.u32(steps) {
            sleep(Duration::from_millis(self.random.u64(1..pause))).await;
            // Some steps make none.
            match kinds.get(self.random.usize(0..kinds.len() + 2)) {
                Some(kind) => self.make(*kind).await,
                None => continue,
            }
        }
    }

    async fn make(&mut self, kind: Kind) {
        match kind {
            Kind::Scales => scale(self.world, self.stream, &mut self.random).await,
            Kind::Moves => {
                for segment in self.world.active_segments(self.stream) {
                    if self.random.bool() {
                        let name = ScopedSegment::new(self.stream, segment.id);
                        let store = self.random.usize(0..self.theme.stores);
                        self.world.move_segment(&name, store);
                    }
                }
            }
            Kind::Restarts => {
                let store = self.random.usize(0..self.theme.stores);
                self.world.set_store_up(store, false);
                self.network.reset(store);
                sleep(Duration::from_millis(self.random.u64(0..4000))).await;
                self.world.set_store_up(store, true);
            }
            Kind::Outages => {
                self.world.set_controller_away(true);
                sleep(Duration::from_millis(self.random.u64(100..20_000))).await;
                self.world.set_controller_away(false);
            }
            Kind::Truncations => {
                if self.random.bool() {
                    // Acknowledgements are lost, and their segments are gone when the clients have
                    // new connections.
                    (0..self.theme.stores).for_each(|store| self.network.reset(store));
                    scale(self.world, self.stream, &mut self.random).await;
                }
                self.truncate();
            }
            _ => {}
        }
    }

    /// Truncates the stream in its active segments, so that all segments before them go.
    fn truncate(&mut self) {
        // The places at which an event begins or the segment ends.
        let mut places: BTreeMap<SegmentId, Vec<Offset>> = BTreeMap::new();
        for segment in self.world.active_segments(self.stream) {
            let head = self.world.head_of(&ScopedSegment::new(self.stream, segment.id));
            places.insert(segment.id, head.into_iter().collect());
        }
        for stored in self.world.content(self.stream) {
            if let Some(places) = places.get_mut(&stored.segment) {
                places.push(Offset(stored.offset.0 + 8 + stored.event.len() as i64));
            }
        }
        let mut cut = BTreeMap::new();
        for (id, places) in &places {
            let Some(last) = places.len().checked_sub(1) else { return };
            // Often at the tail, where events are in doubt.
            let at = if self.random.bool() { last } else { self.random.usize(0..places.len()) };
            cut.extend(places.get(at).map(|place| (*id, *place)));
        }
        if !cut.is_empty() {
            self.world.truncate(self.stream, &cut);
        }
    }
}
