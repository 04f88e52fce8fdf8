//! Names and stream cuts as text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pravega_sdk_types::fuzzing::names(data));
