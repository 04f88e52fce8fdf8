//! Tables that clients agree on: functions that run again, removals, lost replies, tables that are
//! created again.

use std::{cell::Cell, time::Duration};

use futures_util::{TryStreamExt as _, future::join_all};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::{Raw, Utf8};
use pravega_sdk_integration_tests::harness::{
    factory,
    frames::{Fate, Frame, FrameProxy},
    is_embedded,
    through::{store_of, through},
};
use pravega_sdk_table_synchronizer::{
    Entry, Put, Removal, SynchronizerConfig, TableConfig, TableError, TableKind, TableSegment,
    TableSynchronizer, Update,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable};
use pravega_sdk_wire_protocol::{
    TableEntry, TableKey, WireCommand, codes::FailureCode, commands::ErrorMessage,
};

use super::segments::new_table;

type Table = TableSynchronizer<Utf8, Utf8>;

async fn open(factory: &ClientFactory, name: &ScopedKeyValueTable) -> Table {
    factory.table_synchronizer(name, Utf8, Utf8).await.unwrap()
}

/// Two synchronizers of one table.
async fn two() -> (ScopedKeyValueTable, Table, Table) {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let (one, other) = (open(&factory, &name).await, open(&factory, &name).await);
    (name, one, other)
}

async fn put(table: &mut Table, key: &str, value: &str) {
    let made = table.update(|changes| changes.put(key, value)).await.unwrap();
    assert_eq!(made, Update::Made(()));
}

async fn remove(table: &mut Table, key: &str) -> bool {
    table.update(|changes| changes.remove(key)).await.unwrap().into_inner()
}

fn entries(table: &Table) -> Vec<(String, String)> {
    table.state().entries().collect::<Result<_, _>>().unwrap()
}

fn pairs<const N: usize>(entries: [(&str, &str); N]) -> Vec<(String, String)> {
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The entries of the segment of a table.
async fn stored(name: &ScopedKeyValueTable) -> Vec<Entry> {
    let table = factory().await.table_segment(name, 0.into()).await.unwrap();
    table.entries().try_collect().await.unwrap()
}

#[tokio::test]
async fn what_one_synchronizer_changes_another_fetches() {
    let (_, mut one, mut other) = two().await;
    put(&mut one, "a", "1").await;
    put(&mut one, "b", "").await;
    assert_eq!(entries(&one), pairs([("a", "1"), ("b", "")]));
    assert_eq!(entries(&other), []);
    assert_eq!(other.fetch().await.unwrap(), 2);
    assert_eq!(other.fetch().await.unwrap(), 0, "nothing is counted twice");
    assert_eq!(one.fetch().await.unwrap(), 0, "its own changes are known");
    assert_eq!(entries(&other), entries(&one));
    assert!(remove(&mut other, "a").await);
    assert!(!remove(&mut other, "a").await);
    assert_eq!(one.fetch().await.unwrap(), 1);
    assert_eq!(entries(&one), pairs([("b", "")]));
    let unchanged = one.update(|changes| changes.get("b")).await.unwrap();
    assert_eq!(unchanged, Update::Unchanged(Some(String::new())));
}

#[tokio::test]
async fn a_function_runs_again_if_what_it_has_looked_at_was_changed() {
    let (_, mut one, mut other) = two().await;
    let take = |table: Table, owner: &'static str| async move {
        let (mut table, runs) = (table, Cell::new(0));
        let updated = table.update(|changes| {
            runs.set(runs.get() + 1);
            if let Some(taken) = changes.get("lock")? {
                return Ok(taken);
            }
            changes.put("lock", owner)?;
            Ok(owner.to_owned())
        });
        let result = updated.await.unwrap();
        (table, result, runs.get())
    };
    // So that both are known to the table, and know it.
    put(&mut one, "x", "").await;
    put(&mut other, "y", "").await;
    let (mut one, result, runs) = take(one, "one").await;
    assert_eq!((result, runs), (Update::Made("one".into()), 1));
    let (mut other, result, runs) = take(other, "other").await;
    assert_eq!((result, runs), (Update::Unchanged("one".into()), 2), "its view was old");
    // A key that another client has removed.
    assert!(remove(&mut one, "lock").await);
    assert!(!remove(&mut other, "lock").await);
    // A key that is put without being looked at conflicts with nothing.
    put(&mut other, "x", "new").await;
    put(&mut one, "x", "newest").await;
}

