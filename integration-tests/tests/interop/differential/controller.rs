//! The same calls to a controller of Java and to an embedded one: every answer is compared.
//!
//! Where they differ, the difference is in [`KNOWN`], with its reason; one that is listed and does
//! not show is as wrong as one that shows and is not listed.

use std::time::Duration;

use pravega_sdk_integration_tests::harness::unique;
use pravega_sdk_proto::*;
use tonic::Code;

use super::both::{Differences, Known, Server, both, check};

/// Differences that are meant: the call, what of it, and why.
const KNOWN: &[Known] = &[];

/// Makes a call of both and compares what they answer; gives what the Java server answered.
macro_rules! call {
    ($servers:ident, $differences:ident, $name:literal, $method:ident, $request:expr) => {{
        let request = $request;
        let real =
            $servers.0.controller.$method(request.clone()).await.map(tonic::Response::into_inner);
        let embedded =
            $servers.1.controller.$method(request).await.map(tonic::Response::into_inner);
        let show = |code: Code| format!("{code:?}");
        let (one, other) = (
            real.as_ref().map(|answer| format!("{answer:?}")).map_err(|status| show(status.code())),
            embedded
                .as_ref()
                .map(|answer| format!("{answer:?}"))
                .map_err(|status| show(status.code())),
        );
        if one != other {
            println!("{}: {one:?} there and {other:?} here", $name);
            $differences.insert(($name.to_owned(), "answer".to_owned()));
        }
        real.ok()
    }};
}

fn stream_info(scope: &str, stream: &str) -> StreamInfo {
    StreamInfo { scope: scope.to_owned(), stream: stream.to_owned(), access_operation: 0 }
}

fn config(scope: &str, stream: &str, segments: i32, tags: &[&str]) -> StreamConfig {
    StreamConfig {
        stream_info: Some(stream_info(scope, stream)),
        scaling_policy: Some(ScalingPolicy {
            scale_type: 0,
            target_rate: 0,
            scale_factor: 0,
            min_num_segments: segments,
        }),
        retention_policy: None,
        tags: Some(Tags { tag: tags.iter().map(|tag| (*tag).to_owned()).collect() }),
        timestamp_aggregation_timeout: 0,
        rollover_size_bytes: 0,
    }
}

fn cut(scope: &str, stream: &str, positions: &[(i64, i64)]) -> StreamCut {
    StreamCut {
        stream_info: Some(stream_info(scope, stream)),
        cut: positions.iter().copied().collect(),
    }
}

fn scale(scope: &str, stream: &str, sealed: &[i64], ranges: &[(f64, f64)]) -> ScaleRequest {
    let range =
        |(start, end): &(f64, f64)| scale_request::KeyRangeEntry { start: *start, end: *end };
    ScaleRequest {
        stream_info: Some(stream_info(scope, stream)),
        sealed_segments: sealed.to_vec(),
        new_key_ranges: ranges.iter().map(range).collect(),
        scale_timestamp: 0,
    }
}

fn id_of(scope: &str, stream: &str, segment_id: i64) -> SegmentId {
    SegmentId { stream_info: Some(stream_info(scope, stream)), segment_id }
}

