//! The codec: appends on their way out, reads and small replies on their way in.
//!
//! `cargo bench -p pravega-sdk-bench --bench codec`

use bytes::{Bytes, BytesMut};
use divan::{Bencher, counter::BytesCount};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, WireCommand,
    commands::{AppendBlock, AppendBlockEnd, DataAppended, SegmentRead},
    event,
};
use uuid::Uuid;

fn main() {
    divan::main();
}

const MIB: usize = 1 << 20;
const WRITER: Uuid = Uuid::from_u128(7);

fn end(data: Bytes, events: i32) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data,
        num_events: events,
        last_event_number: i64::from(events),
        request_id: 1,
    }
}

/// A thousand events of 100 bytes: framed, put into a block, and the block into a frame.
#[divan::bench]
fn encode_append_of_1000_events_of_100_bytes(bencher: Bencher<'_, '_>) {
    let events: Vec<Bytes> = (0..1000).map(|_| Bytes::from(vec![7; 100])).collect();
    let mut out = SendBuffer::new();
    bencher.counter(BytesCount::new(1000 * 100_usize)).bench_local(|| {
        let mut block = BytesMut::with_capacity(1000 * 108);
        for payload in &events {
            event::put(&mut block, payload).unwrap();
        }
        let data = block.freeze();
        let size_of_whole_events = data.len() as i32;
        out.push(&AppendBlock { writer_id: WRITER, data }).unwrap();
        out.push(&AppendBlockEnd { size_of_whole_events, ..end(Bytes::new(), 1000) }).unwrap();
        let len = bytes::Buf::remaining(&out);
        bytes::Buf::advance(&mut out, len);
        len
    });
}

/// One event of 1 MiB, which is not copied.
#[divan::bench]
fn encode_append_of_1_event_of_1_mib(bencher: Bencher<'_, '_>) {
    let payload = Bytes::from(vec![7; MIB]);
    let mut out = SendBuffer::new();
    bencher.counter(BytesCount::new(MIB)).bench_local(|| {
        out.push(&end(payload.clone(), 1)).unwrap();
        let len = bytes::Buf::remaining(&out);
        bytes::Buf::advance(&mut out, len);
        len
    });
}

fn frames(command: WireCommand, count: usize) -> BytesMut {
    let mut out = SendBuffer::new();
    for _ in 0..count {
        command.encode(&mut out).unwrap();
    }
    BytesMut::from(&out.to_vec()[..])
}

fn decode_all(mut received: BytesMut) -> usize {
    let mut count = 0;
    while let Some(command) = Decoder::default().decode(&mut received).unwrap() {
        divan::black_box(command);
        count += 1;
    }
    count
}

#[divan::bench]
fn decode_segment_read_of_1_mib(bencher: Bencher<'_, '_>) {
    let read = SegmentRead {
        segment: "scope/stream/0.#epoch.0".into(),
        offset: 0,
        at_tail: false,
        end_of_segment: false,
        data: Bytes::from(vec![7; MIB]),
        request_id: 1,
    };
    let received = frames(read.into(), 1);
    bencher
        .counter(BytesCount::new(MIB))
        .with_inputs(|| received.clone())
        .bench_local_values(decode_all);
}

#[divan::bench]
fn decode_10000_small_replies(bencher: Bencher<'_, '_>) {
    let appended = DataAppended {
        writer_id: WRITER,
        event_number: 2,
        previous_event_number: 1,
        request_id: 1,
        current_segment_write_offset: 100,
    };
    let received = frames(appended.into(), 10_000);
    bencher.counter(10_000_usize).with_inputs(|| received.clone()).bench_local_values(decode_all);
}
