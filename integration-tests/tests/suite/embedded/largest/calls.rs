//! The largest messages of all calls of the controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use pravega_sdk_proto::{
    ContinuationToken, CreateTxnRequest, GetEpochSegmentsRequest, GetSegmentsRequest,
    KeyValueTableConfig, KeyValueTableInfo, KvTablesInScopeRequest, ListCompletedTxnRequest,
    PingTxnRequest, ReaderGroupConfiguration, ReaderGroupInfo, RemoveWriterRequest, ScaleRequest,
    ScaleStatusRequest, ScalingPolicy, ScopeInfo, ScopesRequest, SegmentId, ServerRequest,
    StreamConfig, StreamCut, StreamCutRange, StreamInfo, StreamsInScopeRequest,
    StreamsInScopeWithTagRequest, SubscriberStreamCut, Tags, TimestampFromWriter, TxnId,
    TxnRequest, controller_service_client::ControllerServiceClient, scale_request::KeyRangeEntry,
};
use tonic::transport::Channel;
use uuid::Uuid;

use super::Large;

/// The longest message of a call, without what is around its largest field.
const LEN: usize = (4 << 20) - 200;
/// The most segments of a stream, and the most partitions of a table.
const SEGMENTS: i32 = 10_000;
/// The streams of a scope that is deleted with all of them.
const STREAMS: usize = 500;
const SCOPE: &str = "largest";
const GROUP_ID: Uuid = Uuid::from_u128(7);

type Client = ControllerServiceClient<Channel>;
type Begun = Arc<OnceLock<Option<TxnId>>>;

/// The messages so far.
struct All {
    client: Client,
    messages: Vec<Large>,
    names: BTreeSet<&'static str>,
}

/// Adds a call: its name, what is large in its message, and the message.
macro_rules! add {
    ($all:ident, $call:ident, $what:literal, $message:expr) => {{
        let mut client = $all.client.clone();
        $all.names.insert(stringify!($call));
        $all.messages.push(Large::new(concat!(stringify!($call), ", ", $what), async move {
            let message = $message;
            // A refusal is an answer, too.
            client.$call(message).await.ok();
        }));
    }};
}

/// Every call, in an order in which most of them have something to do.
pub(super) async fn all(port: u16) -> Vec<Large> {
    let url = format!("http://127.0.0.1:{port}");
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let client = ControllerServiceClient::new(channel).max_decoding_message_size(64 << 20);
    prepare(client.clone()).await;
    let mut all = All { client, messages: Vec::new(), names: BTreeSet::new() };
    scopes(&mut all);
    streams(&mut all);
    cuts(&mut all);
    transactions(&mut all);
    groups(&mut all);
    tables(&mut all);
    scales(&mut all);
    ends(&mut all);
    let named: BTreeSet<String> = all.names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(named, calls());
    all.messages
}

/// The names of all calls, as the code for clients has them.
fn calls() -> BTreeSet<String> {
    let generated = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/src/generated.rs");
    let source = fs::read_to_string(generated).unwrap();
    let functions = source.split("pub async fn ").skip(1);
    let names = functions.map(|rest| rest.split(['(', '<']).next().unwrap().to_owned());
    names.filter(|name| name != "connect").collect()
}

async fn prepare(mut client: Client) {
    for scope in [SCOPE, "many"] {
        client.create_scope(ScopeInfo { scope: scope.to_owned() }).await.unwrap();
    }
    for number in 0..STREAMS {
        let stream = format!("stream-{number}");
        let info = StreamInfo { scope: "many".to_owned(), stream, access_operation: 0 };
        client.create_stream(config(info, 1)).await.unwrap();
    }
}

fn long() -> String {
    "x".repeat(LEN)
}

fn info(stream: &str) -> StreamInfo {
    StreamInfo { scope: SCOPE.to_owned(), stream: stream.to_owned(), access_operation: 0 }
}

/// The stream with the most segments.
fn wide() -> Option<StreamInfo> {
    Some(info("wide"))
}