#[tokio::test]
async fn both_controllers_answer_every_call_alike() {
    let mut servers = both().await;
    let mut differences = Differences::new();
    let scope = unique("differential");
    let s = scope.as_str();
    let scope_info = |scope: &str| ScopeInfo { scope: scope.to_owned() };
    call!(servers, differences, "a scope", create_scope, scope_info(s));
    call!(servers, differences, "the scope again", create_scope, scope_info(s));
    call!(servers, differences, "a scope with a bad name", create_scope, scope_info("a/b"));
    call!(servers, differences, "a scope without a name", create_scope, scope_info(""));
    call!(servers, differences, "the scope exists", check_scope_exists, scope_info(s));
    call!(
        servers,
        differences,
        "another does not",
        check_scope_exists,
        scope_info("none-of-this-name")
    );
    call!(
        servers,
        differences,
        "deletion of a scope that is missing",
        delete_scope,
        scope_info("none-of-this-name")
    );

    call!(servers, differences, "a stream", create_stream, config(s, "stream", 2, &["one"]));
    call!(servers, differences, "the stream again", create_stream, config(s, "stream", 3, &[]));
    call!(
        servers,
        differences,
        "a stream with a bad name",
        create_stream,
        config(s, "a b", 1, &[])
    );
    call!(
        servers,
        differences,
        "a stream in no scope",
        create_stream,
        config("none-of-this-name", "stream", 1, &[])
    );
    call!(
        servers,
        differences,
        "a stream of no segments",
        create_stream,
        config(s, "none", 0, &[])
    );
    call!(servers, differences, "the stream exists", check_stream_exists, stream_info(s, "stream"));
    call!(
        servers,
        differences,
        "its configuration",
        get_stream_configuration,
        stream_info(s, "stream")
    );
    call!(
        servers,
        differences,
        "of a missing one",
        get_stream_configuration,
        stream_info(s, "missing")
    );
    call!(servers, differences, "its segments", get_current_segments, stream_info(s, "stream"));
    call!(
        servers,
        differences,
        "segments of a missing one",
        get_current_segments,
        stream_info(s, "missing")
    );
    call!(
        servers,
        differences,
        "an update",
        update_stream,
        config(s, "stream", 2, &["two", "three"])
    );
    call!(
        servers,
        differences,
        "the configuration after it",
        get_stream_configuration,
        stream_info(s, "stream")
    );
    call!(
        servers,
        differences,
        "an update of a missing one",
        update_stream,
        config(s, "missing", 2, &[])
    );
    let tagged = |tag: &str| StreamsInScopeWithTagRequest {
        scope: Some(scope_info(s)),
        tag: tag.to_owned(),
        continuation_token: Some(ContinuationToken { token: String::new() }),
    };
    let (real, embedded) = (
        servers
            .0
            .controller
            .list_streams_in_scope_for_tag(tagged("two"))
            .await
            .unwrap()
            .into_inner()
            .streams,
        servers
            .1
            .controller
            .list_streams_in_scope_for_tag(tagged("two"))
            .await
            .unwrap()
            .into_inner()
            .streams,
    );
    assert_eq!(real, embedded);
    call!(servers, differences, "no tag", list_streams_in_scope_for_tag, tagged(""));

    let real = call!(
        servers,
        differences,
        "a scale",
        scale,
        scale(s, "stream", &[0], &[(0.0, 0.25), (0.25, 0.5)])
    );
    let epoch = real.unwrap().epoch;
    let scaled = |epoch| ScaleStatusRequest { stream_info: Some(stream_info(s, "stream")), epoch };
    let done = i32::from(scale_status_response::ScaleStatus::Success);
    while servers.0.controller.check_scale(scaled(epoch)).await.unwrap().into_inner().status != done
    {
    }
    call!(servers, differences, "it is done", check_scale, scaled(epoch));
    call!(servers, differences, "a scale to come", check_scale, scaled(99));
    call!(
        servers,
        differences,
        "the scale again",
        scale,
        scale(s, "stream", &[0], &[(0.0, 0.25), (0.25, 0.5)])
    );
    call!(
        servers,
        differences,
        "a scale that does not fit",
        scale,
        scale(s, "stream", &[1], &[(0.5, 0.9)])
    );
    call!(
        servers,
        differences,
        "a scale of a missing stream",
        scale,
        scale(s, "missing", &[0], &[(0.0, 1.0)])
    );
    call!(
        servers,
        differences,
        "segments after it",
        get_current_segments,
        stream_info(s, "stream")
    );
    let epoch_of =
        |epoch| GetEpochSegmentsRequest { stream_info: Some(stream_info(s, "stream")), epoch };
    call!(servers, differences, "segments before it", get_epoch_segments, epoch_of(0));
    call!(servers, differences, "segments of its epoch", get_epoch_segments, epoch_of(1));
    call!(servers, differences, "segments of no epoch", get_epoch_segments, epoch_of(7));
    let heirs = |mut answer: SuccessorResponse| {
        answer.segments.sort_by_key(|heir| {
            heir.segment.as_ref().and_then(|range| range.segment_id.clone()).map(|id| id.segment_id)
        });
        answer
    };
    let asked = id_of(s, "stream", 0);
    let real = servers
        .0
        .controller
        .get_segments_immediately_following(asked.clone())
        .await
        .unwrap()
        .into_inner();
    let embedded =
        servers.1.controller.get_segments_immediately_following(asked).await.unwrap().into_inner();
    assert_eq!(heirs(real), heirs(embedded), "successors");
    call!(
        servers,
        differences,
        "successors of an open one",
        get_segments_immediately_following,
        id_of(s, "stream", 1)
    );
    call!(servers, differences, "a sealed segment", is_segment_valid, id_of(s, "stream", 0));
    call!(servers, differences, "an open segment", is_segment_valid, id_of(s, "stream", 1));
    let (second, third) = ((1 << 32) | 2, (1 << 32) | 3);
    let whole = cut(s, "stream", &[(second, 0), (third, 0), (1, 0)]);
    call!(servers, differences, "a whole cut", is_stream_cut_valid, whole.clone());
    call!(
        servers,
        differences,
        "half a cut",
        is_stream_cut_valid,
        cut(s, "stream", &[(second, 0), (1, 0)])
    );
    let range = |from: &[(i64, i64)], to: &[(i64, i64)]| StreamCutRange {
        stream_info: Some(stream_info(s, "stream")),
        from: from.iter().copied().collect(),
        to: to.iter().copied().collect(),
    };
    let sorted = |answer: StreamCutRangeResponse| {
        let mut ids: Vec<i64> = answer.segments.iter().map(|segment| segment.segment_id).collect();
        ids.sort_unstable();
        ids
    };
    for (from, to) in [(&[(0, 0), (1, 0)][..], &[][..]), (&[], &[(second, 5), (third, 5), (1, 5)])]
    {
        let real =
            servers.0.controller.get_segments_between(range(from, to)).await.unwrap().into_inner();
        let embedded =
            servers.1.controller.get_segments_between(range(from, to)).await.unwrap().into_inner();
        assert_eq!(sorted(real), sorted(embedded), "between {from:?} and {to:?}");
    }
    call!(servers, differences, "between nothing", get_segments_between, range(&[], &[]));
    call!(servers, differences, "a truncation", truncate_stream, whole);
    call!(
        servers,
        differences,
        "half a truncation",
        truncate_stream,
        cut(s, "stream", &[(second, 0)])
    );
    let head = GetSegmentsRequest { stream_info: Some(stream_info(s, "stream")), timestamp: 0 };
    let by_id = |answer: SegmentsAtTime| {
        let mut found: Vec<(i64, i64)> = answer
            .segments
            .iter()
            .map(|place| (place.segment_id.as_ref().unwrap().segment_id, place.offset))
            .collect();
        found.sort_unstable();
        found
    };
    let real = servers.0.controller.get_segments(head.clone()).await.unwrap().into_inner();
    let embedded = servers.1.controller.get_segments(head).await.unwrap().into_inner();
    assert_eq!(by_id(real), by_id(embedded), "the head");

    transactions(&mut servers, &mut differences, s).await;
    groups_and_tables(&mut servers, &mut differences, s).await;

    call!(
        servers,
        differences,
        "deletion of an unsealed stream",
        delete_stream,
        stream_info(s, "stream")
    );
    call!(servers, differences, "deletion of a full scope", delete_scope, scope_info(s));
    call!(servers, differences, "sealing", seal_stream, stream_info(s, "stream"));
    call!(servers, differences, "sealing again", seal_stream, stream_info(s, "stream"));
    call!(servers, differences, "sealing a missing stream", seal_stream, stream_info(s, "missing"));
    call!(
        servers,
        differences,
        "segments of a sealed stream",
        get_current_segments,
        stream_info(s, "stream")
    );
    call!(
        servers,
        differences,
        "an update of a sealed stream",
        update_stream,
        config(s, "stream", 2, &[])
    );
    call!(
        servers,
        differences,
        "a scale of a sealed stream",
        scale,
        scale(s, "stream", &[1], &[(0.5, 1.0)])
    );
    let begin = CreateTxnRequest {
        stream_info: Some(stream_info(s, "stream")),
        lease: 30_000,
        ..Default::default()
    };
    call!(servers, differences, "a transaction in a sealed stream", create_transaction, begin);
    call!(servers, differences, "deletion", delete_stream, stream_info(s, "stream"));
    call!(
        servers,
        differences,
        "deletion of a missing stream",
        delete_stream,
        stream_info(s, "stream")
    );
    check(&differences, KNOWN);
}