#[tokio::test]
async fn a_function_that_looks_at_all_entries_sees_none_change_before_its_own_changes() {
    let (_, mut one, mut other) = two().await;
    for number in 0..5 {
        put(&mut one, &format!("one {number}"), "").await;
        // The number of entries, including the new one.
        let counted = other.update(|changes| {
            let count = changes.len() + 1;
            changes.put(format!("count {number}"), count.to_string())?;
            Ok(count)
        });
        assert_eq!(counted.await.unwrap(), Update::Made(2 * (number + 1)));
    }
    // Alone, it needs no fetch before.
    for number in 5..8 {
        let runs = Cell::new(0);
        let counted = other.update(|changes| {
            runs.set(runs.get() + 1);
            let count = changes.entries().count() + 1;
            changes.put(format!("count {number}"), count.to_string())
        });
        assert_eq!((counted.await.unwrap(), runs.get()), (Update::Made(()), 1));
    }
}

#[tokio::test]
async fn clients_that_add_to_one_counter_lose_no_addition() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let add = |_| async {
        let mut table = open(&factory, &name).await;
        for _ in 0..20 {
            let added = table.update(|changes| {
                let count: u32 = changes.get("count")?.map_or(0, |count| count.parse().unwrap());
                changes.put("count", (count + 1).to_string())
            });
            assert_eq!(added.await.unwrap(), Update::Made(()));
        }
    };
    join_all((0..5).map(add)).await;
    let table = open(&factory, &name).await;
    assert_eq!(entries(&table), pairs([("count", "100")]));
}

#[tokio::test]
async fn a_function_that_other_clients_always_overtake_ends_after_its_runs() {
    let client = factory().await;
    let name = new_table(&client).await;
    let config = SynchronizerConfig::default().with_max_runs(3);
    let mut slow = client.table_synchronizer_with(&name, Utf8, Utf8, config).await.unwrap();
    // Another client changes the key while the function runs.
    let overtake = || {
        let name = name.clone();
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut table = open(&factory().await, &name).await;
                put(&mut table, "k", "new").await;
            });
        });
        other.join().unwrap();
    };
    let mut runs = 0;
    let updated = slow.update(|changes| {
        runs += 1;
        let seen = changes.get("k")?;
        overtake();
        changes.put("k", format!("{seen:?}"))
    });
    let error = updated.await.unwrap_err();
    assert_eq!(runs, 3);
    let found = (error.kind(), error.outcome(), error.is_retryable());
    assert_eq!(found, (ErrorKind::LimitReached, Outcome::NotApplied, true), "{error}");
    assert!(error.to_string().contains("in each of 3 runs"), "{error}");
}

#[tokio::test]
async fn an_error_of_a_function_ends_the_update_and_changes_nothing() {
    let (_, mut one, _) = two().await;
    let failed = one.update(|changes| {
        changes.put("k", "v")?;
        changes.put("k".repeat(9000), "v")
    });
    let error = failed.await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    let many = one.update(|changes| (0..256).try_for_each(|key| changes.put(key.to_string(), "")));
    let error = many.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("256 entries"), "{error}");
    let most = one.update(|changes| (0..255).try_for_each(|key| changes.put(key.to_string(), "")));
    assert_eq!(most.await.unwrap(), Update::Made(()));
    let large = one.update(|changes| {
        (0..17).try_for_each(|key| changes.put(key.to_string(), "v".repeat(1_000_000)))
    });
    assert_eq!(large.await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(one.state().len(), 255);
}

#[tokio::test]
async fn removed_keys_are_cleaned_away_and_clients_that_lag_behind_notice() {
    let (name, mut one, mut other) = two().await;
    for key in ["a", "b", "c"] {
        put(&mut one, key, "").await;
    }
    other.fetch().await.unwrap();
    for key in ["a", "b"] {
        assert!(remove(&mut one, key).await);
    }
    let before = stored(&name).await.len();
    assert_eq!(one.clean().await.unwrap(), 2);
    assert_eq!(stored(&name).await.len(), before - 1, "less two removals, and with the record");
    assert_eq!(entries(&other), pairs([("a", ""), ("b", ""), ("c", "")]));
    assert_eq!(other.fetch().await.unwrap(), 1, "it was read from the beginning");
    assert_eq!(entries(&other), pairs([("c", "")]));
    // One that has read the removals does not begin again.
    assert!(remove(&mut one, "c").await);
    assert_eq!(other.fetch().await.unwrap(), 1);
    assert_eq!(one.clean().await.unwrap(), 1);
    assert_eq!(other.fetch().await.unwrap(), 0);
    // And puts a key that it knows as removed.
    let put = other.update(|changes| {
        assert_eq!(changes.get("c")?, None);
        changes.put("c", "again")
    });
    assert_eq!(put.await.unwrap(), Update::Made(()));
    one.fetch().await.unwrap();
    assert_eq!(entries(&one), pairs([("c", "again")]));
}

