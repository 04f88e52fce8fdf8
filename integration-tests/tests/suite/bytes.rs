//! Byte streams against a real server.

use std::{io::SeekFrom, time::Duration};

use bytes::Bytes;
use pravega_sdk_event_stream::{ByteReaderConfig, ReadError, WriteError};
use pravega_sdk_integration_tests::harness::{FAR, factory, new_stream};
use pravega_sdk_types::{ErrorKind, Offset, Outcome};
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
    time::timeout,
};

fn write_error(error: &std::io::Error) -> &WriteError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

fn read_error(error: &std::io::Error) -> &ReadError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn written_and_flushed_bytes_are_read_at_their_offsets() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    let mut reader = factory.byte_reader(&stream).await.unwrap();
    let mut bytes = [0; 4];
    for (at, piece) in [b"abcd", b"efgh"].into_iter().enumerate() {
        writer.write_all(piece).await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(reader.offset(), Offset(4 * at as i64));
        reader.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, piece);
    }
    assert_eq!((writer.offset(), reader.offset()), (Offset(8), Offset(8)));
    assert_eq!(
        (reader.head_offset().await.unwrap(), reader.tail_offset().await.unwrap()),
        (Offset(0), Offset(8))
    );
    assert_eq!(
        (writer.head_offset().await.unwrap(), writer.tail_offset().await.unwrap()),
        (Offset(0), Offset(8))
    );
    // A read at the tail waits, and returns as soon as bytes are appended.
    let late = tokio::spawn(async move {
        let mut byte = [0; 1];
        reader.read_exact(&mut byte).await.unwrap();
        byte[0]
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!late.is_finished());
    writer.write_all(b"!").await.unwrap();
    assert_eq!(timeout(FAR, late).await.unwrap().unwrap(), b'!');
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_seeks_from_the_start_from_where_it_is_and_from_the_end() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    writer.write_all(b"0123456789").await.unwrap();
    writer.flush().await.unwrap();
    let mut reader = factory.byte_reader(&stream).await.unwrap();
    for (position, offset) in [
        (SeekFrom::Start(4), 4),
        (SeekFrom::Current(-1), 4),
        (SeekFrom::Current(3), 8),
        (SeekFrom::End(-2), 8),
        (SeekFrom::Start(0), 0),
        (SeekFrom::End(-10), 0),
    ] {
        assert_eq!(reader.seek(position).await.unwrap(), offset, "{position:?}");
        assert_eq!(reader.read_u8().await.unwrap(), b'0' + offset as u8);
    }
    for position in [SeekFrom::Start(11), SeekFrom::End(1), SeekFrom::Current(-100)] {
        let refused = reader.seek(position).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{refused}");
        assert_eq!(reader.offset(), Offset(1), "it stays where it was");
    }
    let refused =
        factory.byte_reader_with(&stream, ByteReaderConfig::default().with_start(Offset(11))).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_truncated_bytes_fails_with_the_offset_where_the_stream_begins() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    writer.write_all(b"abcdefgh").await.unwrap();
    writer.flush().await.unwrap();
    let mut before = factory.byte_reader(&stream).await.unwrap();
    writer.truncate(Offset(4)).await.unwrap();
    writer.truncate(Offset(2)).await.expect("it was dropped before");
    let refused = writer.truncate(Offset(9)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    assert_eq!(writer.head_offset().await.unwrap(), Offset(4));

    let told = before.read_u8().await.unwrap_err();
    assert_eq!(
        (read_error(&told).kind(), read_error(&told).offset()),
        (ErrorKind::Truncated, Some(Offset(0)))
    );
    let mut rest = [0; 4];
    before.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"efgh");
    let refused = before.seek(SeekFrom::Start(0)).await.unwrap_err();
    assert_eq!(read_error(&refused).kind(), ErrorKind::Truncated);
    assert!(refused.to_string().contains("first byte is at 4"), "{refused}");

    let mut after = factory.byte_reader(&stream).await.unwrap();
    assert_eq!(after.offset(), Offset(4));
    assert_eq!(after.read_u8().await.unwrap(), b'e');
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_stream_is_read_to_its_end_and_accepts_no_more() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    let mut waiting = factory.byte_reader(&stream).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut all = Vec::new();
        waiting.read_to_end(&mut all).await.map(|_| all)
    });
    let mut other = factory.byte_writer(&stream).await.unwrap();
    writer.write_all(b"all there is").await.unwrap();
    writer.seal().await.unwrap();
    writer.seal().await.expect("sealing a sealed stream");
    assert_eq!(timeout(FAR, waiting).await.unwrap().unwrap().unwrap(), b"all there is");
    let mut late = factory.byte_reader(&stream).await.unwrap();
    late.seek(SeekFrom::End(0)).await.unwrap();
    assert_eq!(late.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(late.read(&mut [0; 10]).await.unwrap(), 0);

    assert_eq!(factory.byte_writer(&stream).await.unwrap_err().kind(), ErrorKind::Sealed);
    other.write_all(b"more").await.ok();
    let refused = other.flush().await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::Sealed, Outcome::NotApplied),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pieces_are_read_as_they_were_written_and_nothing_more() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    for round in 0..10_u8 {
        for _ in 0..1000 {
            writer.write_all(&[round; 1024]).await.unwrap();
        }
        writer.flush().await.unwrap();
    }
    let mut reader = factory.byte_reader(&stream).await.unwrap();
    let mut piece = vec![0; 1024 * 1000];
    for round in 0..10_u8 {
        reader.read_exact(&mut piece).await.unwrap();
        assert!(piece.iter().all(|byte| *byte == round));
    }
    assert!(
        timeout(Duration::from_millis(300), reader.read_u8()).await.is_err(),
        "nothing is left over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_the_late_one_fails_and_can_go_on_after_the_other() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut first = factory.byte_writer(&stream).await.unwrap();
    let mut second = factory.byte_writer(&stream).await.unwrap();
    first.write_all(b"first ").await.unwrap();
    first.flush().await.unwrap();
    second.write_all(b"late  ").await.ok();
    // As long as the other writer's data: a second append could be stored after the refused first.
    second.write_all(b"again ").await.ok();
    let told = tokio::io::AsyncWriteExt::flush(&mut second).await.unwrap_err();
    let told = write_error(&told);
    assert_eq!(
        (told.kind(), told.outcome()),
        (ErrorKind::ConditionFailed, Outcome::NotApplied),
        "{told}"
    );
    assert!(second.write_all(b"still").await.is_err());
    assert_eq!(second.seek_to_tail().await.unwrap(), Offset(6));
    second.write_all(b"second").await.unwrap();
    second.flush().await.unwrap();
    let mut all = [0; 12];
    factory.byte_reader(&stream).await.unwrap().read_exact(&mut all).await.unwrap();
    assert_eq!(&all, b"first second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_several_segments_is_no_byte_stream() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let refused = factory.byte_writer(&stream).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("a byte stream has one segment, this stream has 2"), "{cause}");
    assert_eq!(factory.byte_reader(&stream).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pieces_are_not_copied_and_come_back_whole() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut writer = factory.byte_writer(&stream).await.unwrap();
    let data: Bytes =
        (0..20_000_000_u32).map(|number| (number / 7) as u8).collect::<Vec<_>>().into();
    writer.write_bytes(data.clone()).await.unwrap();
    writer.shutdown().await.unwrap();
    assert!(writer.write_all(b"more").await.is_err(), "it was shut down");
    let mut reader = factory.byte_reader(&stream).await.unwrap();
    let mut at = 0;
    while at < data.len() {
        let bytes = reader.next_bytes().await.unwrap().unwrap();
        assert_eq!(bytes, data[at..at + bytes.len()]);
        at += bytes.len();
    }
}
