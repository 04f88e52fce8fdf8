//! Definitions in one line that other lines of the same file name.

use std::collections::BTreeMap;

use pravega_sdk_types::SegmentMap;

/// The layouts of segments, by name.
#[derive(Default)]
pub(crate) struct Context {
    pub(super) layouts: BTreeMap<String, SegmentMap>,
}
