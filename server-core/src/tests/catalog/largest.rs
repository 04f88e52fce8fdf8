//! The largest message of every call: none costs more than n log n of what it carries.
//!
//! Each call is made with messages, streams and lists of one size and of eight times that size. The
//! larger one may take three times its share; what is quadratic takes eight times its share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use pravega_sdk_proto::{
    KeyValueTableConfig, KeyValueTableInfo, ReaderGroupConfiguration, ReaderGroupInfo,
    ScaleRequest, StreamConfig, StreamCut, StreamInfo, SubscriberStreamCut, Tags,
    scale_request::KeyRangeEntry,
};
use pravega_sdk_types::Epoch;
use uuid::Uuid;

use super::{GROUP_ID, TRANSACTION, group, info, methods_with, sizes::named, split};
use crate::{
    catalog::{Catalog, StreamFilter},
    machine::Machine,
    store::{Progress, Step},
    tests::{at, machine},
};

/// The larger size, and the smaller one.
const LARGE: usize = 4_000;
const SMALL: usize = LARGE / 8;
/// The larger call may take this many times the time of the smaller one.
pub(crate) const TIMES: u32 = 24;
/// Shorter times are not compared.
pub(crate) const SHORT: Duration = Duration::from_micros(500);

pub(super) type Call = Box<dyn Fn(&mut Catalog, &mut Step<'_>)>;

/// The names of methods, with calls of a size.
pub(super) fn calls(n: usize) -> Vec<(&'static str, Call)> {
    let mut all: Vec<(&'static str, Call)> = Vec::new();
    let mut add = |name, call: Call| all.push((name, call));
    scopes(n, &mut add);
    streams(n, &mut add);
    cuts(n, &mut add);
    scales(n, &mut add);
    transactions(n, &mut add);
    groups(n, &mut add);
    tables(n, &mut add);
    slices(n, &mut add);
    all
}

type Add<'a> = &'a mut dyn FnMut(&'static str, Call);

/// Four megabytes at the larger size.
fn long(n: usize) -> String {
    "x".repeat(1000 * n)
}

fn of(stream: &str) -> StreamInfo {
    StreamInfo { stream: stream.to_owned(), ..info() }
}

/// The active segments of the stream `t`.
fn tail(n: usize) -> BTreeMap<i64, i64> {
    (0..n as i64).map(|id| (id, 0)).collect()
}

/// Ids of which the stream knows only some.
fn unknown(n: usize) -> BTreeMap<i64, i64> {
    tail(75 * n)
}

fn scopes(n: usize, add: Add<'_>) {
    let name = long(n);
    let long = move || name.clone();
    let name = long();
    add("create_scope", Box::new(move |c, step| drop(c.create_scope(&name, step))));
    let name = long();
    add("delete_scope", Box::new(move |c, step| drop(c.delete_scope(&name, step))));
    let name = long();
    add(
        "delete_scope_recursive",
        Box::new(move |c, step| drop(c.delete_scope_recursive(&name, step))),
    );
    add("delete_scope_recursive", Box::new(|c, step| drop(c.delete_scope_recursive("s", step))));
    add("delete_slice", Box::new(|c, step| drop(c.delete_slice(step))));
    let name = long();
    add("scope_exists", Box::new(move |c, _| _ = c.scope_exists(&name)));
    let name = long();
    add("stream_exists", Box::new(move |c, _| _ = c.stream_exists("s", &name)));
    let name = long();
    add("list_scopes", Box::new(move |c, _| drop(c.list_scopes(&name))));
    let name = long();
    add("list_streams", Box::new(move |c, _| drop(c.list_streams("s", Some(&name), ""))));
    let name = long();
    add("list_tables", Box::new(move |c, _| drop(c.list_tables("s", &name))));
}

fn streams(n: usize, add: Add<'_>) {
    let segments = i32::try_from(n).unwrap();
    add(
        "create_stream",
        Box::new(move |c, step| drop(c.create_stream(named("new", segments), step))),
    );
    let name = long(n);
    add("create_stream", Box::new(move |c, step| drop(c.create_stream(named(&name, 1), step))));
    let tags = Some(Tags { tag: (0..125 * n).map(|tag| tag.to_string()).collect() });
    let tagged = StreamConfig { tags, ..named("new", 1) };
    add("create_stream", Box::new(move |c, step| drop(c.create_stream(tagged.clone(), step))));
    add(
        "update_stream",
        Box::new(move |c, step| drop(c.update_stream(named("t", segments - 1), step))),
    );
    add(
        "update_stream",
        Box::new(move |c, step| drop(c.update_stream(named("t", segments), step))),
    );
    add("seal_stream", Box::new(|c, step| drop(c.seal_stream(&info(), step))));
    add("delete_stream", Box::new(|c, step| drop(c.delete_stream(&of("sealed"), step))));
    add("stream_configuration", Box::new(|c, _| drop(c.stream_configuration(&info()))));
    let named = of(&long(n));
    add("token", Box::new(move |c, step| drop(c.token(&named, step))));
    add("current_segments", Box::new(|c, step| drop(c.current_segments(&info(), step))));
    add("epoch_segments", Box::new(|c, step| drop(c.epoch_segments(&of("u"), 1, step))));
    add("head_segments", Box::new(|c, step| drop(c.head_segments(&info(), step))));
    add("is_segment_open", Box::new(|c, _| drop(c.is_segment_open(&info(), 7))));
}

fn cuts(n: usize, add: Add<'_>) {
    for cut in [tail(n), unknown(n)] {
        let to = cut.clone();
        add(
            "truncate_stream",
            Box::new(move |c, step| drop(c.truncate_stream(&info(), to.clone(), step))),
        );
        let to = cut.clone();
        add("is_cut_complete", Box::new(move |c, _| drop(c.is_cut_complete(&info(), &to))));
        let to = cut.clone();
        add(
            "segments_between",
            Box::new(move |c, step| {
                drop(c.segments_between(&info(), &to, &to, step));
            }),
        );
        let position = cut.clone();
        add(
            "note_time",
            Box::new(move |c, step| {
                drop(c.note_time(&info(), "w", position.clone(), 7, step));
            }),
        );
        add(
            "update_subscriber",
            Box::new(move |c, step| {
                let stream_cut = Some(StreamCut { stream_info: Some(info()), cut: cut.clone() });
                let (subscriber, reader_group_id) = ("s/g".to_owned(), GROUP_ID.to_string());
                let request = SubscriberStreamCut {
                    subscriber,
                    reader_group_id,
                    stream_cut,
                    ..SubscriberStreamCut::default()
                };
                drop(c.update_subscriber(request, step));
            }),
        );
    }
    let writer = long(n);
    add("remove_writer", Box::new(move |c, step| drop(c.remove_writer(&info(), &writer, step))));
}

/// Equal ranges from one key to another.
fn ranges(n: usize, low: f64, high: f64) -> Vec<KeyRangeEntry> {
    let key = |part: usize| low + (high - low) * part as f64 / n as f64;
    (0..n).map(|part| KeyRangeEntry { start: key(part), end: key(part + 1) }).collect()
}

fn scale(
    stream: &str,
    sealed_segments: Vec<i64>,
    new_key_ranges: Vec<KeyRangeEntry>,
) -> ScaleRequest {
    let stream_info = Some(of(stream));
    ScaleRequest { stream_info, sealed_segments, new_key_ranges, scale_timestamp: 0 }
}

fn scales(n: usize, add: Add<'_>) {
    let all: Vec<i64> = (0..n as i64).collect();
    let requests = [
        scale("t", all.clone(), ranges(n - 1, 0.0, 1.0)),
        scale("t", all.clone(), ranges(n, 0.0, 1.0)),
        scale("t", (0..75 * n as i64).collect(), ranges(n, 0.0, 1.0)),
        scale("t", vec![0; 75 * n], ranges(n, 0.0, 1.0)),
        scale("t", all, ranges(50 * n, 0.0, 1.0)),
    ];
    for request in requests {
        add("scale", Box::new(move |c, step| drop(c.scale(&request, step))));
    }
    add("check_scale", Box::new(|c, _| _ = c.check_scale(&info(), 1)));
    add("successors", Box::new(|c, step| drop(c.successors(&of("u"), 0, step))));
    add("successors", Box::new(|c, step| drop(c.successors(&of("u"), (1 << 32) | 2, step))));
}

fn transactions(n: usize, add: Add<'_>) {
    add(
        "create_transaction",
        Box::new(|c, step| drop(c.create_transaction(&info(), 20_000, step))),
    );
    add(
        "ping_transaction",
        Box::new(|c, step| {
            drop(c.ping_transaction(&info(), TRANSACTION, 30_000, step));
        }),
    );
    add("transaction_state", Box::new(|c, _| drop(c.transaction_state(&info(), TRANSACTION))));
    for writer in ["w".to_owned(), long(n)] {
        add(
            "commit_transaction",
            Box::new(move |c, step| {
                drop(c.commit_transaction(&info(), TRANSACTION, &writer, 7, step));
            }),
        );
    }
    add(
        "commit_transaction",
        Box::new(|c, step| {
            drop(c.commit_transaction(&of("rolled"), Uuid::from_u128(3), "w", 7, step));
        }),
    );
    add(
        "abort_transaction",
        Box::new(|c, step| {
            drop(c.abort_transaction(&info(), TRANSACTION, step));
        }),
    );
    add("completed_transactions", Box::new(|c, _| drop(c.completed_transactions(&info()))));
}

fn groups(n: usize, add: Add<'_>) {
    let cut = |name: String| StreamCut { stream_info: Some(of(&name)), ..StreamCut::default() };
    let cuts = |count: usize| (0..count).map(|number| cut(format!("stream-{number}"))).collect();
    let large = StreamCut { stream_info: Some(info()), cut: tail(n) };
    let lists: [Vec<StreamCut>; 4] = [
        cuts(2 * n),
        cuts(50 * n),
        (0..2 * n).map(|_| cut("t".to_owned())).collect(),
        vec![large; 10],
    ];
    for starting_stream_cuts in lists {
        let config =
            ReaderGroupConfiguration { starting_stream_cuts, retention_type: 0, ..group() };
        let new =
            ReaderGroupConfiguration { reader_group_name: "new".to_owned(), ..config.clone() };
        add("create_group", Box::new(move |c, step| drop(c.create_group(new.clone(), step))));
        add("update_group", Box::new(move |c, step| drop(c.update_group(config.clone(), step))));
    }
    for reader_group in ["g".to_owned(), long(n)] {
        let reader_group_id = GROUP_ID.to_string();
        let info =
            ReaderGroupInfo { scope: "s".to_owned(), reader_group, reader_group_id, generation: 0 };
        let asked = info.clone();
        add("group_config", Box::new(move |c, _| drop(c.group_config(&asked))));
        add("delete_group", Box::new(move |c, step| drop(c.delete_group(&info, step))));
    }
    add("subscribers", Box::new(|c, _| drop(c.subscribers(&info()))));
}

fn tables(n: usize, add: Add<'_>) {
    let table = |name: &str, partition_count| KeyValueTableConfig {
        scope: "s".to_owned(),
        kvt_name: name.to_owned(),
        partition_count,
        primary_key_length: 4,
        ..KeyValueTableConfig::default()
    };
    let config = table("new", i32::try_from(n).unwrap());
    add("create_table", Box::new(move |c, step| drop(c.create_table(config.clone(), step))));
    let config = table(&long(n), 1);
    add("create_table", Box::new(move |c, step| drop(c.create_table(config.clone(), step))));
    for kvt_name in ["k".to_owned(), long(n)] {
        let info = KeyValueTableInfo { scope: "s".to_owned(), kvt_name };
        let asked = info.clone();
        add("table_segments", Box::new(move |c, step| drop(c.table_segments(&asked, step))));
        let asked = info.clone();
        add("table_config", Box::new(move |c, _| drop(c.table_config(&asked))));
        add("delete_table", Box::new(move |c, step| drop(c.delete_table(&info, step))));
    }
}

fn slices(n: usize, add: Add<'_>) {
    let name = long(n);
    add(
        "streams_after",
        Box::new(move |c, _| {
            drop(c.streams_after("s", &StreamFilter::Tagged(name.clone()), ""));
        }),
    );
    add("groups_after", Box::new(|c, _| drop(c.groups_after("s", ""))));
    add("group_streams", Box::new(|c, _| drop(c.group_streams("s", "g", 0))));
    add("group_id", Box::new(|c, _| drop(c.group_id("s", "g"))));
    add("group_state", Box::new(|c, _| drop(c.group_state("s", "g"))));
    add("group_id", Box::new(|c, _| drop(c.group_id("s", "g"))));
    let first = Epoch(0);
    add(
        "epochs_within",
        Box::new(move |c, _| drop(c.epochs_within("s", "u", &(0..=i64::MAX), first))),
    );
}

/// A machine whose streams, tables and transactions have a size.
pub(super) fn prepared(n: usize) -> Machine {
    let mut machine = machine();
    let segments = i32::try_from(n).unwrap();
    let (catalog, mut step) = machine.call(at(5));
    let step = &mut step;
    catalog.create_scope("s", step).unwrap();
    catalog.create_stream(named("t", segments), step).unwrap();
    catalog.create_stream(named("sealed", segments), step).unwrap();
    catalog.seal_stream(&of("sealed"), step).unwrap();
    catalog.create_transaction(&info(), 20_000, step).unwrap();
    catalog.create_group(group(), step).unwrap();
    let table = KeyValueTableConfig {
        scope: "s".to_owned(),
        kvt_name: "k".to_owned(),
        partition_count: segments,
        primary_key_length: 4,
        ..KeyValueTableConfig::default()
    };
    catalog.create_table(table, step).unwrap();
    // One half is many segments first, then the other: each large segment meets many small ones.
    catalog.create_stream(named("u", 2), step).unwrap();
    let half = n / 2;
    let split = ScaleRequest { stream_info: Some(of("u")), ..split(1, 0.5, 0.75, 1.0) };
    let first = ScaleRequest { new_key_ranges: ranges(half, 0.5, 1.0), ..split };
    catalog.scale(&first, step).unwrap();
    let small = (0..half as i64).map(|part| (1 << 32) | (2 + part));
    let mut others = ranges(half, 0.0, 0.5);
    others.push(KeyRangeEntry { start: 0.5, end: 1.0 });
    catalog.scale(&scale("u", small.chain([0]).collect(), others), step).unwrap();
    // A transaction that is committed across a scale.
    catalog.create_stream(named("rolled", segments), step).unwrap();
    let (catalog, mut step) = machine.call(at(7));
    let step = &mut step;
    catalog.create_transaction(&of("rolled"), 20_000, step).unwrap();
    let all = (0..n as i64).collect();
    catalog.scale(&scale("rolled", all, ranges(n, 0.0, 1.0)), step).unwrap();
    while machine.work(at(5)) == Progress::Unfinished {}
    machine
}

/// The CPU time of this thread: on a busy machine the time of a run is that of others, too.
pub(crate) fn cpu_time() -> Duration {
    // The scheduler counts the time when the thread leaves the processor.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// Where the system counts no CPU time of threads, times are those since the first call.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn time(call: &Call, machine: &mut Machine) -> Duration {
    let (catalog, mut step) = machine.call(at(9));
    let begun = cpu_time();
    call(catalog, &mut step);
    cpu_time().saturating_sub(begun)
}

/// The names of the public methods that a call makes, as the source of the catalog has them.
pub(super) fn methods() -> BTreeSet<String> {
    let takes_self = |signature: &str| signature.split(')').next().unwrap().contains("self");
    let mut methods = methods_with(takes_self);
    // No call of a client makes these.
    for other in ["held", "restore", "snapshot", "stream_count"] {
        assert!(methods.remove(other));
    }
    // They count what a request has.
    methods.retain(|name| !name.starts_with("most_of_"));
    methods
}

#[test]
fn no_call_costs_more_than_its_share_of_the_largest_message() {
    let (small, large) = (calls(SMALL), calls(LARGE));
    let named: BTreeSet<String> = large.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, methods());
    for ((name, small), (_, large)) in small.iter().zip(&large) {
        let least = (0..2).map(|_| time(small, &mut prepared(SMALL))).min().unwrap_or_default();
        let share = least.max(SHORT) * TIMES;
        // A cache that others use makes single runs slower.
        let mut times = (0..5).map(|_| time(large, &mut prepared(LARGE)));
        assert!(times.any(|time| time <= share), "{name}: more than {share:?}");
    }
}
