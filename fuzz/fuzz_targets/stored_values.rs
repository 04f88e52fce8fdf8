//! Stream cuts, positions, event pointers and texts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_types::fuzzing::stored_values(data));
