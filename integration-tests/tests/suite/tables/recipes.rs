//! Recipes on tables that clients agree on: maps, counters, locks, leaders, members.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::{BigEndian, Raw, Utf8};
use pravega_sdk_integration_tests::harness::{FAR, eventually, factory};
use pravega_sdk_table_synchronizer::recipes::{
    Counter, Election, LeaseConfig, Lock, Members, Role, SharedMap, Standing,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable};

use super::segments::new_table;

/// A lease that no test waits for.
const LONG: Duration = Duration::from_secs(3600);
/// A lease whose end a test waits for. A test passes also if it is over sooner than expected.
const SHORT: Duration = Duration::from_millis(300);

struct Group {
    factory: ClientFactory,
    name: ScopedKeyValueTable,
}

impl Group {
    async fn new() -> Self {
        let factory = factory().await;
        let name = new_table(&factory).await;
        Self { factory, name }
    }

    async fn table(&self) -> pravega_sdk_table_synchronizer::TableSynchronizer<Raw, Raw> {
        self.factory.table_synchronizer(&self.name, Raw, Raw).await.unwrap()
    }

    async fn lock(&self, name: &str, lease: Duration) -> Lock {
        let config = LeaseConfig::default().with_name(name).with_lease(lease);
        Lock::new(self.table().await, "lock", config)
    }

    async fn election(&self, name: &str, lease: Duration) -> Election {
        let config = LeaseConfig::default().with_name(name).with_lease(lease);
        Election::new(self.table().await, "leader", config)
    }

    async fn member(&self, name: &str, lease: Duration) -> Members {
        let config = LeaseConfig::default().with_name(name).with_lease(lease);
        Members::new(self.table().await, "members/", config)
    }
}

fn follows(leader: &str) -> Role {
    Role::Follower { leader: Some(leader.to_owned()) }
}

fn token(role: &Role) -> Option<u64> {
    match role {
        Role::Leader { token } => Some(token.get()),
        Role::Follower { .. } => None,
    }
}

#[tokio::test]
async fn a_shared_map_returns_the_value_before() {
    let group = Group::new().await;
    let map = async || {
        let codec = BigEndian::<u32>::new();
        SharedMap::new(group.factory.table_synchronizer(&group.name, codec, Utf8).await.unwrap())
    };
    let (mut one, mut other) = (map().await, map().await);
    assert_eq!(one.insert(7, "a").await.unwrap(), None);
    assert_eq!(other.insert(7, "b").await.unwrap().as_deref(), Some("a"));
    assert_eq!(one.state().get(7).unwrap().as_deref(), Some("a"));
    one.refresh().await.unwrap();
    assert_eq!(one.state().get(7).unwrap().as_deref(), Some("b"));
    assert_eq!(one.remove(7).await.unwrap().as_deref(), Some("b"));
    assert_eq!(other.remove(7).await.unwrap(), None);
    assert!(other.state().is_empty());
}

