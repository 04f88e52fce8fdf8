//! Calls about reader groups and key-value tables.

use pravega_sdk_proto::*;

use super::{
    both::{Both, call},
    requests::{cut, stream_info},
};

/// Reader groups and subscribers.
pub(super) async fn groups(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
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
    call!(both, "a group", create_reader_group, group("group", id, 0));
    call!(both, "the group again", create_reader_group, group("group", id, 0));
    call!(both, "a group with a bad name", create_reader_group, group("a b", id, 0));
    call!(both, "a group without an id", create_reader_group, group("other", "", 0));
    call!(both, "its configuration as a group", get_reader_group_config, named("group"));
    call!(both, "of a missing group", get_reader_group_config, named("missing"));
    call!(both, "subscribers", list_subscribers, stream_info(s, "stream"));
    let release = |generation, positions: &[(i64, i64)]| SubscriberStreamCut {
        subscriber: format!("{s}/group"),
        generation,
        reader_group_id: id.to_owned(),
        stream_cut: Some(cut(s, "stream", positions)),
    };
    let whole = [((1 << 32) | 2, 0), ((1 << 32) | 3, 0), (1, 0)];
    call!(both, "what a group needs no more", update_subscriber_stream_cut, release(0, &whole));
    call!(both, "of another generation", update_subscriber_stream_cut, release(5, &whole));
    call!(both, "half of a cut", update_subscriber_stream_cut, release(0, &whole[..1]));
    call!(both, "a change of the group", update_reader_group, group("group", id, 0));
    call!(both, "the change again", update_reader_group, group("group", id, 0));
    call!(both, "a change of a missing group", update_reader_group, group("missing", id, 0));
    call!(both, "deletion of the group", delete_reader_group, named("group"));
    call!(both, "deletion of a missing group", delete_reader_group, named("group"));
}

/// Key-value tables.
pub(super) async fn tables(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let table = |name: &str, partition_count| KeyValueTableConfig {
        scope: s.to_owned(),
        kvt_name: name.to_owned(),
        partition_count,
        primary_key_length: 4,
        secondary_key_length: 2,
        rollover_size_bytes: 0,
    };
    let named = |name: &str| KeyValueTableInfo { scope: s.to_owned(), kvt_name: name.to_owned() };
    call!(both, "a table", create_key_value_table, table("table", 2));
    call!(both, "the table again", create_key_value_table, table("table", 3));
    call!(both, "a table of no partitions", create_key_value_table, table("other", 0));
    call!(both, "a table with a bad name", create_key_value_table, table("a b", 1));
    call!(both, "its configuration as a table", get_key_value_table_configuration, named("table"));
    call!(both, "of a missing table", get_key_value_table_configuration, named("missing"));
    call!(both, "its partitions", get_current_segments_key_value_table, named("table"));
    call!(
        both,
        "partitions of a missing table",
        get_current_segments_key_value_table,
        named("missing")
    );
    call!(both, "deletion of the table", delete_key_value_table, named("table"));
    call!(both, "deletion of a missing table", delete_key_value_table, named("table"));
}
