//! Functions of the fuzz targets and of the seeded tests: no input panics, and everything that
//! decodes can be encoded again.

use bytes::{Bytes, BytesMut};

use crate::{AppendAssembler, Decoder, SendBuffer, WireCommand, event};

/// Decodes `data` as frames, and checks that each is the same after a round trip.
pub fn frames(data: &[u8]) {
    let mut received = BytesMut::from(data);
    while let Ok(Some(command)) = Decoder::default().decode(&mut received) {
        round_trip(&command);
    }
}

/// Passes `data` to the assembler of appends, as the frames of one connection.
pub fn appends(data: &[u8]) {
    let mut assembler = AppendAssembler::new();
    let mut received = BytesMut::from(data);
    while let Ok(Some(command)) = Decoder::default().decode(&mut received) {
        if assembler.handle(command).is_err() {
            return;
        }
    }
}

/// Decodes `data` as the events of a segment.
pub fn events(data: &[u8]) {
    let mut segment = BytesMut::from(data);
    while let Ok(Some(payload)) = event::take(&mut segment, event::MAX_EVENT_LEN) {
        assert!(payload.len() <= event::MAX_EVENT_LEN, "an event over the limit was taken");
    }
}

/// Returns a valid frame with a few bytes changed: it reaches further into the decoders than noise.
#[must_use]
pub fn damaged_frame(random: &mut dyn FnMut() -> u64, corpus: &[Bytes]) -> Vec<u8> {
    let pick =
        |random: &mut dyn FnMut() -> u64, below: usize| (random() % below.max(1) as u64) as usize;
    let at = pick(random, corpus.len());
    let mut bytes = corpus.get(at).map(|frame| frame.to_vec()).unwrap_or_default();
    for _ in 0..=pick(random, 4) {
        let at = pick(random, bytes.len());
        match random() % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random() as u8;
                }
            }
        }
    }
    bytes
}

fn round_trip(command: &WireCommand) {
    let mut out = SendBuffer::new();
    // A decoded command may be too large to encode: two bytes of a string can become three.
    if command.encode(&mut out).is_err() {
        return;
    }
    let again = Decoder::default().decode_frame(out.to_vec().into());
    assert_eq!(again, Ok(as_written(command.clone())), "a command changed on its way out and in");
}

/// Forms that older peers may send and that are no longer written.
fn as_written(mut command: WireCommand) -> WireCommand {
    match &mut command {
        WireCommand::ReadTableKeys(read) => read.args.prefix_filter = Bytes::new(),
        WireCommand::ReadTableEntries(read) => read.args.prefix_filter = Bytes::new(),
        _ => {}
    }
    command
}
