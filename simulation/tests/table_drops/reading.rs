//! Streams of what is stored, whose calls of `next` are dropped.

use std::time::Duration;

use futures_util::{
    StreamExt as _,
    stream::{self, LocalBoxStream},
};
use pravega_sdk_table_synchronizer::{
    Following, Key, KeyChange, Keys, Put, TableSegment, WatchPosition,
};
use pravega_sdk_types::Offset;

use crate::{
    streams::Log,
    subject::{Stage, Subject, sorted, text},
    tables::{self, Prices},
};

/// What is read, and how.
pub(crate) trait Source {
    /// What is read, sorted.
    const EXPECTED: &'static str;

    /// Opens the stream, of a client over slow links.
    async fn open(stage: &Stage) -> LocalBoxStream<'static, String>;
}

/// A stream that is read.
pub(crate) struct Reading<S> {
    items: LocalBoxStream<'static, String>,
    found: Vec<String>,
    source: std::marker::PhantomData<S>,
}

impl<S> Reading<S> {
    /// Takes the next item.
    pub(crate) async fn next(&mut self) {
        self.found.extend(self.items.next().await);
    }
}

impl<S: Source> Subject for Reading<S> {
    async fn new(stage: &Stage) -> Self {
        let items = S::open(stage).await;
        Self { items, found: Vec::new(), source: std::marker::PhantomData }
    }

    /// Reading changes nothing.
    async fn stored(_: &Stage) -> String {
        String::new()
    }

    /// Reads the rest: each item comes once.
    async fn use_again(&mut self, _: &Stage) {
        let count = S::EXPECTED.split("; ").count();
        while self.found.len() < count {
            let before = self.found.len();
            self.next().await;
            assert!(self.found.len() > before, "it ends after {:?}", self.found);
        }
        assert_eq!(sorted(&self.found), S::EXPECTED);
    }
}

/// The entries of a table segment.
pub(crate) struct Entries;
/// The keys of a table segment.
pub(crate) struct SegmentKeys;
/// The changes of a table segment.
pub(crate) struct Deltas;
/// The entries of a key-value table.
pub(crate) struct PriceEntries;
/// The keys of a key-value table.
pub(crate) struct PriceKeys;
/// The changes of a key-value table.
pub(crate) struct Watch;
/// The entries of a revisioned stream.
pub(crate) struct LogEntries;
/// The entries of a revisioned stream, and those to come.
pub(crate) struct LogFollowed;

/// A table segment with three entries.
async fn segment(stage: &Stage) -> TableSegment {
    let table = tables::create(stage.context()).await;
    table.put(["a", "b", "c"].map(|key| Put::new(key, "value"))).await.unwrap();
    table
}

impl Source for Entries {
    const EXPECTED: &'static str = "a=value; b=value; c=value";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        let entries = segment(stage).await.entries().map(Result::unwrap);
        entries.map(|entry| format!("{}={}", text(&entry.key), text(&entry.value))).boxed_local()
    }
}

impl Source for SegmentKeys {
    const EXPECTED: &'static str = "a; b; c";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        segment(stage).await.keys().map(|key| text(&key.unwrap().key)).boxed_local()
    }
}

impl Source for Deltas {
    const EXPECTED: &'static str = "a=value; b=value; c=value";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        let deltas = segment(stage).await.deltas(Offset(0), Following::UntilEnd);
        let entries = deltas.flat_map(|delta| stream::iter(delta.unwrap().entries));
        entries.map(|entry| format!("{}={}", text(&entry.key), text(&entry.value))).boxed_local()
    }
}

fn price(key: &Key) -> String {
    format!("{}/{}", text(key.primary()), text(key.secondary()))
}

impl Source for PriceEntries {
    const EXPECTED: &'static str = "cat/1=old; key/1=old; key/2=old";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        let entries = Prices::new(stage).await.table.entries(&Keys::all()).unwrap();
        let entries = entries.map(Result::unwrap);
        entries.map(|entry| format!("{}={}", price(&entry.key), text(&entry.value))).boxed_local()
    }
}

impl Source for PriceKeys {
    const EXPECTED: &'static str = "cat/1; key/1; key/2";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        let keys = Prices::new(stage).await.table.keys(&Keys::all()).unwrap();
        keys.map(|key| price(&key.unwrap().0)).boxed_local()
    }
}

impl Source for Watch {
    const EXPECTED: &'static str = "cat/1; key/1; key/2";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        let table = Prices::new(stage).await.table;
        let changes = table.watch(&WatchPosition::start(), Duration::from_millis(10));
        let changes = changes.flat_map(|changes| stream::iter(changes.unwrap().changes));
        let shown = changes.map(|change| match change {
            KeyChange::Put(entry) => price(&entry.key),
            other => panic!("{other:?}"),
        });
        shown.boxed_local()
    }
}

async fn read(stage: &Stage, is_followed: bool) -> LocalBoxStream<'static, String> {
    let Log { stream, begin, .. } = Log::new(stage).await;
    let entries = match is_followed {
        true => stream.follow(&begin).await,
        false => stream.entries(&begin).await,
    };
    entries.unwrap().map(|entry| text(&entry.unwrap().value)).boxed_local()
}

impl Source for LogEntries {
    const EXPECTED: &'static str = "one; two";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        read(stage, false).await
    }
}

impl Source for LogFollowed {
    const EXPECTED: &'static str = "one; two";

    async fn open(stage: &Stage) -> LocalBoxStream<'static, String> {
        read(stage, true).await
    }
}
