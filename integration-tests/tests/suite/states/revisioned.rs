//! Revisioned streams: conditions, readings, the mark, truncation, bad input.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_integration_tests::harness::{factory, new_stream};
use pravega_sdk_table_synchronizer::{
    Entries, MAX_ENTRY_LEN, Revision, RevisionedStream, RevisionedStreamConfig,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};
use tokio::io::AsyncWriteExt as _;

pub(super) async fn open(factory: &ClientFactory, stream: &ScopedStream) -> RevisionedStream {
    let context = factory.segment_context();
    RevisionedStream::open(context, stream, RevisionedStreamConfig::default()).await.unwrap()
}

async fn create() -> (ClientFactory, RevisionedStream) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let opened = open(&factory, &stream).await;
    (factory, opened)
}

async fn values(entries: Entries) -> Vec<Bytes> {
    entries.map_ok(|entry| entry.value).try_collect().await.unwrap()
}

#[tokio::test]
async fn an_entry_is_written_only_at_the_latest_revision() {
    let (factory, stream) = create().await;
    let other = open(&factory, &stream.stream()).await;
    let oldest = stream.oldest_revision().await.unwrap();
    assert_eq!(stream.latest_revision().await.unwrap(), oldest);
    let first = stream.write_at(&oldest, "first").await.unwrap();
    assert_eq!(first, other.latest_revision().await.unwrap());
    for client in [&stream, &other] {
        let refused = client.write_at(&oldest, "lost").await.unwrap_err();
        let found = (refused.kind(), refused.outcome(), refused.is_retryable());
        assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::NotApplied, false), "{refused}");
    }
    let second = other.write_at(&first, "").await.unwrap();
    let third = stream.write_at(&second, "third").await.unwrap();
    assert!(oldest < first && first < second && second < third);
    let entries: Vec<_> = stream.entries(&oldest).await.unwrap().try_collect().await.unwrap();
    let found: Vec<_> = entries.iter().map(|entry| (&entry.revision, &entry.value[..])).collect();
    assert_eq!(found, [(&first, &b"first"[..]), (&second, b""), (&third, b"third")]);
    let starts: Vec<_> = entries.iter().map(|entry| entry.start).collect();
    assert_eq!(starts, [oldest.offset(), first.offset(), second.offset()]);
}

