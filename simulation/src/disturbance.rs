//! The faults of a seed that are made one after the other, at random times.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pravega_sdk_types::{Offset, ScopedSegment, ScopedStream, SegmentId};
use tokio::time::sleep;

use crate::{
    Between, Hold, Interruptions, Requests, SimNetwork, Stall, Stuck, World,
    plan::{scale, scale_segment},
    theme::{Kind, Theme},
    trouble::{TOKEN_LIFE, Trouble},
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
const STEPS: &[Kind] = &[
    Kind::Scales,
    Kind::Scales,
    Kind::Moves,
    Kind::Restarts,
    Kind::Outages,
    Kind::Truncations,
    Kind::Tokens,
    Kind::Stalls,
    Kind::DeadMachines,
    Kind::StaleAnswers,
    Kind::SilentController,
    Kind::FullStores,
];

/// The longest time that an interruption waits for the next connection.
const INTERRUPTION: Duration = Duration::from_secs(4);

/// Sets the faults that are there from the beginning. Call it before there are clients.
pub(crate) fn prepare(world: &World, theme: &Theme, random: &mut fastrand::Rng) {
    if theme.has(Kind::Interruptions) {
        let between = between(random.fork());
        let percent = random.u32(20..100);
        let faults = Interruptions { percent, longest: INTERRUPTION, between: Some(between) };
        world.set_interruptions(Some(faults));
    }
    if theme.has(Kind::ReplyOrder) {
        world.set_reply_delay(Duration::from_millis(random.u64(1..200)));
    }
    if theme.trouble == Some(Trouble::ExpiredTokens) {
        world.set_tokens(TOKEN_LIFE);
    }
    if theme.has(Kind::Tokens) {
        world.set_tokens(TOKEN_LIFE);
        if random.bool() {
            let ahead = Duration::from_secs(random.u64(0..40));
            world.set_clock_ahead(random.usize(0..theme.stores), ahead);
        }
    }
}

/// Ends all faults but those of links.
pub(crate) fn repair(world: &World, network: &SimNetwork, theme: &Theme) {
    world.set_interruptions(None);
    world.set_reply_delay(Duration::ZERO);
    world.set_stale_answers(0);
    world.answer_calls();
    world.free_stores();
    world.finish_scale();
    world.set_controller_away(false);
    for store in 0..theme.stores {
        if theme.has(Kind::DeadMachines) {
            network.start_machine(store);
        }
        world.set_store_up(store, true);
    }
}

/// The time after the repair by which everything has taken effect that was on its way.
pub(crate) fn longest_way(theme: &Theme) -> Duration {
    theme.links.max_delay * 2 + INTERRUPTION * 2 + Duration::from_secs(1)
}

/// What happens between two steps of an append: nothing, or its segment is sealed, and perhaps
/// truncated away.
fn between(random: fastrand::Rng) -> Between {
    let random = Arc::new(Mutex::new(random));
    Arc::new(move |world, segment, _| {
        let mut random = random.lock().unwrap_or_else(PoisonError::into_inner).fork();
        Box::pin(async move {
            let stream = segment.scoped_stream();
            let is_active = |id| world.active_segments(&stream).iter().any(|one| one.id == id);
            if !is_active(segment.id()) || random.u32(0..3) == 0 {
                return;
            }
            scale_segment(&world, &stream, segment.id(), &mut random).await;
            if random.u32(0..3) == 0 {
                world.truncate_at_tail(&stream);
            }
        })
    })
}

/// A part of the cluster that is stuck until this is dropped.
struct Stalled<'a> {
    _held: Hold,
    network: &'a SimNetwork,
    /// True if all connections end with the stall. A store that has lost a request never serves
    /// later ones of the same connection.
    resets: bool,
    stores: usize,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        if self.resets {
            (0..self.stores).for_each(|store| self.network.reset(store));
        }
    }
}

