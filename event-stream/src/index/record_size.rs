//! The size of the records of an index stream, which an attribute of its segment holds.

use pravega_sdk_segment_client::{context::SegmentContext, error::ReadError};
use pravega_sdk_types::{ErrorKind, ScopedSegment};
use pravega_sdk_wire_protocol::commands::GetSegmentAttribute;
use uuid::Uuid;

/// The size of the records of a stream that says nothing else, in bytes.
pub const DEFAULT_RECORD_SIZE: u32 = 4096;

/// The segment attribute that holds the size of the records.
pub(super) const RECORD_SIZE_ATTRIBUTE: Uuid =
    Uuid::from_u128(0xffff_ffe8_b789_1801_0000_0000_0000_0011);
/// What an attribute has that was never set.
pub(super) const NOT_SET: i64 = i64::MIN;
/// The smallest size that holds any data, and the size of the largest event.
pub(super) const RECORD_SIZES: std::ops::RangeInclusive<u32> = 64..=8 * 1024 * 1024;

/// The size of a stream's records; `None` if it was never set.
pub(super) async fn record_size(
    context: &SegmentContext,
    segment: &ScopedSegment,
) -> Result<Option<u32>, ReadError> {
    let asked = context.ask(segment, |token| GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.to_string().into(),
        attribute_id: RECORD_SIZE_ATTRIBUTE,
        delegation_token: token.into(),
    });
    let reply = asked
        .await
        .map_err(|error| error.into_read(segment, "the size of the records cannot be found"))?;
    if reply.value == NOT_SET {
        return Ok(None);
    }
    match u32::try_from(reply.value) {
        Ok(size) if RECORD_SIZES.contains(&size) => Ok(Some(size)),
        _ => {
            let detail =
                format_args!("invalid size of the stream's records: {} bytes", reply.value);
            let error =
                ReadError::new(ErrorKind::Corrupt, detail).with_stream(&segment.scoped_stream());
            Err(error.with_segment(segment.id(), None, 0))
        }
    }
}