async fn transactions(servers: &mut (Server, Server), differences: &mut Differences, s: &str) {
    let info = || Some(stream_info(s, "stream"));
    let begin = |lease| CreateTxnRequest { stream_info: info(), lease, ..Default::default() };
    call!(servers, differences, "a lease that is too short", create_transaction, begin(10));
    let missing = CreateTxnRequest {
        stream_info: Some(stream_info(s, "missing")),
        lease: 30_000,
        ..Default::default()
    };
    call!(servers, differences, "a transaction in a missing stream", create_transaction, missing);
    let one = servers.0.controller.create_transaction(begin(30_000)).await.unwrap().into_inner();
    let other = servers.1.controller.create_transaction(begin(30_000)).await.unwrap().into_inner();
    assert_eq!(one.active_segments, other.active_segments);
    let epoch = |id: &Option<TxnId>| id.unwrap().high_bits >> 32;
    assert_eq!(epoch(&one.txn_id), epoch(&other.txn_id));
    // Each server has ids of its own: the same call with the id of each.
    macro_rules! both {
        ($name:literal, $method:ident, |$id:ident| $request:expr) => {{
            let ask = |$id| $request;
            let real = servers
                .0
                .controller
                .$method(ask(one.txn_id))
                .await
                .map(tonic::Response::into_inner);
            let embedded = servers
                .1
                .controller
                .$method(ask(other.txn_id))
                .await
                .map(tonic::Response::into_inner);
            let show = |status: tonic::Status| format!("{:?}", status.code());
            let (real, embedded) = (real.map_err(show), embedded.map_err(show));
            if real != embedded {
                println!("{}: {real:?} there and {embedded:?} here", $name);
                differences.insert(($name.to_owned(), "answer".to_owned()));
            }
        }};
    }
    let asked = |txn_id| TxnRequest {
        stream_info: info(),
        txn_id,
        writer_id: String::new(),
        timestamp: i64::MIN,
    };
    let ping = |txn_id, lease| PingTxnRequest { stream_info: info(), txn_id, lease };
    both!("an open transaction", check_transaction_state, |id| asked(id));
    both!("a ping", ping_transaction, |id| ping(id, 30_000));
    both!("a ping with a long lease", ping_transaction, |id| ping(id, 100_000_000));
    both!("an abort", abort_transaction, |id| asked(id));
    let aborted = i32::from(txn_state::State::Aborted);
    while servers
        .0
        .controller
        .check_transaction_state(asked(one.txn_id))
        .await
        .unwrap()
        .into_inner()
        .state
        != aborted
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    both!("an aborted transaction", check_transaction_state, |id| asked(id));
    both!("an abort again", abort_transaction, |id| asked(id));
    both!("a commit of an aborted one", commit_transaction, |id| asked(id));
    both!("a ping of an aborted one", ping_transaction, |id| ping(id, 30_000));
    let unknown = |_: Option<TxnId>| asked(Some(TxnId { high_bits: 0, low_bits: 77 }));
    both!("an unknown transaction", check_transaction_state, |id| unknown(id));
    both!("a commit of an unknown one", commit_transaction, |id| unknown(id));
}

