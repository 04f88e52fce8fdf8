//! Which other readers a client watches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pravega_sdk_segment_client::machine::Now;

use super::{
    effect::{LeaseEffect, RemovalEnd},
    seeded_bugs::LivenessBug,
    times::{LeaseTimes, earlier},
    value::LeaseValue,
    watch::{Step, WatchMachine},
};

/// Number of requests about other readers that are in flight at once.
const MAX_IN_FLIGHT: usize = 16;

/// Watches the leases of other readers, and takes the dead out of the group.
///
/// The readers of a group are a ring in the order of their names. Each watches the next one that
/// has a lease, so that the requests of all are spread evenly, and each reader is watched whichever
/// others are dead. One that suspects its neighbour watches all readers, until no reader is
/// suspected: several that died together are found together. A client that is no reader watches
/// all.
///
/// Readers without a lease are left alone: those of other clients, and those that are opened
/// without one. A reader that leaves the group is watched until its lease is gone, so that the
/// lease does not count for a later reader of its name.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_event_stream::group::liveness::{LeaseEffect, LeaseTimes, ObserverMachine};
///
/// let times = LeaseTimes::new(Duration::from_secs(30));
/// let mut observer = ObserverMachine::new(Some("b".into()), times);
/// observer.handle_readers(["a", "b", "c"].map(Into::into), Duration::ZERO);
/// let effect = observer.poll_effect(Duration::ZERO);
/// assert_eq!(effect, Some(("c".into(), LeaseEffect::Read)), "the next by its name");
/// ```
#[derive(Debug, Clone)]
pub struct ObserverMachine {
    /// The reader of this client; `None` if it is no reader.
    own: Option<Arc<str>>,
    times: LeaseTimes,
    watches: BTreeMap<Arc<str>, WatchMachine>,
}

impl ObserverMachine {
    /// An observer that knows no readers yet. `own` is its own name, `None` if it is no reader.
    #[must_use]
    pub fn new(own: Option<Arc<str>>, times: LeaseTimes) -> Self {
        Self { own, times, watches: BTreeMap::new() }
    }

    /// The readers that are in the group, in any order, by the latest state that is known.
    pub fn handle_readers(&mut self, readers: impl IntoIterator<Item = Arc<str>>, now: Now) {
        let mut before = std::mem::take(&mut self.watches);
        for reader in readers {
            if self.own.as_ref() == Some(&reader) {
                continue;
            }
            let known = before.remove(&reader).filter(|watch| watch.step() != Step::Gone);
            let mut watch = known.unwrap_or_else(|| WatchMachine::new(self.times, now));
            watch.set_in_group(true);
            self.watches.insert(reader, watch);
        }
        // A lease that is left is removed although the reader is gone.
        let mut going = before;
        going.retain(|_, watch| watch.is_needed());
        going.values_mut().for_each(|watch| watch.set_in_group(false));
        self.watches.extend(going);
    }

    /// Returns the time that a request about a reader may take. It is longer after requests that
    /// failed, so that a store which answers late is heard.
    #[must_use]
    pub fn patience(&self, reader: &str) -> Duration {
        self.watches.get(reader).map_or(self.times.request_timeout(), WatchMachine::patience)
    }

    /// Returns true if each reader was found alive, taken out, or without a lease.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.watches.values().all(WatchMachine::is_settled)
    }

    /// Returns the watches in the order of the ring, from the reader after this one.
    fn ring(&self) -> impl Iterator<Item = (&Arc<str>, &WatchMachine)> {
        let own = self.own.clone();
        let is_after = move |name: &Arc<str>| own.as_ref().is_some_and(|own| name > own);
        let after = self.watches.iter().filter({
            let is_after = is_after.clone();
            move |(name, _)| is_after(name)
        });
        after.chain(self.watches.iter().filter(move |(name, _)| !is_after(name)))
    }

    /// Returns the readers that are watched now.
    fn watched(&self) -> impl Iterator<Item = (&Arc<str>, &WatchMachine)> {
        let is_any_suspected = self.watches.values().any(WatchMachine::is_suspected)
            && !self.times.bugs.has(LivenessBug::WatchesNeighbourOnly);
        let watches_all = self.own.is_none() || is_any_suspected;
        let mut has_neighbour = false;
        self.ring().filter(move |(_, watch)| {
            let is_watched = watches_all || !has_neighbour || !watch.is_in_group();
            has_neighbour |= watch.may_hold();
            is_watched
        })
    }

    /// Returns what to do next about which reader; `None` before
    /// [`poll_timeout`](Self::poll_timeout). Up to 16 effects are carried out side by side, and
    /// answered in any order.
    pub fn poll_effect(&mut self, now: Now) -> Option<(Arc<str>, LeaseEffect)> {
        let due = self.due().filter(|(_, next)| *next <= now);
        let (reader, _) = due.min_by_key(|(_, next)| *next)?;
        let reader = reader.clone();
        let effect = self.watches.get_mut(&reader)?.poll_effect(now)?;
        Some((reader, effect))
    }

    /// Returns the watches that may have an effect, each with its moment.
    fn due(&self) -> impl Iterator<Item = (&Arc<str>, Now)> {
        let in_flight = self.watches.values().filter(|watch| watch.is_in_flight());
        let is_full = in_flight.count() >= MAX_IN_FLIGHT;
        let removes = |watch: &WatchMachine| matches!(watch.step(), Step::Removing(_));
        let mut all = self.watches.values();
        let is_removing = all.any(|watch| removes(watch) && watch.is_in_flight());
        let free = self.watched().filter(move |(_, watch)| {
            // One copy of the state is enough: one reader is taken out after the other.
            let waits = is_removing && removes(watch);
            !(is_full || waits)
        });
        free.filter_map(|(reader, watch)| Some((reader, watch.next()?)))
    }

    /// Returns the moment at which there is something to do again. `None` means when an effect is
    /// answered or the readers change.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        self.due().map(|(_, next)| next).fold(None, |first, next| Some(earlier(next, first)))
    }

    /// The lease of a reader was read.
    pub fn handle_read(&mut self, reader: &str, found: Option<LeaseValue>, now: Now) {
        if let Some(watch) = self.watches.get_mut(reader) {
            watch.handle_read(found, now);
        }
    }

    /// A request about a lease failed, or it is not known if it was made.
    pub fn handle_failed(&mut self, reader: &str, now: Now) {
        if let Some(watch) = self.watches.get_mut(reader) {
            watch.handle_failed(now);
        }
    }

    /// The lease of a reader was compared: it is set if it had the expected value.
    pub fn handle_swapped(&mut self, reader: &str, is_set: bool, now: Now) {
        if let Some(watch) = self.watches.get_mut(reader) {
            watch.handle_swapped(is_set, now);
        }
    }

    /// A reader was taken out of the group, or not.
    pub fn handle_removal(&mut self, reader: &str, end: RemovalEnd, now: Now) {
        if let Some(watch) = self.watches.get_mut(reader) {
            watch.handle_removal(end, now);
        }
    }
}
