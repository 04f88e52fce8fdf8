//! Events in segment data.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_wire_protocol::fuzzing::events(data));
