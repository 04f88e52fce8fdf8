//! Index streams against a real server.

use std::time::Duration;

use pravega_sdk_event_stream::index::{Fields, IndexWriterConfig};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream, read_all};
use pravega_sdk_types::{ErrorKind, Offset};
use tokio::time::timeout;

/// The fields of a film's frames.
struct Frame {
    time: u64,
    number: u64,
}

impl Fields for Frame {
    fn fields(&self) -> Vec<(&'static str, u64)> {
        vec![("time", self.time), ("number", self.number)]
    }
}

fn frame(number: u64) -> Frame {
    Frame { time: number * 10, number }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_appended_read_at_the_tail_and_found_by_their_fields() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let reader = factory.index_reader(&stream).await.unwrap();
    assert_eq!(
        reader.search("time", 0).await.unwrap_err().kind(),
        ErrorKind::NotFound,
        "it is empty"
    );
    assert_eq!((reader.first().await.unwrap(), reader.last().await.unwrap()), (None, None));
    let mut writer = factory.index_writer(&stream).await.unwrap();
    assert_eq!((writer.record_size(), reader.record_size()), (4096, 4096));
    let mut tail = reader.read(Offset(0), None).await.unwrap();
    for number in 1..=10 {
        let offset =
            writer.append(&frame(number), format!("frame {number}").as_bytes()).await.unwrap();
        assert_eq!(offset, Offset(4096 * (number as i64 - 1)));
    }
    writer.flush().await.unwrap();
    for number in 1..=10 {
        let record = timeout(FAR, tail.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(record.data(), format!("frame {number}").as_bytes());
        assert_eq!((record.value("time"), record.value("nothing")), (Some(number * 10), None));
    }
    assert!(timeout(Duration::from_millis(200), tail.next()).await.is_err(), "there are no more");
    // A slice.
    let mut some = reader.read(Offset(4096 * 2), Some(Offset(4096 * 4))).await.unwrap();
    for expected in ["frame 3", "frame 4"] {
        assert_eq!(some.next().await.unwrap().unwrap().data(), expected);
    }
    assert_eq!(some.next().await.unwrap(), None);
    for (start, end) in [(1, None), (0, Some(100)), (-4096, None)] {
        let refused = reader.read(Offset(start), end.map(Offset)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    }
    // An exact match, between two records, the first, the last, and after the last.
    for (value, index) in [(50, 4), (51, 5), (0, 0), (10, 0), (100, 9)] {
        assert_eq!(reader.search("time", value).await.unwrap(), Offset(4096 * index), "{value}");
    }
    assert_eq!(reader.search("number", 7).await.unwrap(), Offset(4096 * 6));
    assert_eq!(reader.search("time", 101).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(reader.search("nothing", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(reader.first().await.unwrap().unwrap().data(), "frame 1");
    assert_eq!(reader.last().await.unwrap().unwrap().data(), "frame 10");
    // Records are events too.
    let events = read_all(&factory, &stream).await;
    assert_eq!(events.len(), 10);
    assert!(events.iter().all(|event| event.event().len() == 4088));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_grow_are_added_after_the_others_and_keep_their_order() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.index_writer(&stream).await.unwrap();
    writer.append(&frame(5), b"five").await.unwrap();
    let refuse = async |writer: &mut pravega_sdk_event_stream::index::IndexWriter,
                        fields: Vec<(&'static str, u64)>| {
        struct Raw(Vec<(&'static str, u64)>);
        impl Fields for Raw {
            fn fields(&self) -> Vec<(&'static str, u64)> {
                self.0.clone()
            }
        }
        let refused = writer.append(&Raw(fields), b"x").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        refused.to_string()
    };
    let text = refuse(&mut writer, vec![("time", 49), ("number", 6)]).await;
    assert!(text.contains("field \"time\" goes down from 50 to 49"), "{text}");
    let text = refuse(&mut writer, vec![("number", 6), ("time", 60)]).await;
    assert!(
        text.contains("field \"number\" is where the record before has another field"),
        "{text}"
    );
    refuse(&mut writer, vec![("time", 60)]).await;
    refuse(&mut writer, vec![("time", 60); 101]).await;
    writer.append(&[("time", 60), ("number", 6), ("camera", 1)], b"six").await.unwrap();
    writer.append(&[("time", 60), ("number", 7), ("camera", 1)], b"seven").await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);
    // A later writer continues from the last record.
    let mut again = factory.index_writer(&stream).await.unwrap();
    let text = refuse(&mut again, vec![("time", 59), ("number", 7), ("camera", 1)]).await;
    assert!(text.contains("goes down from 60 to 59"), "{text}");
    again.append(&[("time", 70), ("number", 7), ("camera", 2)], b"eight").await.unwrap();
    again.flush().await.unwrap();
    let reader = factory.index_reader(&stream).await.unwrap();
    for (field, value, index) in
        [("camera", 1, 1), ("camera", 2, 3), ("time", 50, 0), ("time", 60, 1), ("number", 7, 2)]
    {
        assert_eq!(
            reader.search(field, value).await.unwrap(),
            Offset(4096 * index),
            "{field} {value}"
        );
    }
    again.truncate(Offset(4096)).await.unwrap();
    assert_eq!(again.truncate(Offset(5000)).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(reader.first().await.unwrap().unwrap().data(), "six");
    assert_eq!(reader.search("time", 0).await.unwrap(), Offset(4096));
    assert_eq!(reader.read(Offset(0), None).await.unwrap_err().kind(), ErrorKind::Truncated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_append_needs_the_expected_last_record() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.index_writer(&stream).await.unwrap();
    let refused = writer.append_if(&frame(1), &frame(2), b"x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionFailed, "there is no record");
    writer.append(&frame(1), b"one").await.unwrap();
    writer.append_if(&frame(1), &frame(2), b"two").await.unwrap();
    let refused = writer.append_if(&frame(1), &frame(3), b"x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionFailed);
    writer.flush().await.unwrap();
    // Another writer that does not know the last record cannot append one after it.
    let mut late = factory.index_writer(&stream).await.unwrap();
    writer.append(&frame(3), b"three").await.unwrap();
    writer.flush().await.unwrap();
    late.append_if(&frame(2), &frame(4), b"x").await.ok();
    assert_eq!(late.flush().await.unwrap_err().kind(), ErrorKind::ConditionFailed);
    let reader = factory.index_reader(&stream).await.unwrap();
    assert_eq!(reader.last().await.unwrap().unwrap().data(), "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_records_is_kept_with_the_stream() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory
        .index_writer_with(&stream, IndexWriterConfig::default().with_record_size(3072))
        .await
        .unwrap();
    writer.append(&frame(1), &[7; 2900]).await.unwrap();
    let refused = writer.append(&frame(2), &[7; 3000]).await.unwrap_err();
    assert!(refused.to_string().contains("a record of 3072 holds at most"), "{refused}");
    writer.append(&frame(2), b"two").await.unwrap();
    writer.flush().await.unwrap();
    let reader = factory.index_reader(&stream).await.unwrap();
    assert_eq!(reader.record_size(), 3072);
    assert_eq!(reader.search("number", 2).await.unwrap(), Offset(3072));
    assert_eq!(factory.index_writer(&stream).await.unwrap().record_size(), 3072);
    let refused = factory
        .index_writer_with(&stream, IndexWriterConfig::default().with_record_size(4096))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("records of 4096 bytes; those of the stream have 3072"),
        "{refused}"
    );
    for size in [0, 63, u32::MAX] {
        assert_eq!(
            factory
                .index_writer_with(&stream, IndexWriterConfig::default().with_record_size(size))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidArgument
        );
    }
}
