//! Functions of the fuzz targets and of the seeded tests: no input panics, and everything that is
//! decoded can be encoded again.

use crate::{
    Checkpoint, EventPointer, Position, ScopedSegment, ScopedStream, Stream, StreamCut,
    modified_utf8, segment_name,
};

/// Reads `data` as every kind of stored value.
pub fn stored_values(data: &[u8]) {
    if let Ok(cut) = StreamCut::from_bytes(data)
        && let Ok(bytes) = cut.to_bytes()
    {
        assert_eq!(StreamCut::from_bytes(&bytes), Ok(cut), "a cut changed on its way out and in");
    }
    if let Ok(position) = Position::from_bytes(data)
        && let Ok(bytes) = position.to_bytes()
    {
        assert_eq!(
            Position::from_bytes(&bytes),
            Ok(position),
            "a position changed on its way out and in"
        );
    }
    if let Ok(checkpoint) = Checkpoint::from_bytes(data)
        && let Ok(bytes) = checkpoint.to_bytes()
    {
        assert_eq!(
            Checkpoint::from_bytes(&bytes),
            Ok(checkpoint),
            "a checkpoint changed on its way out and in"
        );
    }
    if let Ok(pointer) = EventPointer::from_bytes(data)
        && let Ok(bytes) = pointer.to_bytes()
    {
        assert_eq!(
            EventPointer::from_bytes(&bytes),
            Ok(pointer),
            "a pointer changed on its way out and in"
        );
    }
    if let Ok(text) = modified_utf8::decode(data) {
        let mut again = Vec::new();
        modified_utf8::encode(&text, |piece| again.extend_from_slice(piece));
        assert_eq!(
            modified_utf8::decode(&again).as_deref(),
            Ok(&*text),
            "a text changed on its way out and in"
        );
    }
}

/// Reads `data` as every kind of name and text.
pub fn names(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(stream) = ScopedStream::internal(text) {
        assert_eq!(stream.to_string(), text, "a stream's name changed");
    }
    if let Err(error) = Stream::new(text) {
        assert!(error.to_string().len() < 1024, "the error is longer than 1 KiB");
    }
    if let Ok(segment) = text.parse::<ScopedSegment>() {
        assert_eq!(segment.to_string().parse(), Ok(segment), "a segment's name changed");
    }
    if let Ok(cut) = text.parse::<StreamCut>() {
        assert_eq!(cut.to_text().parse(), Ok(cut), "a cut changed on its way out and in");
    }
    let _ = text.parse::<EventPointer>();
    let _ = segment_name::primary(text);
    let _ = segment_name::container(text, 16);
}
