//! What the fuzz targets run, and the seeded tests as well: any bytes in, no panic, and what
//! decodes must encode again.

use bytes::{Bytes, BytesMut};

use crate::{AppendAssembler, Decoder, SendBuffer, WireCommand, event};

/// Decodes `data` as a row of frames, and checks that each encodes to something that decodes to the
/// same.
pub fn frames(data: &[u8]) {
    let mut received = BytesMut::from(data);
    while let Ok(Some(command)) = Decoder::default().decode(&mut received) {
        round_trip(&command);
    }
}

/// Feeds `data` as frames of one connection to the assembler of appends.
pub fn appends(data: &[u8]) {
    let mut assembler = AppendAssembler::new();
    let mut received = BytesMut::from(data);
    while let Ok(Some(command)) = Decoder::default().decode(&mut received) {
        if assembler.handle(command).is_err() {
            return;
        }
    }
}

/// Takes events off `data` as segment data.
pub fn events(data: &[u8]) {
    let mut segment = BytesMut::from(data);
    while let Ok(Some(payload)) = event::take(&mut segment, event::MAX_EVENT_LEN) {
        assert!(payload.len() <= event::MAX_EVENT_LEN, "an event over the limit was taken");
    }
}

/// The bytes of a valid frame with a few of them changed: reaches further into the decoders than
/// noise does.
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
    // What was decoded may be too large to be sent on: two bytes of a string can become three.
    if command.encode(&mut out).is_err() {
        return;
    }
    let again = Decoder::default().decode_frame(out.to_vec().into());
    assert_eq!(again, Ok(as_written(command.clone())), "a command changed on its way out and in");
}

/// What an older peer may send and nobody writes any more.
fn as_written(mut command: WireCommand) -> WireCommand {
    match &mut command {
        WireCommand::ReadTableKeys(read) => read.args.prefix_filter = Bytes::new(),
        WireCommand::ReadTableEntries(read) => read.args.prefix_filter = Bytes::new(),
        _ => {}
    }
    command
}
