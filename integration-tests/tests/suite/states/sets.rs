//! A set that clients agree on: how often a function runs, which state it sees, and compactions
//! that shrink the stream.

use std::{collections::BTreeSet, error::Error};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{factory, new_stream};
use pravega_sdk_table_synchronizer::{
    Revision, SharedState, StateConfig, StateSerializer, StateSynchronizer,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};

use super::revisioned;

type Failed = Box<dyn Error + Send + Sync>;

/// The set: an update is `+word` or `-word`, and an initial state the words with spaces between.
struct Words(BTreeSet<String>);

impl SharedState for Words {
    type Initial = String;
    type Update = String;

    fn create(words: String, _: &Revision) -> Self {
        Self(words.split_whitespace().map(str::to_owned).collect())
    }

    fn apply(&mut self, change: String, _: &Revision) -> Result<(), Failed> {
        match change.split_at_checked(1) {
            Some(("+", word)) => self.0.insert(word.to_owned()),
            Some(("-", word)) => self.0.remove(word),
            _ => return Err("neither an addition nor a removal".into()),
        };
        Ok(())
    }
}

struct Text;

impl StateSerializer<Words> for Text {
    fn encode_initial(&self, words: &String) -> Result<Bytes, Failed> {
        Ok(words.clone().into())
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<String, Failed> {
        Ok(String::from_utf8(bytes.to_vec())?)
    }

    fn encode_update(&self, change: &String) -> Result<Bytes, Failed> {
        Ok(change.clone().into())
    }

    fn decode_update(&self, bytes: Bytes) -> Result<String, Failed> {
        Ok(String::from_utf8(bytes.to_vec())?)
    }
}

type Set = StateSynchronizer<Words, Text>;

async fn open(factory: &ClientFactory, stream: &ScopedStream) -> Set {
    let config = StateConfig::default();
    let mut set = Set::open(factory.segment_context(), stream, Text, config).await.unwrap();
    set.initialize(String::new()).await.unwrap();
    set
}

async fn two() -> (ClientFactory, ScopedStream, [Set; 2]) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let sets = [open(&factory, &stream).await, open(&factory, &stream).await];
    (factory, stream, sets)
}

/// Makes a change. Returns how often the function ran, and what its last run saw.
async fn change(set: &mut Set, change: &str) -> (usize, String) {
    let mut runs = 0;
    let seen = set.update(|words, changes| {
        runs += 1;
        changes.push(change.to_owned());
        words.0.iter().cloned().collect::<Vec<_>>().join(" ")
    });
    let seen = seen.await.unwrap();
    (runs, seen)
}

fn words(set: &Set) -> Vec<&str> {
    set.state().unwrap().0.iter().map(String::as_str).collect()
}

/// Compacts to these words, whatever the state has. Returns how often the function ran.
async fn replace(set: &mut Set, words: &str) -> usize {
    let mut runs = 0;
    let compacted = set.compact(|_| {
        runs += 1;
        Some(words.to_owned())
    });
    assert!(compacted.await.unwrap().is_some());
    runs
}

#[tokio::test]
async fn a_function_runs_once_on_the_newest_state_and_again_after_an_old_one() {
    let (_, _, [mut one, mut other]) = two().await;
    assert_eq!(change(&mut one, "+a").await, (1, String::new()));
    assert_eq!(change(&mut other, "+b").await, (2, "a".to_owned()));
    assert_eq!((words(&one), words(&other)), (vec!["a"], vec!["a", "b"]));
    assert_eq!(change(&mut other, "+c").await, (1, "a b".to_owned()));
    assert_eq!(words(&one), ["a"], "nothing comes without a call");
    one.fetch().await.unwrap();
    assert_eq!(change(&mut one, "-a").await, (1, "a b c".to_owned()));
    assert_eq!(words(&other), ["a", "b", "c"]);
    assert_eq!(change(&mut other, "-c").await, (2, "b c".to_owned()));
    one.fetch().await.unwrap();
    one.fetch().await.unwrap();
    assert_eq!((words(&one), words(&other)), (vec!["b"], vec!["b"]));
}