impl Disturbance<'_> {
    /// Makes faults for about half a minute.
    pub(crate) async fn run(mut self) {
        let kinds: Vec<Kind> = STEPS.iter().copied().filter(|kind| self.theme.has(*kind)).collect();
        // Young segments are short: places in different ones have the same offsets.
        let (steps, pause) = if self.theme.is_uniform { (20..60, 120) } else { (1..25, 600) };
        let recreation = self.theme.has(Kind::Recreations).then(|| self.random.u32(0..10));
        for step in 0..self.random.u32(steps) {
            sleep(Duration::from_millis(self.random.u64(1..pause))).await;
            if recreation == Some(step) {
                self.world.recreate_stream(self.stream, self.theme.segments);
                self.world.count("stream deleted and made again");
            }
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
            Kind::Moves => self.move_segments(),
            Kind::Restarts => {
                let store = self.random.usize(0..self.theme.stores);
                self.world.set_store_up(store, false);
                self.network.reset(store);
                self.wait(4000).await;
                self.world.set_store_up(store, true);
            }
            Kind::Outages => {
                self.world.set_controller_away(true);
                self.wait(20_000).await;
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
            Kind::Tokens => match self.random.u32(0..2) {
                0 => self.world.revoke_tokens(),
                // The servers' clocks go on while the clients' machine sleeps.
                _ => self.world.advance_clock(TOKEN_LIFE + Duration::from_secs(60)),
            },
            Kind::Stalls => self.stall().await,
            Kind::DeadMachines => {
                let store = self.random.usize(0..self.theme.stores);
                self.network.kill_machine(store);
                self.wait(15_000).await;
                self.network.start_machine(store);
            }
            Kind::StaleAnswers => {
                self.world.set_stale_answers(self.random.u32(20..100));
                scale(self.world, self.stream, &mut self.random).await;
                if self.random.bool() {
                    self.world.add_stale_instance();
                }
                self.move_segments();
                self.wait(6000).await;
                self.world.set_stale_answers(0);
            }
            Kind::SilentController => {
                let silent = ["segment_endpoint", "successors", "current_segments", ""];
                let silent = silent[self.random.usize(0..silent.len())];
                self.world.leave_unanswered(move |call| silent.is_empty() || call == silent);
                self.wait(20_000).await;
                self.world.answer_calls();
            }
            Kind::FullStores => {
                self.world.fill_stores([0, 64, 1000][self.random.usize(0..3)]);
                self.wait(6000).await;
                self.world.free_stores();
            }
            _ => {}
        }
    }

    async fn wait(&mut self, longest: u64) {
        sleep(Duration::from_millis(self.random.u64(0..longest))).await;
    }

    fn move_segments(&mut self) {
        for segment in self.world.active_segments(self.stream) {
            if self.random.bool() {
                let name = ScopedSegment::new(self.stream, segment.id);
                self.world.move_segment(&name, self.random.usize(0..self.theme.stores));
            }
        }
    }

    /// Makes a part of the cluster stuck for a while.
    async fn stall(&mut self) {
        let active = self.world.active_segments(self.stream);
        let Some(segment) = active.get(self.random.usize(0..active.len())) else { return };
        let segment = ScopedSegment::new(self.stream, segment.id);
        let store = self.random.usize(0..self.theme.stores);
        let stuck = match self.random.u32(0..4) {
            0 => Stuck::Segment(segment),
            1 => Stuck::Container(segment),
            2 => Stuck::Store(store),
            _ => Stuck::Silent(store),
        };
        let requests = [Requests::All, Requests::Appends, Requests::Reads];
        let requests = requests[self.random.usize(0..requests.len())];
        let stalls = [Stall::Queues, Stall::Loses, Stall::LosesReplies];
        let stall = stalls[self.random.usize(0..stalls.len())];
        let resets = stall == Stall::Loses || self.random.bool();
        let held = self.world.stall(stuck, requests, stall);
        let _stalled =
            Stalled { _held: held, network: self.network, resets, stores: self.theme.stores };
        self.wait(15_000).await;
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
