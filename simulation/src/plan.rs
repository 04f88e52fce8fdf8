//! The faults of a seed that events and transactions have in common: links, and scales.

use std::time::Duration;

use pravega_sdk_types::{KeyRange, ScopedStream, SegmentId};
use tokio::time::sleep;

use crate::{
    World,
    link::{Cut, Faults},
    network::Plan,
};

/// How links fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkTheme {
    /// Of a hundred links, the number that are cut somewhere.
    pub(crate) cuts: u32,
    /// The longest delay of a write.
    pub(crate) max_delay: Duration,
    /// True if the bytes on some links arrive in small pieces.
    pub(crate) fragments: bool,
}

impl LinkTheme {
    /// Draws the faults of each link.
    pub(crate) fn plan(self, mut random: fastrand::Rng, world: World) -> Plan {
        Box::new(move || {
            let mut direction = || self.direction(&mut random, &world);
            (direction(), direction())
        })
    }

    /// Draws the faults of one direction.
    fn direction(self, random: &mut fastrand::Rng, world: &World) -> Faults {
        let mut faults = Faults { seed: random.u64(..), ..Faults::default() };
        faults.delay = (Duration::ZERO, self.max_delay.mul_f64(random.f64()));
        if self.fragments && random.bool() {
            faults.fragment = Some(random.usize(1..40));
        }
        // Half of the cuts are in each direction.
        if random.u32(0..200) < self.cuts {
            let (cut, name) = match random.u32(0..8) {
                0..4 => (Cut::Fin, "cut: fin"),
                4..7 => (Cut::Reset, "cut: reset"),
                _ => (Cut::Silence, "cut: silence"),
            };
            world.count(name);
            faults.cut = Some((random.u64(0..6000), cut));
        }
        faults
    }
}

/// Splits a segment, or merges two neighbours. Between the two steps of a scale, segments are
/// sealed and have no successors.
pub(crate) async fn scale(world: &World, stream: &ScopedStream, random: &mut fastrand::Rng) {
    world.finish_scale();
    let active = world.active_segments(stream);
    if let Some(segment) = active.get(random.usize(0..active.len())) {
        scale_segment(world, stream, segment.id, random).await;
    }
}

/// Splits a segment that takes events, or merges it with its neighbour.
pub(crate) async fn scale_segment(
    world: &World,
    stream: &ScopedStream,
    id: SegmentId,
    random: &mut fastrand::Rng,
) {
    world.finish_scale();
    let active = world.active_segments(stream);
    let Some(at) = active.iter().position(|segment| segment.id == id) else { return };
    let (sealed, ranges): (Vec<SegmentId>, Vec<KeyRange>) = match active.get(at + 1) {
        Some(next) if random.bool() => {
            let range =
                KeyRange::new(active[at].range.low(), next.range.high()).expect("neighbours");
            (vec![id, next.id], vec![range])
        }
        _ => (vec![id], active[at].range.split(random.u32(1..4))),
    };
    world.begin_scale(stream, sealed, ranges);
    sleep(Duration::from_millis(random.u64(0..500))).await;
    world.finish_scale();
}