fn config(info: StreamInfo, segments: i32) -> StreamConfig {
    let scaling_policy = ScalingPolicy { min_num_segments: segments, ..Default::default() };
    StreamConfig {
        stream_info: Some(info),
        scaling_policy: Some(scaling_policy),
        ..Default::default()
    }
}

/// Tags of nine bytes.
fn tagged(info: StreamInfo, segments: i32) -> StreamConfig {
    let tags = (0..LEN / 11).map(|number| format!("{number:09}")).collect();
    StreamConfig { tags: Some(Tags { tag: tags }), ..config(info, segments) }
}

/// A cut with all segments of the stream.
fn whole() -> BTreeMap<i64, i64> {
    (0..i64::from(SEGMENTS)).map(|number| (number, 0)).collect()
}

/// A cut with as many segments as a message holds, none of which exists.
fn foreign() -> BTreeMap<i64, i64> {
    (0..250_000).map(|number| (number + (1 << 33), 1)).collect()
}

fn ranges(count: i32) -> Vec<KeyRangeEntry> {
    let at = |number: i32| f64::from(number) / f64::from(count);
    (0..count).map(|number| KeyRangeEntry { start: at(number), end: at(number + 1) }).collect()
}

fn token() -> Option<ContinuationToken> {
    Some(ContinuationToken { token: long() })
}

fn scope_info() -> Option<ScopeInfo> {
    Some(ScopeInfo { scope: SCOPE.to_owned() })
}

fn scopes(all: &mut All) {
    add!(all, get_controller_server_list, "nothing", ServerRequest {});
    add!(all, create_scope, "a name", ScopeInfo { scope: long() });
    add!(all, check_scope_exists, "a name", ScopeInfo { scope: long() });
    add!(all, list_scopes, "a token", ScopesRequest { continuation_token: token() });
    add!(all, list_streams_in_scope, "a token", {
        StreamsInScopeRequest { scope: scope_info(), continuation_token: token() }
    });
    add!(all, list_streams_in_scope, "many streams", {
        let scope = Some(ScopeInfo { scope: "many".to_owned() });
        StreamsInScopeRequest { scope, continuation_token: None }
    });
    add!(all, list_streams_in_scope_for_tag, "a tag", {
        let scope = scope_info();
        StreamsInScopeWithTagRequest { scope, tag: long(), continuation_token: None }
    });
    add!(all, list_key_value_tables_in_scope, "a token", {
        KvTablesInScopeRequest { scope: scope_info(), continuation_token: token() }
    });
    add!(all, delete_scope, "a name", ScopeInfo { scope: long() });
    add!(all, delete_scope_recursive, "a name", ScopeInfo { scope: long() });
    add!(all, delete_scope_recursive, "many streams", ScopeInfo { scope: "many".to_owned() });
}

fn streams(all: &mut All) {
    add!(all, create_stream, "a name", config(info(&long()), 1));
    add!(all, create_stream, "tags", tagged(info("tagged"), 1));
    add!(all, create_stream, "segments", config(info("wide"), SEGMENTS));
    add!(all, check_stream_exists, "a name", info(&long()));
    add!(all, get_stream_configuration, "a name", info(&long()));
    add!(all, get_stream_configuration, "segments", info("wide"));
    add!(all, update_stream, "tags", tagged(info("wide"), SEGMENTS));
    add!(all, get_delegation_token, "a name", info(&long()));
    add!(all, get_current_segments, "segments", info("wide"));
    add!(all, get_current_segments, "a name", info(&long()));
    add!(all, get_epoch_segments, "segments", {
        GetEpochSegmentsRequest { stream_info: wide(), epoch: 0 }
    });
    add!(all, get_segments, "segments", GetSegmentsRequest { stream_info: wide(), timestamp: 0 });
    let of_long = || SegmentId { stream_info: Some(info(&long())), segment_id: 0 };
    add!(all, get_uri, "a name", of_long());
    add!(all, is_segment_valid, "a name", of_long());
    add!(all, get_segments_immediatly_following, "a name", of_long());
    add!(all, get_segments_immediately_following, "a name", of_long());
    add!(all, seal_stream, "a name", info(&long()));
    add!(all, delete_stream, "a name", info(&long()));
}

