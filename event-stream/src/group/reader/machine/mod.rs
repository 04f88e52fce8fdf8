//! The segments that a member of a group reads.

mod segment_set;

pub(super) use self::segment_set::{Found, SegmentSet, SegmentSetSettings, error_at};
