//! Reassembly of the append frames of one connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_wire_protocol::fuzzing::appends(data));
