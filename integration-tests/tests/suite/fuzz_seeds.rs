//! The functions of the fuzz targets over fixed seeds: noise, damaged frames, and every truncation
//! of a good one.

use std::{fs, path::Path};

use bytes::Bytes;
use pravega_sdk_types::fuzzing as values;
use pravega_sdk_wire_protocol::{fuzzing, value::from_hex};
use serde_json::Value as Json;

const SEEDS: u64 = 20_000;

fn corpus() -> Vec<Bytes> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/wire-commands.jsonl");
    let text = fs::read_to_string(file).unwrap();
    let frames = text.lines().map(|line| {
        let line: Json = serde_json::from_str(line).unwrap();
        Bytes::from(from_hex(line["hex"].as_str().unwrap()).unwrap())
    });
    // The largest frames only make the run longer.
    frames.filter(|frame| frame.len() < 4096).collect()
}

#[test]
fn damaged_frames_never_panic_and_decoded_frames_encode_to_the_same_bytes() {
    let corpus = corpus();
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes = fuzzing::damaged_frame(&mut || random.u64(..), &corpus);
        fuzzing::frames(&bytes);
        fuzzing::appends(&bytes);
    }
}

#[test]
fn no_truncation_of_a_frame_panics() {
    for frame in corpus() {
        for len in 0..frame.len() {
            fuzzing::frames(&frame[..len]);
        }
    }
}

#[test]
fn noise_never_panics() {
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let len = random.usize(..200);
        let bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
        fuzzing::frames(&bytes);
        fuzzing::appends(&bytes);
        fuzzing::events(&bytes);
        values::stored_values(&bytes);
        values::names(&bytes);
    }
}

/// Stored values of the golden lines with a few bytes changed: reaches further than noise does.
#[test]
fn damaged_stored_values_never_panic() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/semantics.jsonl");
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let stored: Vec<Bytes> = lines
        .filter(|line| {
            ["stream_cut", "position", "event_pointer"].iter().any(|kind| line["kind"] == *kind)
        })
        .filter_map(|line| from_hex(line["hex"].as_str()?).map(Bytes::from))
        .collect();
    assert!(stored.len() > 10);
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        values::stored_values(&fuzzing::damaged_frame(&mut || random.u64(..), &stored));
    }
}
