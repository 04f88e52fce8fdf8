//! Every call, what it is made on, and whether it changes what is stored.

use std::pin::pin;

use futures_util::StreamExt as _;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_segment_client::attributes::AttributeId;
use pravega_sdk_table_synchronizer::{
    KeyPut, KeyRemoval, KeyValueTable, Keys, Put, Removal, RevisionedStream,
    RevisionedStreamConfig, StateConfig, StateSynchronizer, TableKind, TableSegment,
    TableSynchronizer,
};

use crate::{
    common::poll_times,
    reading::{
        Deltas, Entries, LogEntries, LogFollowed, PriceEntries, PriceKeys, Reading, SegmentKeys,
        Watch,
    },
    streams::{Attributes, Log, MARK, Shared, Unshared},
    subject::{Run, run},
    sum::Numbers,
    tables::{
        Doomed, Elected, Joined, LIMIT, Locked, Map, NoAgreed, NoSegment, Prices, Removals,
        Segment, Sold, Synchronized, Typed, agreed_config, config, key, name,
    },
};

/// What a call does to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes it.
    Changes,
    /// It leaves it as it is.
    Reads,
}

/// A public call.
pub(crate) struct Call {
    /// Its name in the list of futures. Some calls are made on several things.
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    /// Makes it, and drops it after a number of polls.
    pub(crate) run: fn(usize) -> Run,
}

/// Makes the list: `name, what it does, |what it is made on| { preparation } => call`.
macro_rules! calls {
    ($($name:literal, $effect:ident, |$it:ident: $on:ty| { $($prepare:tt)* } => $call:expr;)*) => {
        &[$(Call {
            name: $name,
            effect: Effect::$effect,
            run: |polls| {
                run::<$on>(
                    |$it, polls| Box::pin(async move {
                        $($prepare)*
                        poll_times(pin!(async { $call }), polls).await
                    }),
                    polls,
                )
            },
        },)*]
    };
}

