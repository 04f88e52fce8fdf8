//! The stream cut that `pravega stream truncate` takes, as text or as offsets.

use pravega_sdk::types::{
    BoundedCut, ErrorKind, ScopedStream, SegmentId, SegmentOffset, StreamCut,
};

use crate::failure::{Failure, Result};

pub(super) fn of(
    stream: &ScopedStream,
    text: Option<&str>,
    at: &[(SegmentId, SegmentOffset)],
) -> Result<BoundedCut> {
    let refuse =
        |error: &dyn std::fmt::Display| Failure::of_kind(ErrorKind::InvalidStreamCut, error);
    let cut = match text {
        Some(text) => match text.parse::<StreamCut>().map_err(|error| refuse(&error))? {
            StreamCut::At(cut) => cut,
            StreamCut::Unbounded => {
                return Err(refuse(&"an unbounded cut has no position to truncate at"));
            }
        },
        None => {
            BoundedCut::new(stream.clone(), at.iter().copied()).map_err(|error| refuse(&error))?
        }
    };
    if cut.stream() != stream {
        return Err(refuse(&format_args!(
            "the cut is of stream {}, not of {stream}",
            cut.stream()
        )));
    }
    Ok(cut)
}