#[tokio::test]
async fn a_revision_that_was_kept_as_text_continues_in_another_process() {
    let (factory, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let kept = stream.write_at(&oldest, "seen").await.unwrap().to_string();
    stream.write("new").await.unwrap();
    let other = open(&factory, &stream.stream()).await;
    let revision: Revision = kept.parse().unwrap();
    assert_eq!(values(other.entries(&revision).await.unwrap()).await, ["new"]);
}

#[tokio::test]
async fn entries_without_a_condition_follow_all_others_and_end_the_condition_of_others() {
    let (factory, stream) = create().await;
    let other = open(&factory, &stream.stream()).await;
    let oldest = stream.oldest_revision().await.unwrap();
    let first = stream.write("a").await.unwrap().unwrap();
    let second = other.write("b").await.unwrap().unwrap();
    assert!(stream.write_at(&first, "x").await.is_err());
    stream.write_at(&second, "c").await.unwrap();
    assert_eq!(values(stream.entries(&oldest).await.unwrap()).await, ["a", "b", "c"]);
    let between = stream.entries_between(&first, &second).await.unwrap();
    assert_eq!(values(between).await, ["b"]);
    let none = stream.entries_between(&second, &second).await.unwrap();
    assert_eq!(values(none).await.len(), 0);
}

#[tokio::test]
async fn many_writers_at_the_latest_revision_lose_no_entry_and_repeat_none() {
    let (factory, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let writers = (0..4).map(|writer| {
        let (factory, name) = (factory.clone(), stream.stream());
        tokio::spawn(async move {
            let stream = open(&factory, &name).await;
            for number in 0..25 {
                loop {
                    let latest = stream.latest_revision().await.unwrap();
                    match stream.write_at(&latest, format!("{writer}:{number}")).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::ConditionFailed),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let found = values(stream.entries(&oldest).await.unwrap()).await;
    for writer in 0..4 {
        let prefix = format!("{writer}:");
        let own: Vec<_> =
            found.iter().filter(|value| value.starts_with(prefix.as_bytes())).collect();
        let expected: Vec<_> = (0..25).map(|number| format!("{writer}:{number}")).collect();
        assert_eq!(own, expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(found.len(), 100);
}

#[tokio::test]
async fn the_mark_is_set_only_in_place_of_the_expected_one() {
    let (factory, stream) = create().await;
    let other = open(&factory, &stream.stream()).await;
    assert_eq!(stream.mark().await.unwrap(), None);
    let first = stream.write("a").await.unwrap().unwrap();
    let second = stream.write("b").await.unwrap().unwrap();
    stream.set_mark(None, Some(&first)).await.unwrap();
    assert_eq!(other.mark().await.unwrap().as_ref(), Some(&first));
    for expected in [None, Some(&second)] {
        let refused = other.set_mark(expected, Some(&second)).await.unwrap_err();
        let found = (refused.kind(), refused.outcome());
        assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::NotApplied), "{refused}");
    }
    other.set_mark(Some(&first), Some(&second)).await.unwrap();
    assert_eq!(stream.mark().await.unwrap(), Some(second.clone()));
    stream.set_mark(Some(&second), None).await.unwrap();
    assert_eq!(other.mark().await.unwrap(), None);
}

#[tokio::test]
async fn truncated_entries_are_gone_and_named_in_the_error() {
    let (_, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let first = stream.write("a").await.unwrap().unwrap();
    let second = stream.write("b").await.unwrap().unwrap();
    stream.truncate(&first).await.unwrap();
    // What is truncated already is no failure.
    stream.truncate(&oldest).await.unwrap();
    stream.truncate(&first).await.unwrap();
    assert_eq!(stream.oldest_revision().await.unwrap(), first);
    let error = stream.entries(&oldest).await.unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Truncated, Some(oldest.offset())));
    assert_eq!(values(stream.entries(&first).await.unwrap()).await, ["b"]);
    let late = stream.truncate(&beyond(&second)).await.unwrap_err();
    assert_eq!((late.kind(), late.outcome()), (ErrorKind::InvalidArgument, Outcome::NotApplied));
    stream.truncate(&second).await.unwrap();
    assert_eq!(values(stream.entries(&second).await.unwrap()).await.len(), 0);
}

#[tokio::test]
async fn a_reading_whose_entries_are_truncated_ends_with_that_error() {
    let factory = factory().await;
    let name = new_stream(factory.controller(), 1).await;
    let config = RevisionedStreamConfig::default().with_max_buffered_bytes(256 * 1024);
    let context = factory.segment_context();
    let stream = RevisionedStream::open(context, &name, config).await.unwrap();
    let oldest = stream.oldest_revision().await.unwrap();
    let mut last = oldest.clone();
    for _ in 0..20 {
        last = stream.write_at(&last, vec![7; 200_000]).await.unwrap();
    }
    let mut entries = stream.entries(&oldest).await.unwrap();
    entries.next().await.unwrap().unwrap();
    stream.truncate(&last).await.unwrap();
    let mut read = 1;
    let error = loop {
        match entries.next().await.expect("an error comes before the end") {
            Ok(_) => read += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    assert!(read < 20, "what was read ahead is returned first");
    assert!(entries.next().await.is_none(), "nothing follows an error");
}

#[tokio::test]
async fn a_follower_gets_each_entry_when_it_is_written_and_ends_with_the_stream() {
    let (factory, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let mut following = stream.follow(&oldest).await.unwrap();
    for value in ["a", "b", "c"] {
        let (written, found) = tokio::join!(stream.write(value), following.next());
        written.unwrap();
        assert_eq!(found.unwrap().unwrap().value, value);
    }
    factory.controller().seal_stream(&stream.stream()).await.unwrap();
    assert!(following.next().await.is_none());
    for refused in
        [stream.write("late").await.map(|_| ()), stream.write_at(&oldest, "late").await.map(|_| ())]
    {
        let error = refused.unwrap_err();
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::Sealed, Outcome::NotApplied), "{error}");
    }
    let context = factory.segment_context();
    let config = RevisionedStreamConfig::default();
    let again = RevisionedStream::open(context, &stream.stream(), config).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Sealed, "{again}");
    assert_eq!(values(stream.entries(&oldest).await.unwrap()).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn bytes_that_are_no_entry_end_a_reading_with_their_place() {
    let (factory, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let first = stream.write("a").await.unwrap().unwrap();
    let mut bytes = factory.byte_writer(&stream.stream()).await.unwrap();
    bytes.write_all(&[0, 0, 0, 0, 0, 0, 1, 0, 7]).await.unwrap();
    bytes.flush().await.unwrap();
    for entries in [stream.entries(&oldest).await.unwrap(), stream.follow(&oldest).await.unwrap()] {
        let mut entries = entries;
        assert_eq!(entries.next().await.unwrap().unwrap().value, "a");
        let error = entries.next().await.unwrap().unwrap_err();
        let found = (error.kind(), error.offset(), error.is_retryable());
        assert_eq!(found, (ErrorKind::Corrupt, Some(first.offset()), false), "{error}");
        assert!(error.to_string().contains(&stream.stream().to_string()), "{error}");
        assert!(entries.next().await.is_none());
    }
}

#[tokio::test]
async fn what_does_not_fit_the_stream_is_refused_before_it_is_sent() {
    let (factory, stream) = create().await;
    let (_, other) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let foreign = other.oldest_revision().await.unwrap();
    let long = vec![0; MAX_ENTRY_LEN + 1];
    let two = new_stream(factory.controller(), 2).await;
    let config = RevisionedStreamConfig::default();
    let context = factory.segment_context();
    for (error, text) in [
        (stream.write_at(&foreign, "").await.unwrap_err(), "another segment"),
        (stream.write_at(&oldest, long.clone()).await.unwrap_err(), "8388609 bytes"),
        (stream.write(long).await.unwrap_err(), "8388609 bytes"),
        (stream.entries(&foreign).await.unwrap_err(), "another segment"),
        (stream.entries(&beyond(&oldest)).await.unwrap_err(), "not in the stream"),
        (stream.follow(&beyond(&oldest)).await.unwrap_err(), "not in the stream"),
        (stream.set_mark(None, Some(&foreign)).await.unwrap_err(), "another segment"),
        (stream.truncate(&foreign).await.unwrap_err(), "another segment"),
        (RevisionedStream::open(context, &two, config).await.unwrap_err(), "has one segment"),
    ] {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::InvalidArgument, Outcome::NotApplied), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(stream.latest_revision().await.unwrap(), oldest, "nothing was written");
    let missing = "no/stream".parse().unwrap();
    let context = factory.segment_context();
    let config = RevisionedStreamConfig::default();
    let error = RevisionedStream::open(context, &missing, config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn the_longest_value_is_written_and_read_in_both_ways() {
    let (_, stream) = create().await;
    let oldest = stream.oldest_revision().await.unwrap();
    let value = Bytes::from(vec![7; MAX_ENTRY_LEN]);
    let first = stream.write_at(&oldest, value.clone()).await.unwrap();
    stream.write(value.clone()).await.unwrap();
    stream.write("after").await.unwrap();
    let found = values(stream.entries(&oldest).await.unwrap()).await;
    assert!(found[..2] == [value.clone(), value] && found[2] == "after");
    assert_eq!(values(stream.entries(&first).await.unwrap()).await.len(), 2);
}

/// A revision after another, where no entry ends.
fn beyond(revision: &Revision) -> Revision {
    let offset = revision.offset().0 + 1000;
    format!("{}:{offset}:0", revision.segment()).parse().unwrap()
}
