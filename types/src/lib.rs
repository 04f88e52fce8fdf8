//! Names and numbers of Pravega's domain as parsed types.
//!
//! A value of a type in this crate is valid: names are checked where they enter, and never again.
//! The crate holds no wire commands, no async code, no clock and no source of randomness; where a
//! decision needs time or randomness, the caller passes it in.
//!
//! | area | types |
//! |---|---|
//! | names | [`Scope`], [`Stream`], [`ScopedStream`], [`ReaderGroup`], [`KeyValueTable`], [`ReaderId`], [`WriterName`] |
//! | segments | [`SegmentId`], [`Segment`], [`ScopedSegment`], [`KeyRange`], [`SegmentMap`], [`segment_name`] |
//! | routing | [`RoutingKey`], [`routing`] |
//! | progress | [`StreamCut`], [`Position`], [`Checkpoint`], [`EventPointer`], [`StreamPosition`], [`Timestamp`], [`WriterId`], [`EventNumber`], [`TransactionId`] |
//! | configuration | [`ScalingPolicy`], [`RetentionPolicy`], [`StreamConfiguration`], [`Tag`] |
//! | errors | [`Failure`], [`error_type!`], [`classify!`], [`ErrorKind`], [`Outcome`], [`Classified`] |
//! | retries | [`Backoff`], [`RetryPolicy`], [`RetryBudget`] |
//!
//! # Examples
//!
//! ```
//! use pravega_sdk_types::{RoutingKey, ScopedStream, SegmentMap};
//!
//! let stream: ScopedStream = "shop/orders".parse()?;
//! let segments = SegmentMap::equal_ranges(4);
//! let segment = segments.segment_for(RoutingKey::from("customer-7").position());
//! assert!(segment.is_some());
//! assert_eq!(stream.to_string(), "shop/orders");
//! # Ok::<(), pravega_sdk_types::NameError>(())
//! ```

mod backoff;
mod checkpoint;
mod classify;
mod endpoint;
mod error;
mod error_type;
mod escape;
mod event_pointer;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ids;
mod key_range;
pub mod modified_utf8;
mod name;
mod policy;
mod position;
mod reader_group;
mod retry;
mod retry_budget;
pub mod routing;
mod scoped;
mod segment;
mod segment_map;
pub mod segment_name;
mod segment_offset;
mod segment_range;
mod segment_suffix;
#[cfg(feature = "serde")]
mod serde_number;
#[cfg(feature = "serde")]
mod serde_text;
pub mod serial;
mod stream_cut;
mod stream_position;
mod timestamp;
mod watermark;

pub use backoff::Backoff;
pub use checkpoint::Checkpoint;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Classified, ErrorKind, Outcome};
pub use escape::Printable;
pub use event_pointer::{EventPointer, EventPointerError};
pub use failure::{Cause, Failure, Wording};
pub use ids::{
    ContainerId, Epoch, EventNumber, Offset, SegmentNumber, TransactionId, TransactionIdError,
    WriterId,
};
pub use key_range::{KeyRange, KeyRangeError, check_cover};
pub use name::{
    KeyValueTable, NameError, NameKind, NameProblem, ReaderGroup, ReaderId, Scope, Stream,
    WriterName,
};
pub use policy::{PolicyError, RetentionPolicy, ScalingPolicy, StreamConfiguration, Tag};
pub use position::Position;
pub use reader_group::{
    GroupRetention, GroupStream, ReaderGroupConfiguration, ReaderGroupConfigurationError,
};
pub use retry::{Jitter, RetryDelays, RetryPolicy, RetryPolicyError};
pub use retry_budget::RetryBudget;
pub use routing::RoutingKey;
pub use scoped::{ScopedKeyValueTable, ScopedReaderGroup, ScopedStream};
pub use segment::{ScopedSegment, Segment, SegmentId};
pub use segment_map::{SegmentMap, SegmentMapError, Successor};
pub use segment_offset::SegmentOffset;
pub use segment_range::{SegmentRange, SegmentRangeError};
pub use stream_cut::{BoundedCut, StreamCut, StreamCutError};
pub use stream_position::{StreamPosition, StreamPositionError};
pub use timestamp::{Timestamp, TimestampError};
pub use watermark::{Watermark, WatermarkSegment};