fn cuts(all: &mut All) {
    add!(all, is_stream_cut_valid, "segments", StreamCut { stream_info: wide(), cut: whole() });
    add!(all, is_stream_cut_valid, "ids", StreamCut { stream_info: wide(), cut: foreign() });
    add!(all, get_segments_between, "segments", {
        StreamCutRange { stream_info: wide(), from: whole(), to: whole() }
    });
    add!(all, get_segments_between, "ids", {
        StreamCutRange { stream_info: wide(), from: foreign(), to: BTreeMap::new() }
    });
    add!(all, truncate_stream, "segments", StreamCut { stream_info: wide(), cut: whole() });
    add!(all, truncate_stream, "ids", StreamCut { stream_info: wide(), cut: foreign() });
    add!(all, note_timestamp_from_writer, "segments", {
        let position = Some(StreamCut { stream_info: wide(), cut: whole() });
        TimestampFromWriter { writer: "w".to_owned(), position, timestamp: 5 }
    });
    add!(all, note_timestamp_from_writer, "ids", {
        let position = Some(StreamCut { stream_info: wide(), cut: foreign() });
        TimestampFromWriter { writer: "w".to_owned(), position, timestamp: 6 }
    });
    add!(all, note_timestamp_from_writer, "a name", {
        let position = Some(StreamCut { stream_info: wide(), cut: BTreeMap::new() });
        TimestampFromWriter { writer: long(), position, timestamp: 6 }
    });
    add!(all, remove_writer, "a name", RemoveWriterRequest { writer: long(), stream: wide() });
    add!(all, remove_writer, "segments", {
        RemoveWriterRequest { writer: "w".to_owned(), stream: wide() }
    });
}

fn transactions(all: &mut All) {
    let begin = || CreateTxnRequest { stream_info: wide(), lease: 60_000, ..Default::default() };
    let begun: [Begun; 2] = Default::default();
    for begun in &begun {
        let (mut client, begun) = (all.client.clone(), Arc::clone(begun));
        all.names.insert("create_transaction");
        all.messages.push(Large::new("create_transaction, segments", async move {
            let transaction = client.create_transaction(begin()).await.unwrap().into_inner();
            begun.set(transaction.txn_id).unwrap();
        }));
    }
    add!(all, create_transaction, "a name", {
        CreateTxnRequest { stream_info: Some(info(&long())), lease: 60_000, ..Default::default() }
    });
    let [first, second] = begun;
    let of = |begun: &Begun| {
        let begun = Arc::clone(begun);
        move |writer_id: String| {
            let txn_id = begun.get().cloned().flatten();
            TxnRequest { stream_info: wide(), txn_id, writer_id, timestamp: 9 }
        }
    };
    let ended = of(&first);
    add!(all, ping_transaction, "segments", {
        let txn_id = ended(String::new()).txn_id;
        PingTxnRequest { stream_info: wide(), txn_id, lease: 60_000 }
    });
    let ended = of(&first);
    add!(all, check_transaction_state, "a name", ended(long()));
    let ended = of(&first);
    add!(all, commit_transaction, "a name", ended(long()));
    let ended = of(&first);
    add!(all, commit_transaction, "segments", ended("w".to_owned()));
    let ended = of(&second);
    add!(all, abort_transaction, "segments", ended(String::new()));
    add!(all, list_completed_transactions, "a name", {
        ListCompletedTxnRequest { stream_info: Some(info(&long())) }
    });
}

fn group(name: &str, cuts: Vec<StreamCut>) -> ReaderGroupConfiguration {
    ReaderGroupConfiguration {
        scope: SCOPE.to_owned(),
        reader_group_name: name.to_owned(),
        reader_group_id: GROUP_ID.to_string(),
        retention_type: 1,
        starting_stream_cuts: cuts,
        ..Default::default()
    }
}

