//! A seed as a state that clients agree on: several synchronizers update it over connections that
//! break, while replies are lost, requests are late, its segment moves between stores, and entries
//! are truncated that not all have read.
//!
//! | check | holds |
//! |---|---|
//! | C10 | all updates are in one order, each once, and every copy is the begin of it |
//! | C10 | an update is made of the state as of its call, and not if its client was told so |
//! | C14 | every call ends within its limit, and succeeds after the repair |
//! | W1 | every copy is in the end what the stream holds, also that of a new client |

use std::{collections::BTreeMap, time::Duration};

use pravega_sdk_event_stream::SeededBug;
use pravega_sdk_table_synchronizer::{
    RevisionedStream, RevisionedStreamConfig, StateConfig, StateSynchronizer,
};
use pravega_sdk_types::{Outcome, ScopedStream};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    stage::{About, Stage, Times, block_on},
    states_load::{Change, Client, Id, Log, Pairs, Shared, State},
};
use crate::{Report, gates::is_append};

const CLIENTS: u8 = 4;
/// How often a compaction is made again.
const REPEATS: u32 = 5;
/// The waits of a client after failures.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<SeededBug>) -> Report {
    block_on(Scenario::new(seed, bug).run())
}

struct Scenario {
    stage: Stage,
    stream: ScopedStream,
    config: StateConfig,
    shared: Shared,
}

fn about(stream: &ScopedStream) -> About {
    About {
        segments: stream.clone(),
        is_change: |command| {
            let is_other = matches!(
                command,
                WireCommand::UpdateSegmentAttribute(_) | WireCommand::TruncateSegment(_)
            );
            is_append(command) || is_other
        },
        is_reply: |reply| {
            matches!(
                reply,
                WireCommand::DataAppended(_)
                    | WireCommand::ConditionalCheckFailed(_)
                    | WireCommand::SegmentAttributeUpdated(_)
                    | WireCommand::SegmentTruncated(_)
            )
        },
        counters: ["entry reply lost", "entry late"],
    }
}

impl Scenario {
    fn new(seed: u64, bug: Option<SeededBug>) -> Self {
        // An entry has half of the time of a call, and a store that is silent is noticed in half of
        // that, after a second at least.
        let times = Times { request_millis: 1000..3000, requests: 8..12 };
        let stream: ScopedStream = "sim/state".parse().expect("a name");
        let (stage, config) = Stage::new(seed, about(&stream), times, |_, limit| {
            let entries = RevisionedStreamConfig::default()
                .with_request_timeout(limit)
                .with_stall_timeout(limit)
                .with_backoff(BACKOFF.0, BACKOFF.1);
            let config = StateConfig::default().with_timeout(limit).with_stream(entries);
            bug.into_iter().fold(config, StateConfig::with_seeded_bug)
        });
        stage.world.create_stream(&stream, 1);
        Self { stage, stream, config, shared: Shared::default() }
    }

    async fn run(mut self) -> Report {
        let mut all = self.open().await;
        all.initialize(Vec::new()).await.expect("no fault yet");
        let clients: Vec<_> = (0..CLIENTS).map(|number| self.start_client(number)).collect();
        for _ in 0..self.stage.random.u32(2..10) {
            let is_truncated = self.stage.disturb(|_| 0).await;
            if is_truncated || self.stage.random.u32(0..4) == 0 {
                self.truncate(&mut all).await;
            }
        }
        let late = |check, detail| self.shared.say(check, detail);
        let mut ended = self.stage.repair(clients, late).await;
        for (client, state) in &mut ended {
            client.end(state).await;
        }
        all.fetch().await.expect("the stores answer");
        let truth = ids(&all);
        for (client, state) in &mut ended {
            client.compare(state, &truth).await;
        }
        let mut newcomer = self.open().await;
        newcomer.fetch().await.expect("the stores answer");
        if ids(&newcomer) != truth {
            let found = ids(&newcomer);
            let detail = format!("a new client has {found:?}, and the state is {truth:?}");
            self.shared.say("W1", detail);
        }
        check(&mut self.shared.lock(), &truth);
        self.stage.report(&mut self.shared.lock().history, "state update made")
    }

    /// A client over links that never break.
    async fn open(&self) -> State {
        let context = self.stage.context(&self.stage.perfect);
        let config = StateConfig::default();
        let opened = StateSynchronizer::open(context, &self.stream, Pairs, config).await;
        opened.expect("the controller answers")
    }

    fn start_client(&mut self, number: u8) -> JoinHandle<(Client, State)> {
        let stage = &mut self.stage;
        let client = Client {
            context: stage.context(&stage.network),
            stream: self.stream.clone(),
            config: self.config.clone(),
            limit: stage.limit,
            random: stage.random.fork(),
            shared: self.shared.clone(),
            number,
            made: 0,
            operations: stage.random.u32(6..16),
            max_pause: Duration::from_millis(stage.random.u64(1..400)),
        };
        tokio::spawn(client.run())
    }