#[rustfmt::skip]
pub(crate) const CALLS: &[Call] = calls! {
    "tables: TableSegment::create", Changes, |it: NoSegment| {} => {
        let context = it.context.clone();
        TableSegment::create(context, &name(), 0.into(), TableKind::Hash, config()).await.unwrap()
    };
    "tables: TableSegment::create", Reads, |it: Segment| {} => {
        let context = it.context.clone();
        TableSegment::create(context, &name(), 0.into(), TableKind::Hash, config()).await.unwrap()
    };
    "tables: TableSegment::open", Reads, |it: Segment| {} => {
        TableSegment::open(it.context.clone(), &name(), 0.into(), config()).await.unwrap()
    };
    "tables: table.info", Reads, |it: Segment| {} => it.table.info().await.unwrap();
    "tables: table.put", Changes, |it: Segment| {} => {
        it.table.put(["a", "b"].map(|key| Put::new(key, "new"))).await.unwrap()
    };
    "tables: table.remove", Changes, |it: Segment| {} => {
        it.table.remove(["a", "b"].map(Removal::new)).await.unwrap()
    };
    "tables: table.read", Reads, |it: Segment| {} => it.table.read(["a", "b"]).await.unwrap();
    "tables: table.get", Reads, |it: Segment| {} => it.table.get("a").await.unwrap();
    "tables: table.delete", Changes, |it: Doomed| {} => it.table.delete().await.unwrap();
    "tables: table.delete_if_empty", Changes, |it: Doomed| {} => {
        it.table.delete_if_empty().await.unwrap()
    };
    "tables: items.next", Reads, |it: Reading<Entries>| {} => it.next().await;
    "tables: items.next", Reads, |it: Reading<SegmentKeys>| {} => it.next().await;
    "tables: deltas.next", Reads, |it: Reading<Deltas>| {} => it.next().await;
    "segment_attributes: attributes.value", Reads, |it: Attributes| {} => {
        it.0.value(AttributeId::EVENT_COUNT).await.unwrap()
    };
    "segment_attributes: attributes.compare_and_set", Changes, |it: Attributes| {} => {
        it.0.compare_and_set(MARK, Some(1.into()), Some(2.into())).await.unwrap()
    };
    "synchronizers: TableSynchronizer::open", Changes, |it: NoAgreed| {} => {
        let context = it.context.clone();
        TableSynchronizer::open(context, &name(), Utf8, Utf8, agreed_config()).await.unwrap()
    };
    "synchronizers: TableSynchronizer::open", Reads, |it: Synchronized| {} => {
        let context = it.context.clone();
        TableSynchronizer::open(context, &name(), Utf8, Utf8, agreed_config()).await.unwrap()
    };
    "synchronizers: TableSynchronizer::open_existing", Reads, |it: Synchronized| {} => {
        let (context, config) = (it.context.clone(), agreed_config());
        TableSynchronizer::open_existing(context, &name(), Utf8, Utf8, config).await.unwrap()
    };
    "synchronizers: TableSynchronizer::delete", Changes, |it: Synchronized| {
        it.table = None;
    } => {
        let context = it.context.clone();
        TableSynchronizer::delete(context, &name(), &agreed_config()).await.unwrap()
    };
    "synchronizers: table.fetch", Reads, |it: Synchronized| {} => {
        it.table().fetch().await.unwrap()
    };
    // Its function runs twice, as another client was faster.
    "synchronizers: table.update", Changes, |it: Synchronized| {} => {
        let updated = it.table().update(|changes| {
            let other = changes.get("other")?.unwrap_or_default();
            changes.put("key", &*other)?;
            changes.put("another", &*other)
        });
        updated.await.unwrap()
    };
    "synchronizers: table.clean", Reads, |it: Removals| {} => it.0.clean().await.unwrap();
    "synchronizers: table.close", Changes, |it: Synchronized| {
        let table = it.table.take().unwrap();
    } => table.close().await.unwrap();
    "key_value_tables: KeyValueTable::open", Reads, |it: Prices| {} => {
        KeyValueTable::open(it.context.clone(), &name(), config()).await.unwrap()
    };
    "key_value_tables: table.insert", Changes, |it: Prices| {} => {
        it.table.insert(key("3"), "new").await.unwrap()
    };
    "key_value_tables: table.put", Changes, |it: Prices| {} => {
        it.table.put(key("1"), "new").await.unwrap()
    };
    "key_value_tables: table.put_at", Changes, |it: Prices| {} => {
        it.table.put_at(key("1"), "new", it.version).await.unwrap()
    };
    "key_value_tables: table.put_all", Changes, |it: Prices| {} => {
        let puts = ["1", "2", "3"].map(|secondary| KeyPut::new(key(secondary), "new"));
        it.table.put_all(puts).await.unwrap()
    };
    "key_value_tables: table.remove", Changes, |it: Prices| {} => {
        it.table.remove(key("1")).await.unwrap()
    };
    "key_value_tables: table.remove_at", Changes, |it: Prices| {} => {
        it.table.remove_at(key("1"), it.version).await.unwrap()
    };
    "key_value_tables: table.remove_all", Changes, |it: Prices| {} => {
        it.table.remove_all(["1", "2"].map(|s| KeyRemoval::new(key(s)))).await.unwrap()
    };
    "key_value_tables: table.get", Reads, |it: Prices| {} => it.table.get(key("1")).await.unwrap();
    "key_value_tables: table.get_all", Reads, |it: Prices| {} => {
        it.table.get_all(["1", "2"].map(key)).await.unwrap()
    };
    "key_value_tables: table.exists", Reads, |it: Prices| {} => {
        it.table.exists(key("1")).await.unwrap()
    };
    "key_value_tables: entries.next", Reads, |it: Reading<PriceEntries>| {} => it.next().await;
    "key_value_tables: entries.next", Reads, |it: Reading<PriceKeys>| {} => it.next().await;
    "key_value_tables: watch.next", Reads, |it: Reading<Watch>| {} => it.next().await;
    "typed_tables: table.insert", Changes, |it: Typed| {} => {
        it.table.insert("new", "new").await.unwrap()
    };
    "typed_tables: table.put", Changes, |it: Typed| {} => {
        it.table.put("key", "new").await.unwrap()
    };
    "typed_tables: table.put_at", Changes, |it: Typed| {} => {
        it.table.put_at("key", "new", it.version).await.unwrap()
    };
    "typed_tables: table.remove", Changes, |it: Typed| {} => it.table.remove("key").await.unwrap();
    "typed_tables: table.remove_at", Changes, |it: Typed| {} => {
        it.table.remove_at("key", it.version).await.unwrap()
    };
    "typed_tables: table.get", Reads, |it: Typed| {} => it.table.get("key").await.unwrap();
    "typed_tables: table.get_all", Reads, |it: Typed| {} => {
        it.table.get_all(["key", "cat"]).await.unwrap()
    };
    "typed_tables: table.exists", Reads, |it: Typed| {} => it.table.exists("key").await.unwrap();
    "typed_tables: entries.next", Reads, |it: Typed| {} => {
        let mut entries = it.table.entries(&Keys::all()).unwrap();
        while let Some(entry) = entries.next().await {
            entry.unwrap();
        }
    };
    "recipes: map.refresh", Reads, |it: Map| {} => it.0.refresh().await.unwrap();
    "recipes: map.insert", Changes, |it: Map| {} => it.0.insert("key", "new").await.unwrap();
    "recipes: map.remove", Changes, |it: Map| {} => it.0.remove("key").await.unwrap();
    "recipes: counter.add", Changes, |it: Sold| {} => it.0.add(5).await.unwrap();
    "recipes: counter.value", Reads, |it: Sold| {} => it.0.value().await.unwrap();
    "recipes: lock.try_acquire", Changes, |it: Locked| {} => {
        it.0.try_acquire().await.unwrap().map(|held| held.token())
    };
    "recipes: lock.acquire", Changes, |it: Locked| {} => {
        it.0.acquire(LIMIT).await.unwrap().token()
    };
    "recipes: guard.renew", Changes, |it: Locked| {
        let mut held = it.0.acquire(LIMIT).await.unwrap();
    } => assert!(held.renew().await.unwrap());
    "recipes: guard.release", Changes, |it: Locked| {
        let held = it.0.acquire(LIMIT).await.unwrap();
    } => held.release().await.unwrap();
    "groups: election.round", Changes, |it: Elected<false>| {} => it.0.round().await.unwrap();
    "groups: election.round", Changes, |it: Elected<true>| {} => it.0.round().await.unwrap();
    "groups: election.resign", Changes, |it: Elected<true>| {} => it.0.resign().await.unwrap();
    "groups: members.round", Changes, |it: Joined<false>| {} => it.0.round().await.unwrap();
    "groups: members.round", Changes, |it: Joined<true>| {} => it.0.round().await.unwrap();
    "groups: members.leave", Changes, |it: Joined<true>| {} => it.0.leave().await.unwrap();
    "revisioned_streams: RevisionedStream::open", Reads, |it: Log| {} => {
        let (stream, config) = (it.stream.stream(), RevisionedStreamConfig::default());
        RevisionedStream::open(it.context.clone(), &stream, config).await.unwrap()
    };
    "revisioned_streams: stream.latest_revision", Reads, |it: Log| {} => {
        it.stream.latest_revision().await.unwrap()
    };
    "revisioned_streams: stream.oldest_revision", Reads, |it: Log| {} => {
        it.stream.oldest_revision().await.unwrap()
    };
    "revisioned_streams: stream.write_at", Changes, |it: Log| {} => {
        it.stream.write_at(&it.end, "three").await.unwrap()
    };
    "revisioned_streams: stream.write", Changes, |it: Log| {} => {
        it.stream.write("three").await.unwrap()
    };
    "revisioned_streams: stream.entries", Reads, |it: Log| {} => {
        it.stream.entries(&it.begin).await.unwrap()
    };
    "revisioned_streams: stream.entries_between", Reads, |it: Log| {} => {
        it.stream.entries_between(&it.begin, &it.middle).await.unwrap()
    };
    "revisioned_streams: stream.follow", Reads, |it: Log| {} => {
        it.stream.follow(&it.begin).await.unwrap()
    };
    "revisioned_streams: stream.mark", Reads, |it: Log| {} => it.stream.mark().await.unwrap();
    "revisioned_streams: stream.set_mark", Changes, |it: Log| {} => {
        it.stream.set_mark(None, Some(&it.middle)).await.unwrap()
    };
    "revisioned_streams: stream.truncate", Changes, |it: Log| {} => {
        it.stream.truncate(&it.middle).await.unwrap()
    };
    "revisioned_streams: entries.next", Reads, |it: Reading<LogEntries>| {} => it.next().await;
    "revisioned_streams: entries.next", Reads, |it: Reading<LogFollowed>| {} => it.next().await;
    "states: StateSynchronizer::open", Reads, |it: Shared| {} => {
        let (stream, config) = (it.state.stream(), StateConfig::default());
        let context = it.context.clone();
        StateSynchronizer::<crate::sum::Sum, _>::open(context, &stream, Numbers, config)
            .await
            .unwrap()
    };
    "states: state.initialize", Changes, |it: Unshared| {} => it.0.initialize(9).await.unwrap();
    "states: state.initialize", Reads, |it: Shared| {} => it.state.initialize(9).await.unwrap();
    "states: state.fetch", Reads, |it: Shared| {} => it.state.fetch().await.unwrap();
    // It is written twice, as another client was faster.
    "states: state.update", Changes, |it: Shared| {} => {
        it.state.update(|_, adding| adding.push(1)).await.unwrap()
    };
    "states: state.update_unconditionally", Changes, |it: Shared| {} => {
        it.state.update_unconditionally(vec![1]).await.unwrap()
    };
    "states: state.compact", Reads, |it: Shared| {} => {
        it.state.compact(|sum| Some(sum.0)).await.unwrap()
    };
    "states: state.bytes_since_compaction", Reads, |it: Shared| {} => {
        it.state.bytes_since_compaction().await.unwrap()
    };
};
