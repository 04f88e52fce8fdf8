//! Allocations of decoding and encoding.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, TableEntry, TableKey, TableValue, WireCommand,
    commands::{AppendBlockEnd, DataAppended, SegmentRead, SegmentsMerged, TableRead},
};
use uuid::Uuid;

fn frame(command: &WireCommand) -> Vec<u8> {
    let mut out = SendBuffer::new();
    command.encode(&mut out).unwrap();
    out.to_vec()
}

/// Returns the allocations per frame of decoding `count` copies of `command` from one receive
/// buffer.
fn allocations_per_frame(command: &WireCommand, count: u64) -> f64 {
    let one = frame(command);
    let mut received = BytesMut::new();
    for _ in 0..count {
        received.extend_from_slice(&one);
    }
    let mut decoded = 0;
    let info = allocation_counter::measure(|| {
        while let Some(command) = Decoder::default().decode(&mut received).unwrap() {
            std::hint::black_box(command);
            decoded += 1;
        }
    });
    assert_eq!(decoded, count);
    info.count_total as f64 / count as f64
}

#[test]
fn decoding_makes_at_most_one_allocation_a_frame() {
    let segment = || "scope/stream/0.#epoch.0".into();
    let read = SegmentRead {
        segment: segment(),
        offset: 1,
        at_tail: false,
        end_of_segment: false,
        data: Bytes::from(vec![7; 100_000]),
        request_id: 1,
    };
    let entry = |at: u8| TableEntry {
        key: TableKey { data: vec![at; 16].into(), key_version: 1 },
        value: TableValue { data: vec![at; 64].into() },
    };
    let commands: [WireCommand; 4] = [
        read.into(),
        DataAppended {
            writer_id: Uuid::nil(),
            event_number: 1,
            previous_event_number: 0,
            request_id: 1,
            current_segment_write_offset: 9,
        }
        .into(),
        SegmentsMerged {
            request_id: 1,
            target: segment(),
            source: segment(),
            new_target_write_offset: 3,
        }
        .into(),
        TableRead { request_id: 1, segment: segment(), entries: (0..100).map(entry).collect() }
            .into(),
    ];
    for command in &commands {
        let each = allocations_per_frame(command, 50);
        // One more in total: the buffer's reference count, when the first slice is created.
        assert!(each <= 1.0 + 1.0 / 50.0, "{} made {each} allocations a frame", command.name());
    }
}

#[test]
fn encoding_a_large_payload_copies_none_of_it() {
    let payload = Bytes::from(vec![7; 1 << 20]);
    let append = AppendBlockEnd {
        writer_id: Uuid::nil(),
        size_of_whole_events: 0,
        data: payload,
        num_events: 1,
        last_event_number: 1,
        request_id: 1,
    };
    let info = allocation_counter::measure(|| {
        let mut out = SendBuffer::new();
        out.push(&append).unwrap();
        std::hint::black_box(&out);
    });
    assert!(
        info.bytes_total < 64 * 1024,
        "{} bytes were allocated for a payload of 1 MiB",
        info.bytes_total
    );
}
