//! A group whose state is in a table: Java's client refuses it by itself, and changes nothing.

use std::time::Duration;

use pravega_sdk_event_stream::{
    codec::Utf8,
    group::{GroupHandleConfig, GroupStorage},
};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_types::{ReaderGroupConfiguration, ScopedReaderGroup};
use tokio::time::timeout;

use super::java::Java;

/// What the error of Java's client says.
const REFUSAL: &str = "the state of this reader group is kept in a table, which only readers of \
                       the Rust SDK can join";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_in_a_table_is_refused_by_java_with_the_reason_and_reads_on() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let name = ScopedReaderGroup::new(stream.scope().clone(), "tabled".parse().unwrap());
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_automatic_checkpoint_interval(None)
        .with_refresh_interval(Duration::from_secs(1));
    let config = GroupHandleConfig::default().with_storage(GroupStorage::Table);
    let created = factory.create_reader_group_with(&name, &configuration, config).await;
    let (group, _) = created.unwrap();
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "one").await.unwrap();
    let before = group.describe().await.unwrap();

    let java = Java::start(stream.scope());
    let same = ["create", stream.stream().as_str(), "UNBOUNDED", "UNBOUNDED", "1000"];
    for command in [
        &same[..],
        &["join", "java"],
        &["describe"],
        &["unread"],
        &["checkpoint", "theirs"],
        &["reset-to-cut", "1000", stream.stream().as_str(), "UNBOUNDED"],
        &["offline", "java"],
        &["delete"],
    ] {
        let refused = java.attempt(&name, command).await;
        let refused = refused.expect_err("it is refused");
        assert!(refused.contains(REFUSAL), "{command:?}: {refused}");
    }

    assert_eq!(group.describe().await.unwrap(), before);
    let mut reader = factory.group_reader(&name, &"rust".parse().unwrap(), Utf8).await.unwrap();
    let read = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(read.into_event().unwrap().event(), "one");
    reader.close(FAR).await.unwrap();
    group.delete().await.unwrap();
}