async fn groups_and_tables(servers: &mut (Server, Server), differences: &mut Differences, s: &str) {
    let group = |name: &str, id: &str, generation| ReaderGroupConfiguration {
        scope: s.to_owned(),
        reader_group_name: name.to_owned(),
        group_refresh_time_millis: 3000,
        automatic_checkpoint_interval_millis: 30_000,
        max_outstanding_checkpoint_request: 3,
        retention_type: 1,
        generation,
        reader_group_id: id.to_owned(),
        starting_stream_cuts: vec![cut(s, "stream", &[])],
        ending_stream_cuts: vec![cut(s, "stream", &[])],
        rollover_size_bytes: 0,
    };
    let id = "6a8f51b4-54dd-4f8b-8f61-0a7a4f3d9b11";
    let named = |name: &str| ReaderGroupInfo {
        scope: s.to_owned(),
        reader_group: name.to_owned(),
        reader_group_id: id.to_owned(),
        generation: 0,
    };
    call!(servers, differences, "a group", create_reader_group, group("group", id, 0));
    call!(servers, differences, "the group again", create_reader_group, group("group", id, 0));
    call!(
        servers,
        differences,
        "a group with a bad name",
        create_reader_group,
        group("a b", id, 0)
    );
    call!(
        servers,
        differences,
        "a group without an id",
        create_reader_group,
        group("other", "", 0)
    );
    call!(
        servers,
        differences,
        "its configuration as a group",
        get_reader_group_config,
        named("group")
    );
    call!(servers, differences, "of a missing group", get_reader_group_config, named("missing"));
    call!(servers, differences, "subscribers", list_subscribers, stream_info(s, "stream"));
    let release = |generation, positions: &[(i64, i64)]| SubscriberStreamCut {
        subscriber: format!("{s}/group"),
        generation,
        reader_group_id: id.to_owned(),
        stream_cut: Some(cut(s, "stream", positions)),
    };
    let whole = [((1 << 32) | 2, 0), ((1 << 32) | 3, 0), (1, 0)];
    call!(
        servers,
        differences,
        "what a group needs no more",
        update_subscriber_stream_cut,
        release(0, &whole)
    );
    call!(
        servers,
        differences,
        "of another generation",
        update_subscriber_stream_cut,
        release(5, &whole)
    );
    call!(
        servers,
        differences,
        "half of a cut",
        update_subscriber_stream_cut,
        release(0, &whole[..1])
    );
    call!(
        servers,
        differences,
        "a change of the group",
        update_reader_group,
        group("group", id, 0)
    );
    call!(servers, differences, "the change again", update_reader_group, group("group", id, 0));
    call!(
        servers,
        differences,
        "a change of a missing group",
        update_reader_group,
        group("missing", id, 0)
    );
    call!(servers, differences, "deletion of the group", delete_reader_group, named("group"));
    call!(servers, differences, "deletion of a missing group", delete_reader_group, named("group"));

    let table = |name: &str, partition_count| KeyValueTableConfig {
        scope: s.to_owned(),
        kvt_name: name.to_owned(),
        partition_count,
        primary_key_length: 4,
        secondary_key_length: 2,
        rollover_size_bytes: 0,
    };
    let named = |name: &str| KeyValueTableInfo { scope: s.to_owned(), kvt_name: name.to_owned() };
    call!(servers, differences, "a table", create_key_value_table, table("table", 2));
    call!(servers, differences, "the table again", create_key_value_table, table("table", 3));
    call!(
        servers,
        differences,
        "a table of no partitions",
        create_key_value_table,
        table("other", 0)
    );
    call!(servers, differences, "a table with a bad name", create_key_value_table, table("a b", 1));
    call!(
        servers,
        differences,
        "its configuration as a table",
        get_key_value_table_configuration,
        named("table")
    );
    call!(
        servers,
        differences,
        "of a missing table",
        get_key_value_table_configuration,
        named("missing")
    );
    call!(
        servers,
        differences,
        "its partitions",
        get_current_segments_key_value_table,
        named("table")
    );
    call!(
        servers,
        differences,
        "partitions of a missing table",
        get_current_segments_key_value_table,
        named("missing")
    );
    call!(servers, differences, "deletion of the table", delete_key_value_table, named("table"));
    call!(
        servers,
        differences,
        "deletion of a missing table",
        delete_key_value_table,
        named("table")
    );

    let note = |writer: &str, timestamp| TimestampFromWriter {
        writer: writer.to_owned(),
        position: Some(cut(s, "stream", &whole)),
        timestamp,
    };
    call!(servers, differences, "a time", note_timestamp_from_writer, note("writer", 10));
    call!(servers, differences, "an earlier time", note_timestamp_from_writer, note("writer", 5));
    let leave = |writer: &str| RemoveWriterRequest {
        writer: writer.to_owned(),
        stream: Some(stream_info(s, "stream")),
    };
    call!(servers, differences, "a writer that leaves", remove_writer, leave("writer"));
}
