//! Connections that end at the worst moments for the writer of an append.
//!
//! ```text
//! late append   first connection   append ── held, closed ──────── takes effect
//!               next connection        set-up, answered, append, held │ between │ takes effect
//!
//! lost ack      first connection   append ── takes effect, closed
//!               next connection        set-up, held            │ between │ is answered
//! ```

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pravega_sdk_server_core::ids::ConnectionId;
use pravega_sdk_types::{ScopedSegment, WriterId};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{sleep, timeout};

use crate::{
    World,
    gates::{Arrival, Departure},
    holds::Hold,
    world::{Interruption, Interruptions},
};

/// The longest time from the append to the end of its connection.
const UNTIL_CLOSED: Duration = Duration::from_millis(200);
/// The most appends of a connection before that one.
const MAX_BEFORE: u32 = 12;

/// An interruption of one connection.
pub(crate) struct Interrupted {
    world: World,
    connection: ConnectionId,
    what: Interruption,
    faults: Interruptions,
    random: fastrand::Rng,
    hold: Hold,
    found: Found,
}

/// The append that is held, or whose acknowledgement is lost; `None` until then.
type Found = Arc<Mutex<Option<Append>>>;

#[derive(Clone)]
struct Append {
    writer: Option<WriterId>,
    segment: String,
}

/// Finds an append of a connection, and what belongs to it from then on.
struct Finder {
    connection: ConnectionId,
    before: u32,
    found: Found,
}

impl Finder {
    /// Returns true if this is the append, or a later one of its writer.
    fn finds(&mut self, connection: u64, writer: Option<WriterId>, segment: Option<&str>) -> bool {
        let Some(segment) = segment.filter(|_| connection == self.connection.0) else {
            return false;
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(append) = &*found {
            return append.writer == writer && append.segment == segment;
        }
        if self.before > 0 {
            self.before -= 1;
            return false;
        }
        *found = Some(Append { writer, segment: segment.to_owned() });
        true
    }
}

impl Interrupted {
    /// Decides whether a connection is interrupted.
    pub(crate) fn draw(world: &World, connection: ConnectionId) -> Option<Self> {
        let mut state = world.lock();
        let faults = state.interruptions.clone()?;
        if state.cluster.random.u32(0..100) >= faults.percent {
            return None;
        }
        let mut random = state.cluster.random.fork();
        drop(state);
        let found = Found::default();
        let before = random.u32(0..MAX_BEFORE);
        let mut finder = Finder { connection, before, found: Arc::clone(&found) };
        let (what, hold) = if random.bool() {
            let is_held = move |arrival: &Arrival<'_>| {
                arrival.adds_bytes()
                    && finder.finds(arrival.connection, arrival.writer, arrival.segment)
            };
            (Interruption::LateAppend, world.hold(is_held))
        } else {
            let is_lost = move |departure: &Departure<'_>| {
                is_ack(departure.reply)
                    && finder.finds(departure.connection, departure.writer, departure.segment)
            };
            (Interruption::LostAck, world.lose_replies(is_lost))
        };
        let world = world.clone();
        Some(Self { world, connection, what, faults, random, hold, found })
    }

    /// Interrupts the connection at its append while it is served; returns when both have ended.
    pub(crate) async fn during<T>(self, serving: impl Future<Output = T>) {
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            biased;
            _ = &mut serving => {
                if self.hold.taken() > 0 {
                    self.run().await;
                }
            }
            () = self.hold.reached() => {
                tokio::join!(self.run(), serving);
            }
        }
    }

    async fn run(mut self) {
        let append = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(append) = append else { return };
        sleep(UNTIL_CLOSED.mul_f64(self.random.f64())).await;
        match self.what {
            Interruption::LateAppend => self.be_late(append).await,
            Interruption::LostAck => self.lose_ack(append).await,
        }
    }

    /// Lets the append take effect when the same one arrives on the next connection.
    async fn be_late(self, append: Append) {
        let Self { world, connection, faults, mut random, hold, .. } = self;
        let sent = append.clone();
        let resent = world.hold(move |arrival| {
            arrival.connection != connection.0
                && arrival.adds_bytes()
                && arrival.writer == sent.writer
                && arrival.segment == Some(&*sent.segment)
        });
        world.lock().cluster.close(connection);
        let is_resent = timeout(faults.longest, resent.reached()).await.is_ok();
        world.count("append late");
        if is_resent && random.u32(0..8) == 0 {
            resent.release();
            world.count("append later than the one that was sent again");
            return;
        }
        hold.release();
        if is_resent {
            world.count("append later than the next set-up");
            act(&world, &faults, &append, Interruption::LateAppend).await;
            sleep(UNTIL_CLOSED.mul_f64(random.f64())).await;
        }
    }

    /// Holds the next set-up up.
    async fn lose_ack(self, append: Append) {
        let Self { world, connection, faults, hold, .. } = self;
        let segment = append.segment.clone();
        let set_up = world.hold(move |arrival| {
            arrival.connection != connection.0
                && matches!(arrival.command, WireCommand::SetupAppend(_))
                && arrival.segment == Some(&*segment)
        });
        world.lock().cluster.close(connection);
        world.count("acknowledgement lost");
        if timeout(faults.longest, set_up.reached()).await.is_ok() {
            act(&world, &faults, &append, Interruption::LostAck).await;
        }
        drop(hold);
    }
}

/// Acts on the segment of an append; for one of a transaction or of a large event, on the segment
/// that it will be merged into.
async fn act(world: &World, faults: &Interruptions, append: &Append, when: Interruption) {
    if let (Some(between), Ok(segment)) = (&faults.between, append.segment.parse::<ScopedSegment>())
    {
        between(world.clone(), segment, when).await;
        world.count("action between two steps of an append");
    }
}

/// Returns true if a reply says that bytes were added.
fn is_ack(reply: &WireCommand) -> bool {
    matches!(reply, WireCommand::DataAppended(_) | WireCommand::SegmentsMerged(_))
}