#[tokio::test]
async fn a_counter_gives_each_number_once() {
    let group = Group::new().await;
    let count = |_| async {
        let mut counter = Counter::new(group.table().await, "count");
        let mut numbers = Vec::new();
        for _ in 0..10 {
            numbers.push(counter.add(1).await.unwrap());
        }
        assert!(numbers.is_sorted());
        numbers
    };
    let mut all = join_all((0..4).map(count)).await.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<_>>());
    let mut counter = Counter::new(group.table().await, "count");
    assert_eq!(counter.add(-50).await.unwrap(), -10);
    assert_eq!(counter.value().await.unwrap(), -10);
    let error = counter.add(i64::MIN).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    let mut map = SharedMap::new(group.table().await);
    map.insert("count", "none").await.unwrap();
    assert_eq!(counter.value().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_lock_has_one_holder_and_each_one_a_higher_token() {
    let group = Group::new().await;
    let (mut one, mut other) = (group.lock("one", LONG).await, group.lock("other", LONG).await);
    let mut held = one.try_acquire().await.unwrap().unwrap();
    assert!(other.try_acquire().await.unwrap().is_none());
    let error = other.acquire(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert!(held.renew().await.unwrap());
    assert!(held.left() > LONG / 2);
    let first = held.token();
    held.release().await.unwrap();
    let held = other.acquire(FAR).await.unwrap();
    assert!(held.token() > first);
    assert!(one.try_acquire().await.unwrap().is_none(), "it was released");
}

#[tokio::test]
async fn a_lock_is_waited_for_until_the_limit() {
    let group = Group::new().await;
    let (mut one, mut other) = (group.lock("one", LONG).await, group.lock("other", LONG).await);
    let held = one.try_acquire().await.unwrap().unwrap();
    // The pauses of this lease are longer than what is left of the limit.
    let limit = Duration::from_millis(400);
    let start = Instant::now();
    let error = other.acquire(limit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(start.elapsed() >= limit, "given up after {:?}", start.elapsed());
    assert!(error.to_string().contains(&group.name.to_string()), "{error}");
    held.release().await.unwrap();
}

#[tokio::test]
async fn the_lock_of_a_program_that_has_ended_is_taken_over_after_its_lease() {
    let group = Group::new().await;
    let (mut ended, mut other) = (group.lock("ended", SHORT).await, group.lock("o", LONG).await);
    let mut held = ended.acquire(FAR).await.unwrap();
    let first = held.token();
    let taken = other.acquire(FAR).await.unwrap();
    assert!(taken.token() > first);
    // It was paused, and not ended: it finds that out.
    assert!(held.left().is_zero());
    assert!(!held.renew().await.unwrap());
    held.release().await.unwrap();
    drop(taken);
    assert!(ended.try_acquire().await.unwrap().is_none(), "it is not released by another");
}

#[tokio::test]
async fn the_first_of_the_candidates_is_the_leader_and_the_only_one() {
    let group = Group::new().await;
    let names = ["a", "b", "c", "d", "e"];
    let mut all = join_all(names.map(|name| group.election(name, LONG))).await;
    let roles = join_all(all.iter_mut().map(|one| async { one.round().await.unwrap() })).await;
    let leaders: Vec<usize> = (0..5).filter(|at| token(&roles[*at]).is_some()).collect();
    assert_eq!(leaders.len(), 1, "{roles:?}");
    let leader = names[leaders[0]];
    for (at, election) in all.iter_mut().enumerate() {
        let role = election.round().await.unwrap();
        match names[at] == leader {
            true => assert_eq!(token(&role), Some(1)),
            false => assert_eq!(role, follows(leader)),
        }
    }
}

#[tokio::test]
async fn a_follower_that_ends_changes_nothing_and_a_leader_that_ends_is_replaced() {
    let group = Group::new().await;
    let mut leader = group.election("leader", SHORT).await;
    let (mut ends, mut stays) =
        (group.election("ends", SHORT).await, group.election("stays", LONG).await);
    // A round that takes longer than the lease does not show the leader.
    eventually("a leader", async || token(&leader.round().await.unwrap()) == Some(1)).await;
    assert_eq!(ends.round().await.unwrap(), follows("leader"));
    drop(ends);
    eventually("no others", async || token(&leader.round().await.unwrap()) == Some(1)).await;
    // The leader ends; its lease passes.
    assert_eq!(stays.round().await.unwrap(), follows("leader"));
    eventually("another leader", async || token(&stays.round().await.unwrap()) == Some(2)).await;
    // It was paused only: it leads no more by its own clock, and follows then.
    assert_eq!(leader.role(), Role::Follower { leader: None });
    assert_eq!(leader.round().await.unwrap(), follows("stays"));
}

#[tokio::test]
async fn three_of_five_that_are_left_elect_a_leader_and_so_does_one() {
    let group = Group::new().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        all.push(group.election(name, SHORT).await);
        all.last_mut().unwrap().round().await.unwrap();
    }
    // The leader and another one end, then all but one.
    for (left, term) in [(3, 2), (1, 3)] {
        all.drain(..all.len() - left);
        let mut leaders = 0;
        eventually("a leader", async || {
            let rounds = all.iter_mut().map(|one| async { one.round().await.unwrap() });
            let roles = join_all(rounds).await;
            leaders = roles.iter().filter(|role| token(role).is_some_and(|t| t >= term)).count();
            leaders > 0
        })
        .await;
        assert_eq!(leaders, 1);
        // The one that leads is the first to end.
        let at = all.iter().position(|one| token(&one.role()).is_some()).unwrap_or(0);
        all.swap(0, at);
    }
}

#[tokio::test]
async fn after_all_have_ended_there_is_no_leader_until_a_new_candidate_comes() {
    let group = Group::new().await;
    for name in ["a", "b", "c"] {
        group.election(name, SHORT).await.round().await.unwrap();
    }
    let mut new = group.election("new", LONG).await;
    let role = new.round().await.unwrap();
    assert!(role == follows("a") || token(&role) == Some(2), "{role:?}");
    eventually("a new leader", async || token(&new.round().await.unwrap()) == Some(2)).await;
}

#[tokio::test]
async fn a_leader_that_resigns_is_replaced_at_once() {
    let group = Group::new().await;
    let (mut one, mut other) =
        (group.election("one", LONG).await, group.election("other", LONG).await);
    assert_eq!(token(&one.round().await.unwrap()), Some(1));
    assert_eq!(other.round().await.unwrap(), follows("one"));
    one.resign().await.unwrap();
    assert_eq!(one.role(), Role::Follower { leader: None });
    assert_eq!(token(&other.round().await.unwrap()), Some(2));
    assert_eq!(one.round().await.unwrap(), follows("other"));
    one.resign().await.unwrap();
    assert_eq!(token(&other.round().await.unwrap()), Some(2), "it was not the leader's");
}

#[tokio::test]
async fn members_that_do_not_renew_are_removed_and_join_again() {
    let group = Group::new().await;
    let (mut one, mut late) = (group.member("one", LONG).await, group.member("late", SHORT).await);
    assert_eq!(one.round().await.unwrap(), Standing::Joined);
    assert_eq!(late.round().await.unwrap(), Standing::Joined);
    assert_eq!(late.names().unwrap(), ["late", "one"]);
    assert_eq!(one.round().await.unwrap(), Standing::Renewed);
    eventually("a member is removed", async || {
        one.round().await.unwrap();
        one.names().unwrap() == ["one"]
    })
    .await;
    assert_eq!(late.round().await.unwrap(), Standing::Rejoined);
    one.round().await.unwrap();
    let mut same = group.member("one", LONG).await;
    assert_eq!(same.round().await.unwrap(), Standing::Joined);
    assert!(same.names().unwrap().iter().filter(|name| *name == "one").count() == 2);
    one.leave().await.unwrap();
    same.round().await.unwrap();
    assert!(same.names().unwrap().iter().filter(|name| *name == "one").count() == 1);
}

#[tokio::test]
async fn a_key_that_is_no_lease_is_reported() {
    let group = Group::new().await;
    let mut map = SharedMap::new(group.table().await);
    for key in ["lock", "leader", "members/x"] {
        map.insert(key, "text").await.unwrap();
    }
    let error = group.lock("l", LONG).await.try_acquire().await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    let error = group.election("e", LONG).await.round().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = group.member("m", LONG).await.round().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