fn group_info(reader_group: String) -> ReaderGroupInfo {
    ReaderGroupInfo {
        scope: SCOPE.to_owned(),
        reader_group,
        reader_group_id: GROUP_ID.to_string(),
        generation: 0,
    }
}

fn groups(all: &mut All) {
    // Each time the whole stream: the most that one stream may have in a message.
    let segments = || vec![StreamCut { stream_info: wide(), cut: whole() }; 40];
    let names = || {
        let cut = |number: usize| StreamCut {
            stream_info: Some(info(&format!("stream-{number:09}"))),
            ..StreamCut::default()
        };
        (0..LEN / 36).map(cut).collect::<Vec<_>>()
    };
    add!(all, create_reader_group, "a name", group(&long(), vec![]));
    add!(all, create_reader_group, "streams", group("g", names()));
    add!(all, create_reader_group, "cuts", group("g", segments()));
    add!(all, get_reader_group_config, "cuts", group_info("g".to_owned()));
    add!(all, get_reader_group_config, "a name", group_info(long()));
    add!(all, list_subscribers, "cuts", info("wide"));
    for (ids, what) in [(whole as fn() -> BTreeMap<i64, i64>, "segments"), (foreign, "ids")] {
        let mut client = all.client.clone();
        all.names.insert("update_subscriber_stream_cut");
        let what = format!("update_subscriber_stream_cut, {what}");
        all.messages.push(Large::new(what, async move {
            let request = SubscriberStreamCut {
                subscriber: format!("{SCOPE}/g"),
                generation: 0,
                reader_group_id: GROUP_ID.to_string(),
                stream_cut: Some(StreamCut { stream_info: wide(), cut: ids() }),
            };
            client.update_subscriber_stream_cut(request).await.ok();
        }));
    }
    add!(all, update_reader_group, "streams", group("g", names()));
    add!(all, update_reader_group, "cuts", group("g", segments()));
    add!(all, delete_reader_group, "a name", group_info(long()));
    add!(all, delete_reader_group, "cuts", group_info("g".to_owned()));
}

fn tables(all: &mut All) {
    let table = |name: String, partition_count| KeyValueTableConfig {
        scope: SCOPE.to_owned(),
        kvt_name: name,
        partition_count,
        primary_key_length: 8,
        ..Default::default()
    };
    let named = |kvt_name: String| KeyValueTableInfo { scope: SCOPE.to_owned(), kvt_name };
    add!(all, create_key_value_table, "a name", table(long(), 1));
    add!(all, create_key_value_table, "partitions", table("k".to_owned(), SEGMENTS));
    add!(all, get_current_segments_key_value_table, "partitions", named("k".to_owned()));
    add!(all, get_current_segments_key_value_table, "a name", named(long()));
    add!(all, get_key_value_table_configuration, "a name", named(long()));
    add!(all, delete_key_value_table, "a name", named(long()));
    add!(all, delete_key_value_table, "partitions", named("k".to_owned()));
}

fn scales(all: &mut All) {
    let scale = |sealed_segments: Vec<i64>, new_key_ranges: Vec<KeyRangeEntry>| ScaleRequest {
        stream_info: wide(),
        sealed_segments,
        new_key_ranges,
        scale_timestamp: 1,
    };
    let own = || (0..i64::from(SEGMENTS)).collect::<Vec<_>>();
    // With five bytes each, as many as a message holds.
    add!(all, scale, "ids", scale((1 << 33..(1 << 33) + 800_000).collect(), ranges(1)));
    add!(all, scale, "ranges", scale(own(), ranges(150_000)));
    add!(all, scale, "segments", scale(own(), ranges(SEGMENTS)));
    add!(all, check_scale, "a name", {
        ScaleStatusRequest { stream_info: Some(info(&long())), epoch: 0 }
    });
    add!(all, get_segments_immediately_following, "segments", {
        SegmentId { stream_info: wide(), segment_id: 0 }
    });
    add!(all, update_stream, "segments", config(info("wide"), SEGMENTS - 1));
}

fn ends(all: &mut All) {
    add!(all, seal_stream, "segments", info("wide"));
    add!(all, delete_stream, "segments", info("wide"));
}
