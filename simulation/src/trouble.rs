//! One part of a cluster in trouble, while everything else is healthy.

use std::time::Duration;

use pravega_sdk_controller_client::SegmentWithRange;
use pravega_sdk_types::{ScopedSegment, ScopedStream};

use crate::{
    Hold, Requests, SimNetwork, Stall, Stuck, World,
    promptness::{Health, Time},
};

/// The time that a connect may take in a seed with a trouble.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that one attempt of a request may take in a seed with a trouble.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The life of a token in a seed in which tokens expire.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// The time in which clients find the new store of a segment, or get a new token.
pub(crate) const RECOVERY: Duration = Duration::from_secs(4);

/// What is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A part takes some requests and does not answer them.
    Stall(Part, Requests, Stall),
    /// The machine of a store dies; perhaps another store has its segments at once.
    DeadMachine { moves: bool },
    /// All segments move to other stores, and connections end.
    Moves,
    /// The controller is away, or does not answer.
    NoController { is_silent: bool },
    /// The callers of some requests do not take the replies.
    UnpolledRequests,
    /// All tokens expire, unnoticed by the clients.
    ExpiredTokens,
}

/// A part of a cluster that gets stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Segment,
    Container,
    Store,
    Silent,
}

/// A trouble that has begun, and ends when this is dropped.
pub(crate) struct Begun {
    world: World,
    network: SimNetwork,
    stores: usize,
    trouble: Trouble,
    store: usize,
    _held: Option<Hold>,
}

impl Trouble {
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u32(0..9) {
            0..3 => {
                let parts = [Part::Segment, Part::Container, Part::Store, Part::Silent];
                let requests = [Requests::All, Requests::Appends, Requests::Reads];
                let stalls = [Stall::Queues, Stall::Loses, Stall::LosesReplies];
                Self::Stall(
                    parts[random.usize(0..4)],
                    requests[random.usize(0..3)],
                    stalls[random.usize(0..3)],
                )
            }
            3 | 4 => Self::DeadMachine { moves: random.bool() },
            5 => Self::NoController { is_silent: random.bool() },
            6 => Self::UnpolledRequests,
            7 => Self::Moves,
            _ => Self::ExpiredTokens,
        }
    }

    /// The name under which it is counted.
    pub(crate) fn counter(self) -> &'static str {
        match self {
            Self::Stall(..) => "trouble: a part is stuck",
            Self::DeadMachine { moves: false } => "trouble: a machine is dead",
            Self::DeadMachine { moves: true } => "trouble: a dead machine's segments moved",
            Self::Moves => "trouble: segments move",
            Self::NoController { .. } => "trouble: no controller",
            Self::UnpolledRequests => "trouble: requests are not polled",
            Self::ExpiredTokens => "trouble: tokens expired",
        }
    }

    /// Returns true if a read of the part is not answered.
    pub(crate) fn stops_reads(self) -> bool {
        matches!(self, Self::Stall(_, Requests::All | Requests::Reads, _))
    }

    /// Returns true if an append to the part is not answered.
    pub(crate) fn stops_appends(self) -> bool {
        matches!(self, Self::Stall(_, Requests::All | Requests::Appends, _))
    }
}

/// Begins a trouble. The first of the segments is in it, if any is; returns the health of each.
pub(crate) fn begin(
    (world, network): (&World, &SimNetwork),
    (stores, stream): (usize, &ScopedStream),
    (trouble, segments): (Trouble, &[SegmentWithRange]),
    now: Time,
) -> (Begun, Vec<Health>) {
    let names: Vec<ScopedSegment> =
        segments.iter().map(|segment| ScopedSegment::new(stream, segment.id)).collect();
    let owner = |name: &ScopedSegment| world.owner(&name.to_string());
    let store = names.first().map_or(0, owner);
    let owners: Vec<usize> = names.iter().map(owner).collect();
    let mut held = None;
    let mut health = vec![Health::from(now); names.len()];
    match trouble {
        Trouble::Stall(part, requests, stall) => {
            let first = names.first().cloned().expect("a segment");
            let stuck = match part {
                Part::Segment => Stuck::Segment(first),
                Part::Container => Stuck::Container(first),
                Part::Store => Stuck::Store(store),
                Part::Silent => Stuck::Silent(store),
            };
            for (at, name) in names.iter().enumerate() {
                if stuck.has(owners[at], Some(&name.to_string())) {
                    health[at] = stuck_health(requests, now);
                }
            }
            held = Some(world.stall(stuck, requests, stall));
        }
        Trouble::DeadMachine { moves } => {
            for (at, name) in names.iter().enumerate().filter(|(at, _)| owners[*at] == store) {
                health[at] = Health::default();
                if moves {
                    world.move_segment(name, (store + 1) % stores);
                    health[at] = Health::from(now + RECOVERY);
                }
            }
            network.kill_machine(store);
            // Its links break. Without that, keep-alives find it in half a minute.
            network.reset(store);
        }
        Trouble::NoController { is_silent } => {
            if is_silent {
                world.leave_unanswered(|_| true);
            } else {
                world.set_controller_away(true);
            }
            let first = segments.first().expect("a segment");
            world.begin_scale(stream, vec![first.id], first.range.split(2));
            world.finish_scale();
            health[0] = Health::default();
        }
        Trouble::Moves => {
            for (name, owner) in names.iter().zip(&owners) {
                world.move_segment(name, (owner + 1) % stores);
            }
            (0..stores).for_each(|store| network.reset(store));
            health.fill(Health::from(now + RECOVERY));
        }
        Trouble::UnpolledRequests => {}
        Trouble::ExpiredTokens => {
            world.advance_clock(TOKEN_LIFE + Duration::from_secs(60));
            health.fill(Health::from(now + RECOVERY));
        }
    }
    let (world, network) = (world.clone(), network.clone());
    (Begun { world, network, stores, trouble, store, _held: held }, health)
}

/// The health of a segment that does not answer these requests.
fn stuck_health(requests: Requests, now: Time) -> Health {
    match requests {
        Requests::All => Health::default(),
        Requests::Appends => Health { writes: None, ..Health::from(now) },
        Requests::Reads => Health { reads: None, ..Health::from(now) },
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        match self.trouble {
            Trouble::DeadMachine { .. } => self.network.start_machine(self.store),
            Trouble::NoController { .. } => {
                self.world.answer_calls();
                self.world.set_controller_away(false);
            }
            Trouble::Stall(..)
            | Trouble::Moves
            | Trouble::UnpolledRequests
            | Trouble::ExpiredTokens => {}
        }
        // A store that has lost a request never serves later ones of the same connection.
        (0..self.stores).for_each(|store| self.network.reset(store));
    }
}
