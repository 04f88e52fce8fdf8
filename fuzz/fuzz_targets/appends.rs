//! Append frames of one connection, put together again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_wire_protocol::fuzzing::appends(data));
