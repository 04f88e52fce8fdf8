//! Where reading starts if a time was asked for.

use pravega_sdk::{
    ClientFactory, ReadUntil, Timestamp,
    codec::Raw,
    types::{BoundedCut, ErrorKind, ScopedStream, Watermark},
};

use crate::{
    failure::Result,
    limits::{Limits, Reading},
    output::Output,
};

/// Tells where reading starts if no watermark shows what was written before `time`: then it starts
/// earlier than was asked for.
pub(super) async fn warn_without_watermark(
    stream: &ScopedStream,
    time: Timestamp,
    start: &BoundedCut,
    client: &ClientFactory,
    limits: Limits,
    output: &Output,
) -> Result<()> {
    if has_watermark(stream, time, client, limits).await? {
        return Ok(());
    }
    let head = client.batch_client(stream).await?.head_cut().await?;
    let place = if *start == head {
        "at the head: all events are read".to_owned()
    } else {
        let segments: Vec<String> = start.positions().map(|(id, _)| id.to_string()).collect();
        format!("with segments {}, which were written to since", segments.join(", "))
    };
    output.status(format_args!(
        "warning: the stream has no watermark from before {time}, so reading starts {place}\n  \
         help: pravega write --note-time makes watermarks"
    ));
    Ok(())
}

/// Returns true if a watermark tells what was written up to `time`.
async fn has_watermark(
    stream: &ScopedStream,
    time: Timestamp,
    client: &ClientFactory,
    limits: Limits,
) -> Result<bool> {
    let config = limits.reader(Reading::Present).with_end(ReadUntil::Tail);
    let mut marks = match client.event_reader_with(&stream.watermark_stream(), Raw, config).await {
        Ok(marks) => marks,
        // Streams of older servers have no watermarks.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    while let Some(mark) = marks.next().await {
        match mark {
            Ok(mark) if Watermark::from_bytes(mark.event())?.upper_time() <= time => {
                return Ok(true);
            }
            Ok(_) => {}
            // The controller drops the oldest watermarks; the others follow.
            Err(error) if error.kind() == ErrorKind::Truncated => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}