#[tokio::test]
async fn many_removals_are_cleaned_away_by_updates() {
    let (name, mut one, _) = two().await;
    for number in 0..100 {
        put(&mut one, &number.to_string(), "").await;
        assert!(remove(&mut one, &number.to_string()).await);
    }
    let left = stored(&name).await.len();
    assert!(left < 70, "{left} entries are left of 100 keys that were removed");
}

#[tokio::test]
async fn a_synchronizer_that_is_closed_leaves_only_its_entries() {
    let (name, mut one, mut other) = two().await;
    put(&mut one, "k", "v").await;
    put(&mut other, "m", "v").await;
    one.close().await.unwrap();
    other.close().await.unwrap();
    assert_eq!(stored(&name).await.len(), 3, "the entries and the identity");
}

#[tokio::test]
async fn a_table_that_is_gone_is_reported() {
    let (name, mut one, _) = two().await;
    put(&mut one, "k", "v").await;
    factory().await.table_segment(&name, 0.into()).await.unwrap().delete().await.unwrap();
    for error in [
        one.fetch().await.map(drop).unwrap_err(),
        one.update(|changes| changes.put("k", "v")).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
    }
}

/// Makes another table of the same name.
async fn make_again(name: &ScopedKeyValueTable, is_deleted: bool) {
    let segment = factory().await.table_segment(name, 0.into()).await.unwrap();
    if is_deleted {
        segment.delete().await.unwrap();
    } else {
        let keys: Vec<_> = segment.keys().try_collect().await.unwrap();
        segment.remove(keys.into_iter().map(|key| Removal::new(key.key))).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_that_is_made_again_is_read_from_the_beginning() {
    // A 0.13.0 server cannot create a table segment again under the name of a deleted one.
    for is_deleted in [true, false].into_iter().filter(|is_deleted| is_embedded() || !is_deleted) {
        let (name, mut one, mut other) = two().await;
        for number in 0..20 {
            put(&mut one, &number.to_string(), "old").await;
        }
        put(&mut other, "x", "old").await;
        make_again(&name, is_deleted).await;
        let mut new = open(&factory().await, &name).await;
        put(&mut new, "k", "new").await;
        // Nothing of what it knows is in the new table.
        let updated = one.update(|changes| {
            let seen = changes.get("1")?;
            changes.put("seen", format!("{seen:?}"))?;
            Ok(seen)
        });
        assert_eq!(updated.await.unwrap(), Update::Made(None));
        assert_eq!(entries(&one), pairs([("k", "new"), ("seen", "None")]));
        other.fetch().await.unwrap();
        assert_eq!(entries(&other), entries(&one));
    }
}

#[tokio::test]
async fn a_table_of_others_is_refused_and_left_as_it_is() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let create = TableSegment::create(
        factory.segment_context(),
        &name,
        0.into(),
        TableKind::Hash,
        TableConfig::default(),
    );
    let (segment, _) = create.await.unwrap();
    segment.put([Put::new("k", "v")]).await.unwrap();
    let error = factory.table_synchronizer(&name, Utf8, Utf8).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    assert_eq!(stored(&name).await.len(), 1);

    // An entry of another client in a table of synchronizers is named by its place.
    let (name, mut one, mut other) = two().await;
    put(&mut one, "k", "v").await;
    let segment = factory.table_segment(&name, 0.into()).await.unwrap();
    let version = segment.put([Put::new("foreign", "v")]).await.unwrap()[0];
    let error = other.fetch().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&format!("the entry of version {version} ")), "{error}");
}

#[tokio::test]
async fn entries_over_the_limit_of_memory_are_refused() {
    let (name, mut one, _) = two().await;
    for number in 0..20 {
        put(&mut one, &number.to_string(), &"v".repeat(1000)).await;
    }
    let config = SynchronizerConfig::default().with_max_bytes(10_000);
    let opened = factory().await.table_synchronizer_with(&name, Utf8, Utf8, config).await;
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
}

