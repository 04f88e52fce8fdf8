//! Definitions in one line that other lines of the same file name.

use std::collections::BTreeMap;

use pravega_sdk_types::SegmentMap;

use super::groups::Captured;

/// The layouts of segments, by name, and the entries of a group.
#[derive(Default)]
pub(crate) struct Context {
    pub(super) layouts: BTreeMap<String, SegmentMap>,
    pub(super) captured: Vec<Captured>,
}
