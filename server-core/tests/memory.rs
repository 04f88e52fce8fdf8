//! The memory that a server uses for what it holds, as its allocator is asked for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use allocation_counter::AllocationInfo;
use pravega_sdk_proto::{ScalingPolicy, StreamConfig, StreamInfo, create_stream_status::Status};
use pravega_sdk_server_core::{
    catalog::Intervals,
    ids::Moment,
    machine::{Config, Machine},
    placement::Placement,
    record::{Durability, Millis},
    store::MemoryLimit,
};
use uuid::Uuid;

const STREAMS: usize = 1000;
/// The bytes that an allocator adds to an allocation: its header, and what it rounds.
const HEADER: i64 = 16;

fn machine() -> Machine {
    Machine::new(Config {
        memory_limit: MemoryLimit(1 << 30),
        durability: Durability::InMemory,
        placement: Placement::over(1),
        access: None,
        intervals: Intervals::default(),
    })
}

fn at() -> Moment {
    Moment { now: Millis(1), random: Uuid::nil() }
}

fn create_streams(machine: &mut Machine, count: usize, segments: i32) {
    let (catalog, mut step) = machine.call(at());
    catalog.create_scope("many", &mut step).unwrap();
    for number in 0..count {
        let (scope, stream) = ("many".to_owned(), format!("stream-{number}"));
        let config = StreamConfig {
            stream_info: Some(StreamInfo { scope, stream, access_operation: 0 }),
            scaling_policy: Some(ScalingPolicy {
                scale_type: 0,
                target_rate: 0,
                scale_factor: 0,
                min_num_segments: segments,
            }),
            ..StreamConfig::default()
        };
        assert_eq!(catalog.create_stream(config, &mut step).unwrap(), Status::Success);
    }
}

/// The memory of streams with ten segments, in bytes, and what the server counts for it.
fn streams_of_ten() -> (i64, i64) {
    let mut machine = machine();
    let AllocationInfo { bytes_current, count_current, .. } =
        allocation_counter::measure(|| create_streams(&mut machine, STREAMS, 10));
    (bytes_current + HEADER * count_current, machine.held() as i64)
}

#[test]
fn a_stream_of_ten_segments_uses_less_than_7500_bytes() {
    let (used, _) = streams_of_ten();
    let each = used / STREAMS as i64;
    assert!(each < 7500, "{each} bytes a stream");
}

#[test]
fn streams_use_no_more_memory_than_is_counted() {
    let (used, counted) = streams_of_ten();
    assert!(used <= counted, "{used} bytes, {counted} counted");
}