#[tokio::test]
async fn a_client_that_comes_later_has_all_that_was_changed_before() {
    let (factory, stream, [mut one, _]) = two().await;
    for number in 0..10 {
        change(&mut one, &format!("+{number}")).await;
    }
    let mut later = open(&factory, &stream).await;
    later.fetch().await.unwrap();
    assert_eq!(words(&later), words(&one));
    for number in 10..20 {
        change(&mut one, &format!("+{number}")).await;
    }
    assert_eq!(words(&later).len(), 10);
    later.fetch().await.unwrap();
    assert_eq!((words(&later).len(), words(&later)), (20, words(&one)));
}

#[tokio::test]
async fn a_set_that_is_emptied_is_one_entry_for_all() {
    let (factory, stream, [mut one, mut other]) = two().await;
    let entries = revisioned::open(&factory, &stream).await;
    change(&mut one, "+foo").await;
    change(&mut other, "+bar").await;
    assert_eq!(entries.mark().await.unwrap(), None, "only a compaction sets the mark");
    assert_eq!(replace(&mut one, "").await, 2, "the copy of one client was old");
    assert!(words(&one).is_empty());
    let mark = entries.mark().await.unwrap().unwrap();
    let kept: Vec<_> = entries.entries(&mark).await.unwrap().try_collect().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(change(&mut one, "+baz").await, (1, String::new()));
    assert_eq!(words(&other), ["bar", "foo"]);
    assert_eq!(change(&mut other, "-bar").await, (2, "baz".to_owned()));
    change(&mut other, "-baz").await;
    one.fetch().await.unwrap();
    let mut third = open(&factory, &stream).await;
    third.fetch().await.unwrap();
    for set in [&one, &other, &third] {
        assert!(words(set).is_empty());
        assert_eq!(set.revision(), other.revision());
    }
}

#[tokio::test]
async fn clients_that_compact_in_turn_lose_nothing_and_count_the_bytes_since() {
    let (_, _, [mut one, mut other]) = two().await;
    replace(&mut one, "a").await;
    let empty = one.bytes_since_compaction().await.unwrap();
    // The initial state of the compaction is one of the entries: also for a client that reads it.
    other.fetch().await.unwrap();
    assert!(empty > 0);
    assert_eq!(other.bytes_since_compaction().await.unwrap(), empty);
    assert_eq!(one.bytes_since_initial(), 0);
    change(&mut one, "+b").await;
    let size = one.bytes_since_compaction().await.unwrap() - empty;
    assert!(size > 0);
    for number in 0..4 {
        change(&mut one, &format!("+{number}")).await;
        let bytes = one.bytes_since_compaction().await.unwrap();
        assert_eq!(bytes, empty + (number + 2) * size, "each change has as many");
    }
    // The other client knows nothing of all that.
    let mut runs = 0;
    let compacting = other.compact(|words| {
        runs += 1;
        Some(words.0.iter().cloned().collect::<Vec<_>>().join(" "))
    });
    compacting.await.unwrap();
    assert_eq!((runs, words(&other)), (2, vec!["0", "1", "2", "3", "a", "b"]));
    assert_eq!(change(&mut one, "-0").await.1, "0 1 2 3 a b");
    assert_eq!(words(&one), ["1", "2", "3", "a", "b"]);
    replace(&mut one, "h").await;
    other.fetch().await.unwrap();
    assert_eq!(words(&other), ["h"]);
    let (mine, others) = (one.bytes_since_compaction().await, other.bytes_since_compaction().await);
    assert_eq!(mine.unwrap(), others.unwrap());
}

#[tokio::test]
async fn a_state_of_a_stream_that_is_sealed_or_missing_is_refused() {
    let (factory, stream, [mut one, _]) = two().await;
    change(&mut one, "+a").await;
    factory.controller().seal_stream(&stream).await.unwrap();
    let error = one.update(|_, changes| changes.push("+b".to_owned())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sealed, "{error}");
    assert_eq!(words(&one), ["a"]);
    let missing = "no/stream".parse().unwrap();
    for (stream, kind) in [(&stream, ErrorKind::Sealed), (&missing, ErrorKind::NotFound)] {
        let context = factory.segment_context();
        let opened = Set::open(context, stream, Text, StateConfig::default()).await;
        let error = opened.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error}");
        assert!(error.to_string().contains(&stream.to_string()), "{error}");
    }
}
