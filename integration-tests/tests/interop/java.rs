//! Streams shared with the Java client, on a real server: each client reads the data of the other,
//! and positions are exchanged as text.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{ReadUntil, StreamPosition, TransactionConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{
    self, factory,
    lines::{Line, as_file, by_key, real_lines},
    new_stream, read_between, scale,
};
use pravega_sdk_types::{KeyRange, ScopedStream, SegmentId, StreamCut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::program::{self, File};

/// Runs the Java program and returns its output.
async fn java(stream: &ScopedStream, arguments: &[&str]) -> String {
    let place = [stream.scope().as_str(), stream.stream().as_str()];
    program::java("Peer", place, arguments).await
}

async fn texts(
    factory: &ClientFactory,
    stream: &ScopedStream,
    from: StreamPosition,
    to: ReadUntil,
) -> Vec<String> {
    let events = read_between(factory, stream, from, to).await;
    events
        .into_iter()
        .map(|event| String::from_utf8(event.into_event().to_vec()).unwrap())
        .collect()
}

fn cut(text: &str) -> pravega_sdk_types::BoundedCut {
    text.parse::<StreamCut>().unwrap().bounded().unwrap().clone()
}

fn keyed<'a>(
    lines: impl IntoIterator<Item = &'a Line>,
) -> std::collections::BTreeMap<usize, Vec<&'a str>> {
    by_key(lines.into_iter().map(|line| line.text.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_cuts_are_exchanged_in_both_directions_across_a_scale() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    // Keys and events with characters beyond ASCII: hashing and encoding must agree.
    let mut lines = real_lines(300_000);
    for (number, line) in lines.iter_mut().enumerate() {
        line.text.push_str(["", " Größe", " 🦀", " 事件"][number % 4]);
    }
    let half = lines.len() / 2;
    let written = File::of(&as_file(&lines[..half]));
    java(&stream, &["write", written.text()]).await;
    let found = texts(&factory, &stream, StreamPosition::Head, ReadUntil::Tail).await;
    assert!(
        by_key(found.iter().map(String::as_str)) == keyed(&lines[..half]),
        "the data of Java differs"
    );

    // Both clients report the same tail.
    let cuts = java(&stream, &["cuts"]).await;
    let (head, tail) = cuts.trim().split_once('\n').unwrap();
    let batch = factory.batch_client(&stream).await.unwrap();
    assert_eq!(batch.head_cut().await.unwrap(), cut(head));
    let middle = batch.tail_cut().await.unwrap();
    assert_eq!(middle, cut(tail));

    scale(factory.controller(), &stream, &[0, 1].map(SegmentId::from), &KeyRange::equal(3)).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for line in &lines[half..] {
        drop(writer.enqueue(&line.key, line.text.as_str()).await.unwrap());
    }
    writer.flush().await.unwrap();
    let count = lines.len().to_string();
    let all = java(&stream, &["read", "UNBOUNDED", &count]).await;
    assert!(by_key(all.lines()) == keyed(&lines), "the data that Java reads of both differs");
    let from = StreamCut::from(middle.clone()).to_text();
    let rest = java(&stream, &["read", &from, &(lines.len() - half).to_string()]).await;
    assert!(
        by_key(rest.lines()) == keyed(&lines[half..]),
        "the data that Java reads from our cut differs"
    );
    // In batches, between cuts of both clients.
    let end = StreamCut::from(batch.tail_cut().await.unwrap()).to_text();
    let between = java(&stream, &["batch", &from, &end]).await;
    let mut between: Vec<&str> = between.lines().collect();
    let mut expected: Vec<&str> = lines[half..].iter().map(|line| line.text.as_str()).collect();
    between.sort_unstable();
    expected.sort_unstable();
    assert!(between == expected, "the data that Java reads in batches differs");
    let ours = texts(&factory, &stream, StreamPosition::Cut(cut(tail)), ReadUntil::Tail).await;
    assert!(
        by_key(ours.iter().map(String::as_str)) == keyed(&lines[half..]),
        "what we read from Java's cut"
    );
    let ours =
        texts(&factory, &stream, StreamPosition::Cut(cut(head)), ReadUntil::Cut(cut(tail))).await;
    assert!(
        by_key(ours.iter().map(String::as_str)) == keyed(&lines[..half]),
        "what we read between Java's cuts"
    );
    // Java continues from a cut in the middle of our data.
    let config = pravega_sdk_event_stream::ReaderConfig::default();
    let mut reader = factory.event_reader_with(&stream, Utf8, config).await.unwrap();
    let mut before = Vec::new();
    for _ in 0..half + 100 {
        before.push(reader.next().await.unwrap().unwrap().into_event());
    }
    let here = StreamCut::from(reader.stream_cut()).to_text();
    let rest = java(&stream, &["read", &here, &(lines.len() - before.len()).to_string()]).await;
    let whole = before.iter().map(String::as_str).chain(rest.lines());
    assert!(by_key(whole) == keyed(&lines), "our data and the rest that Java reads differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_exchanged_and_resumed_in_both_directions() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let lines = real_lines(100_000);
    let file = File::of(&as_file(&lines));
    java(&stream, &["transactions", file.text(), "200"]).await;
    let committed = |number: &usize| number / 200 % 3 != 2;
    let kept: Vec<&Line> =
        lines.iter().enumerate().filter(|(at, _)| committed(at)).map(|(_, line)| line).collect();
    let found = texts(&factory, &stream, StreamPosition::Head, ReadUntil::Tail).await;
    assert!(
        by_key(found.iter().map(String::as_str)) == keyed(kept.iter().copied()),
        "what Java committed"
    );

    let stream = new_stream(factory.controller(), 2).await;
    let config = TransactionConfig::default().with_lease(Duration::from_secs(30));
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    for (number, chunk) in lines.chunks(200).enumerate() {
        let mut transaction = writer.begin().await.unwrap();
        for line in chunk {
            transaction.write(&line.key, line.text.as_str()).await.unwrap();
        }
        if number % 3 == 2 {
            transaction.abort().await.unwrap();
        } else {
            transaction.commit().await.unwrap().wait_until_visible(harness::FAR).await.unwrap();
        }
    }
    let found = java(&stream, &["read", "UNBOUNDED", &kept.len().to_string()]).await;
    assert!(by_key(found.lines()) == keyed(kept.iter().copied()), "the committed data differs");

    // Begun by this client and committed by Java, and the reverse.
    let stream = new_stream(factory.controller(), 2).await;
    let config = TransactionConfig::default().with_lease(Duration::from_secs(30));
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let (first, second) = lines[..200].split_at(100);
    let mut begun = writer.begin().await.unwrap();
    for line in first {
        begun.write(&line.key, line.text.as_str()).await.unwrap();
    }
    let id = begun.leave_open().await.unwrap();
    java(&stream, &["resume", &id.to_string(), File::of(&as_file(second)).text()]).await;
    harness::eventually("Java's commit shows", async || {
        texts(&factory, &stream, StreamPosition::Head, ReadUntil::Tail).await.len() == 200
    })
    .await;
    let id = java(&stream, &["leave-open", File::of(&as_file(first)).text()]).await;
    let mut resumed = writer.resume(id.trim().parse().unwrap()).await.unwrap();
    for line in second {
        resumed.write(&line.key, line.text.as_str()).await.unwrap();
    }
    resumed.commit().await.unwrap().wait_until_visible(harness::FAR).await.unwrap();
    let found = texts(&factory, &stream, StreamPosition::Head, ReadUntil::Tail).await;
    let twice = lines[..200].iter().chain(&lines[..200]);
    assert!(by_key(found.iter().map(String::as_str)) == keyed(twice));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_exchanged_in_both_directions() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let bytes: Vec<u8> =
        (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = File::of(&bytes);
    java(&stream, &["write-bytes", file.text()]).await;
    let mut found = vec![0; bytes.len()];
    factory.byte_reader(&stream).await.unwrap().read_exact(&mut found).await.unwrap();
    assert!(found == bytes, "the data of Java differs");
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    assert_eq!(writer.offset().0, bytes.len() as i64);
    writer.write_all(&bytes).await.unwrap();
    writer.flush().await.unwrap();
    let copy = File::of(b"");
    java(&stream, &["read-bytes", &(2 * bytes.len()).to_string(), copy.text()]).await;
    assert!(
        std::fs::read(&copy.path).unwrap() == [bytes.clone(), bytes].concat(),
        "the data that Java reads of both differs"
    );
}