#[tokio::test]
async fn a_large_table_is_read_in_pages_and_an_update_sends_the_change_alone() {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let mut writer = factory.table_synchronizer(&name, Raw, Raw).await.unwrap();
    const COUNT: u32 = 5000;
    for first in (0..COUNT).step_by(250) {
        let put = writer.update(|changes| {
            (first..first + 250).try_for_each(|key| changes.put(key.to_be_bytes().to_vec(), "v"))
        });
        assert_eq!(put.await.unwrap(), Update::Made(()));
    }
    let store = store_of(&factory, &name.segment_stream()).await;
    let proxy = FrameProxy::start(store, |_| Fate::Forward).await;
    let context = through(&factory, proxy.address());
    let table = TableConfig::default().with_page_size(500);
    let config = SynchronizerConfig::default().with_table(table);
    let mut reader = TableSynchronizer::open(context, &name, Raw, Raw, config).await.unwrap();
    assert_eq!(reader.state().len(), COUNT as usize);
    reader.update(|changes| changes.put("k", "first")).await.unwrap();
    let before = proxy.seen().len();
    for _ in 0..3 {
        reader.update(|changes| changes.put("k", "v")).await.unwrap();
    }
    let seen = proxy.seen();
    let sent: Vec<&WireCommand> = seen[before..].iter().map(|frame| &frame.command).collect();
    let is_small = |command: &&WireCommand| match command {
        WireCommand::UpdateTableEntries(put) => put.table_entries.len() == 2,
        WireCommand::TableEntriesUpdated(_) => true,
        _ => false,
    };
    assert!(sent.len() == 6 && sent.iter().all(is_small), "{sent:?}");
}

/// The failure of a server that does not say what it did.
fn lost(request_id: i64) -> Fate {
    let (segment, message) = ("".into(), "".into());
    let error_code = FailureCode::Unspecified;
    Fate::Replace(Box::new(ErrorMessage { request_id, segment, message, error_code }.into()))
}

/// A synchronizer whose connections a rule decides about, and another of the same table.
async fn through_proxy(
    rule: impl FnMut(&Frame) -> Fate + Send + 'static,
) -> (FrameProxy, Table, Table) {
    let factory = factory().await;
    let name = new_table(&factory).await;
    let other = open(&factory, &name).await;
    let store = store_of(&factory, &name.segment_stream()).await;
    let proxy = FrameProxy::start(store, rule).await;
    let context = through(&factory, proxy.address());
    let table = TableConfig::default().with_timeout(Duration::from_secs(20));
    let config = SynchronizerConfig::default().with_table(table);
    let table = TableSynchronizer::open(context, &name, Utf8, Utf8, config).await.unwrap();
    (proxy, table, other)
}

/// Replaces the replies to changes, from one on, a number of times.
fn replies_lost(from: u32, count: u32) -> impl FnMut(&Frame) -> Fate {
    let mut seen = 0;
    move |frame| {
        let id = match &frame.command {
            WireCommand::TableEntriesUpdated(reply) => reply.request_id,
            _ => return Fate::Forward,
        };
        seen += 1;
        if (from..from + count).contains(&seen) { lost(id) } else { Fate::Forward }
    }
}

async fn count(table: &mut Table) -> Result<Update<u32>, TableError> {
    let counted = table.update(|changes| {
        let count: u32 = changes.get("count")?.map_or(0, |count| count.parse().unwrap());
        changes.put("count", (count + 1).to_string())?;
        Ok(count + 1)
    });
    counted.await
}

#[tokio::test]
async fn a_change_whose_reply_is_lost_is_made_once_and_seen() {
    // The identity is put by the other client, so the first reply is that of the receipt.
    for lost in 1..6 {
        for replies in 1..4 {
            let rule = replies_lost(lost, replies);
            let (_proxy, mut table, mut other) = through_proxy(rule).await;
            for number in 1..5 {
                let made = count(&mut table).await.unwrap();
                assert_eq!(made, Update::Made(number), "reply {lost}, {replies} times");
                assert_eq!(entries(&table), pairs([("count", &number.to_string())]));
            }
            other.fetch().await.unwrap();
            assert_eq!(entries(&other), pairs([("count", "4")]));
        }
    }
}