    /// Drops entries that clients have not read, and compacts the state some time later: until then
    /// they have lost it.
    async fn truncate(&mut self, all: &mut State) {
        let context = self.stage.context(&self.stage.perfect);
        let config = RevisionedStreamConfig::default();
        let opened = RevisionedStream::open(context, &self.stream, config).await;
        let stream = opened.expect("the controller answers");
        all.fetch().await.expect("the stores answer");
        let known = all.revision().cloned().expect("the state was initialized");
        stream.truncate(&known).await.expect("the stores answer");
        self.stage.world.count("entries truncated");
        sleep(Duration::from_millis(self.stage.random.u64(0..200))).await;
        let mut last = None;
        for _ in 0..REPEATS {
            match all.compact(|known| Some(known.0.clone())).await {
                Ok(_) => return,
                // Another client has written the same, perhaps.
                Err(error) => last = Some(error),
            }
        }
        if let Some(error) = last {
            self.shared.say("C14", format!("a compaction fails over links that work: {error}"));
        }
    }
}

fn ids(state: &State) -> Vec<Id> {
    state.state().map(|known| known.0.clone()).unwrap_or_default()
}

/// Checks what clients were told, and what they saw, against the order of all updates.
fn check(log: &mut Log, truth: &[Id]) {
    let places: BTreeMap<Id, usize> = truth.iter().zip(0..).map(|(id, at)| (*id, at)).collect();
    let mut wrong = Vec::new();
    if places.len() != truth.len() {
        wrong.push(format!("an update is made twice: {truth:?}"));
    }
    let told: BTreeMap<Id, Outcome> = log.changes.iter().map(|c| (c.id, c.outcome)).collect();
    for (id, outcome) in &told {
        let is_there = places.contains_key(id);
        match outcome {
            Outcome::Applied if !is_there => wrong.push(format!("{id:?} was made, and is lost")),
            Outcome::NotApplied if is_there => {
                wrong.push(format!("{id:?} was not made, and is there"));
            }
            _ => {}
        }
    }
    wrong.extend(
        truth
            .iter()
            .filter(|id| !told.contains_key(*id))
            .map(|id| format!("{id:?} is of no client")),
    );
    let is_made = |change: &&Change| change.outcome == Outcome::Applied;
    let place = |change: &Change| places.get(&change.id).copied();
    for one in log.changes.iter().filter(is_made) {
        for next in log.changes.iter().filter(is_made) {
            let places = place(one).zip(place(next));
            if one.ended < next.begun && places.is_some_and(|(one, next)| one > next) {
                wrong.push(format!("{next:?} is before {one:?}, which had ended"));
            }
        }
    }
    for copy in &log.copies {
        if !truth.starts_with(&copy.ids) {
            wrong.push(format!("a copy had {:?}, and the order is {truth:?}", copy.ids));
        }
        let Some(since) = copy.fresh_since else { continue };
        let is_missed = |made: &&Change| made.ended < since && place(made) >= Some(copy.ids.len());
        if let Some(missed) = log.changes.iter().filter(is_made).find(is_missed) {
            wrong.push(format!("a fetch that began at {since} misses {missed:?}"));
        }
    }
    wrong.into_iter().for_each(|detail| log.history.say("C10", detail));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::states_load::Seen;

    fn change(number: u8, begun: u64, ended: u64, outcome: Outcome) -> Change {
        Change { id: (1, number), begun, ended, outcome }
    }

    /// The number of violations of a history.
    fn wrong(changes: Vec<Change>, copies: Vec<Seen>, truth: &[u8]) -> usize {
        let mut log = Log { changes, copies, ..Log::default() };
        let truth: Vec<Id> = truth.iter().map(|number| (1, *number)).collect();
        check(&mut log, &truth);
        log.history.violations.len()
    }

    #[test]
    fn what_is_wrong_with_a_history_of_a_state_is_found() {
        use Outcome::{Applied, NotApplied, Unknown};
        let both = || vec![change(1, 1, 2, Applied), change(2, 3, 4, Applied)];
        assert_eq!(wrong(both(), vec![], &[1, 2]), 0);
        assert_eq!(wrong(both(), vec![], &[2, 1]), 1, "the second had not begun");
        assert_eq!(wrong(both(), vec![], &[1]), 1, "lost");
        assert_eq!(wrong(both(), vec![], &[1, 2, 2]), 1, "twice");
        assert_eq!(wrong(both(), vec![], &[1, 2, 3]), 1, "of no client");
        let overlapping = vec![change(1, 1, 4, Applied), change(2, 2, 3, Applied)];
        assert_eq!(wrong(overlapping, vec![], &[2, 1]), 0);
        let refused = || vec![change(1, 1, 2, NotApplied)];
        assert_eq!(wrong(refused(), vec![], &[]), 0);
        assert_eq!(wrong(refused(), vec![], &[1]), 1);
        for truth in [&[][..], &[1]] {
            assert_eq!(wrong(vec![change(1, 1, 2, Unknown)], vec![], truth), 0);
        }
        let copy = |fresh_since, ids: &[u8]| {
            vec![Seen { fresh_since, ids: ids.iter().map(|number| (1, *number)).collect() }]
        };
        assert_eq!(wrong(both(), copy(None, &[1]), &[1, 2]), 0);
        assert_eq!(wrong(both(), copy(None, &[2]), &[1, 2]), 1, "no begin");
        assert_eq!(wrong(both(), copy(Some(3), &[1]), &[1, 2]), 0);
        assert_eq!(wrong(both(), copy(Some(5), &[1]), &[1, 2]), 1, "older than the call");
    }
}
