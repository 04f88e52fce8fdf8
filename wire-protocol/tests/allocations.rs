//! Allocations of decoding and encoding.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use pravega_sdk_wire_protocol::{
    Decoder, SendBuffer, TableEntry, TableKey, TableValue, WireCommand,
    commands::{AppendBlockEnd, DataAppended, SegmentRead, SegmentsMerged, TableRead},
    value::{Value, ValueError},
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

/// Builds the command called `name` from the least value of each field; its lists are empty.
fn least(name: &str) -> WireCommand {
    let candidates = [
        Value::Int(1),
        Value::Bool(false),
        Value::Uuid(Uuid::nil()),
        Value::Text(String::new()),
        Value::List(Vec::new()),
        Value::Record(Vec::new()),
        Value::Record(vec![("data".to_owned(), Value::Bytes(Bytes::new()))]),
    ];
    let mut choices: Vec<(String, usize)> =
        WireCommand::field_names(name).unwrap().into_iter().map(|(field, _)| (field, 0)).collect();
    loop {
        let fields = choices.iter().map(|(field, at)| (field.clone(), candidates[*at].clone()));
        match WireCommand::from_fields(name, fields.collect()) {
            Ok(command) => return command,
            Err(ValueError::Field { field, .. }) => {
                let (_, at) = choices.iter_mut().find(|(name, _)| *name == field).unwrap();
                *at += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

/// Returns the length of the longest list of a command; `None` if it has no list.
fn longest_list(command: &WireCommand) -> Option<usize> {
    let lists = command.fields().into_iter().filter_map(|(_, value)| match value {
        Value::List(list) => Some(list.len()),
        _ => None,
    });
    lists.max()
}

/// Returns a frame of type `code`: `before`, a count, and `len` bytes.
fn frame_with_count(code: i32, before: &[u8], count: i32, filler: u8, len: usize) -> Bytes {
    let payload_len = i32::try_from(before.len() + 4 + len).unwrap();
    let mut frame = Vec::new();
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(&payload_len.to_be_bytes());
    frame.extend_from_slice(before);
    frame.extend_from_slice(&count.to_be_bytes());
    frame.resize(frame.len() + len, filler);
    frame.into()
}

/// Decodes a frame, and returns the most memory held meanwhile.
fn decode(frame: Bytes) -> (Option<WireCommand>, u64) {
    let mut decoded = None;
    let info =
        allocation_counter::measure(|| decoded = Decoder::default().decode_frame(frame).ok());
    (decoded, info.bytes_max)
}

/// A count at every place of every command, the largest that some element would admit among them.
#[test]
fn no_count_in_a_frame_makes_the_decoder_reserve_more_than_what_has_arrived() {
    const LEN: usize = 256 * 1024;
    // One string that is not UTF-8, and what is not in a list.
    const BESIDES: u64 = 64 * 1024 + 1024;
    let counts: Vec<i32> = [1, 2, 4, 8, 10, 16, 27, 33]
        .map(|shortest| i32::try_from(LEN / shortest).unwrap())
        .into_iter()
        .chain([100, i32::MAX, -1])
        .collect();
    let mut commands_with_lists = 0;
    for name in WireCommand::NAMES {
        let command = least(name);
        let has_list = longest_list(&command).is_some();
        let payload = &frame(&command)[8..];
        let len = if has_list { LEN } else { 4096 };
        // Elements that were decoded take four times their bytes, and as much again as they move.
        let decoded_most = 8 * len as u64 + 2 * BESIDES;
        let mut has_decoded = false;
        for (at, count) in (0..=payload.len()).flat_map(|at| counts.iter().map(move |c| (at, *c))) {
            // No string is that long, and no key: the count alone decides.
            let frame = frame_with_count(command.code(), &payload[..at], count, 0xFF, len);
            let (decoded, most) = decode(frame);
            let limit = if decoded.is_some() { decoded_most } else { len as u64 + BESIDES };
            assert!(most <= limit, "{name}: a count of {count} at {at} reserved {most} bytes");
            // Zeros are elements of every list, and the shortest ones of most.
            let frame = frame_with_count(command.code(), &payload[..at], count, 0, len);
            let (decoded, most) = decode(frame);
            assert!(most <= decoded_most, "{name}: {count} elements at {at} took {most} bytes");
            has_decoded |= decoded.and_then(|command| longest_list(&command)) == Some(100);
        }
        assert_eq!(has_decoded, has_list, "{name}: a list of 100 elements");
        commands_with_lists += usize::from(has_list);
    }
    assert!(commands_with_lists >= 12, "{commands_with_lists} commands have lists");
}