#[tokio::test]
async fn a_change_whose_reply_is_lost_is_found_although_another_client_has_changed_the_key() {
    let mut replies = 0;
    // The first is that of the receipt.
    let rule = move |frame: &Frame| match &frame.command {
        WireCommand::TableEntriesUpdated(_) => {
            replies += 1;
            if replies == 2 { Fate::Lose } else { Fate::Forward }
        }
        _ => Fate::Forward,
    };
    let (proxy, mut table, mut other) = through_proxy(rule).await;
    let counted = async { count(&mut table).await };
    let overtaking = async {
        // Once the change is in the table, it is changed twice more, and the connection ends.
        loop {
            other.fetch().await.unwrap();
            if !other.state().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..2 {
            count(&mut other).await.unwrap();
        }
        let is_reply = |frame: &Frame| matches!(frame.command, WireCommand::TableEntriesUpdated(_));
        proxy.abandon(proxy.wait_for("a reply", is_reply).await);
    };
    let (counted, ()) = futures_util::join!(counted, overtaking);
    assert_eq!(counted.unwrap(), Update::Made(1), "it was made, and not made again");
    other.fetch().await.unwrap();
    assert_eq!(entries(&other), pairs([("count", "3")]));
    assert_eq!(entries(&table), pairs([("count", "3")]));
}

#[tokio::test]
async fn a_foreign_key_that_is_returned_with_an_absent_entry_changes_nothing() {
    // A 0.13.0 server releases the memory of the keys before it has written the reply.
    let rule = move |frame: &Frame| match &frame.command {
        WireCommand::TableRead(read) => {
            let mut other = read.clone();
            let absent = |entry: &&mut TableEntry| entry.key.key_version == TableKey::NOT_EXISTS;
            let absent = other.entries.iter_mut().filter(absent);
            absent.for_each(|entry| entry.key.data = "other".into());
            Fate::Replace(Box::new(other.into()))
        }
        _ => Fate::Forward,
    };
    let (_proxy, mut table, mut other) = through_proxy(rule).await;
    put(&mut other, "k", "v").await;
    put(&mut table, "m", "v").await;
    table.fetch().await.unwrap();
    assert_eq!(entries(&table), pairs([("k", "v"), ("m", "v")]));
}

/// Replaces a table by one with the entries that it had earlier.
async fn restore(factory: &ClientFactory, name: &ScopedKeyValueTable, entries: &[Entry]) {
    let config = SynchronizerConfig::default();
    TableSynchronizer::delete(factory.segment_context(), name, &config).await.unwrap();
    let created = TableSegment::create(
        factory.segment_context(),
        name,
        0.into(),
        TableKind::Hash,
        TableConfig::default(),
    );
    let (table, _) = created.await.unwrap();
    let puts = entries.iter().map(|entry| Put::new(entry.key.clone(), entry.value.clone()));
    table.put(puts).await.unwrap();
}

/// Tests in which tables of a name are created again, which run on the embedded server only.
mod created_again {
    use super::*;

    #[tokio::test]
    async fn a_table_of_which_an_earlier_state_was_restored_is_read_again() {
        let factory = factory().await;
        // It is shorter than a client has read, or longer.
        for count in [0, 60] {
            let name = new_table(&factory).await;
            let (mut one, mut other) = (open(&factory, &name).await, open(&factory, &name).await);
            put(&mut one, "key", "early").await;
            put(&mut other, "b", "early").await;
            let backup = stored(&name).await;
            for number in 0..40 {
                put(&mut one, "key", &format!("late {number}")).await;
            }
            other.fetch().await.unwrap();
            restore(&factory, &name, &backup).await;
            let mut third = open(&factory, &name).await;
            for number in 0..count {
                put(&mut third, "third", &format!("{number}")).await;
            }
            let value = async |table: &mut Table| {
                let seen = table.update(|changes| {
                    let value = changes.get("key")?;
                    changes.put("key", "next")?;
                    Ok(value)
                });
                seen.await.unwrap().into_inner().unwrap()
            };
            assert_eq!(value(&mut one).await, "early", "{count}");
            assert_eq!(value(&mut other).await, "next", "{count}");
            third.fetch().await.unwrap();
            one.fetch().await.unwrap();
            assert_eq!(entries(&one), entries(&third), "{count}");
            assert_eq!(entries(&other), entries(&third), "{count}");
        }
    }
}
