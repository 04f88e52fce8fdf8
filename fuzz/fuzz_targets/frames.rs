//! Frames of the wire protocol, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_wire_protocol::fuzzing::frames(data));
