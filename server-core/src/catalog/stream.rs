//! One stream, as the entries of the journal keep it.

use std::collections::BTreeMap;

use pravega_sdk_proto::StreamConfig;
use pravega_sdk_types::{Epoch, Offset, SegmentId};
use serde::{Deserialize, Serialize};

use super::{
    cut::{Cut, START, WriterPosition},
    history::{History, SegmentRecord},
    message,
    transaction::Transactions,
};
use crate::record::Millis;

/// The state of a stream. Each field but one is an entry of its own in the journal, or several.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) state: StreamState,
    pub(super) history: History,
    /// The cut at which the stream begins; empty until it is truncated.
    pub(super) head: Cut,
    /// The ends of deleted segments.
    pub(super) deleted_ends: BTreeMap<SegmentId, Offset>,
    pub(super) writers: BTreeMap<String, WriterMark>,
    pub(super) watermark: Option<WatermarkBounds>,
    /// By the names of their groups, with the scope.
    pub(super) subscribers: BTreeMap<String, Subscriber>,
    /// The number of groups that became subscribers since the server began.
    pub(super) subscribed: u64,
    /// Cuts that retention may truncate at, from the oldest to the newest.
    pub(super) retention_points: BTreeMap<u64, RetentionPoint>,
    pub(super) transactions: Transactions,
}

/// The configuration of a stream, and whether it still takes events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StreamState {
    #[serde(with = "message")]
    pub(super) config: StreamConfig,
    pub(super) sealed: bool,
}

/// A time that a writer noted, by a clock of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct WriterTime(pub(super) i64);

/// The last time that a writer noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WriterMark {
    pub(super) time: WriterTime,
    pub(super) position: WriterPosition,
    /// When it was noted.
    pub(super) at: Millis,
}

/// The last watermark of a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct WatermarkBounds {
    pub(super) lower: WriterTime,
    pub(super) upper: WriterTime,
}

/// A reader group that keeps a stream from being truncated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Subscriber {
    pub(super) generation: i64,
    pub(super) group_id: String,
    /// The group no longer needs what is before this cut; empty at first.
    pub(super) cut: Cut,
}

/// The tail of a stream at a time, and its length in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RetentionPoint {
    pub(super) at: Millis,
    pub(super) bytes: i64,
    pub(super) cut: Cut,
}

impl Stream {
    /// A stream without epochs.
    pub(super) fn new(state: StreamState) -> Self {
        Self {
            state,
            history: History::default(),
            head: Cut::default(),
            deleted_ends: BTreeMap::new(),
            writers: BTreeMap::new(),
            watermark: None,
            subscribers: BTreeMap::new(),
            subscribed: 0,
            retention_points: BTreeMap::new(),
            transactions: Transactions::default(),
        }
    }

    pub(super) fn config(&self) -> &StreamConfig {
        &self.state.config
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.state.sealed
    }

    pub(super) fn tags(&self) -> &[String] {
        self.config().tags.as_ref().map_or(&[], |tags| &tags.tag)
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags().iter().any(|found| found == tag)
    }

    /// The segments that are written to, unless the stream is sealed.
    pub(super) fn active(&self) -> &[SegmentRecord] {
        self.history.active()
    }

    /// The cut at which the stream begins.
    pub(super) fn head(&self) -> Cut {
        if !self.head.is_empty() {
            return self.head.clone();
        }
        let first = self.history.segments_of(Epoch(0)).unwrap_or_default();
        first.iter().map(|record| (record.id, START)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::history::EpochRecord;

    fn encode<T: Serialize>(value: &T) -> Vec<u8> {
        postcard::to_allocvec(value).unwrap()
    }

    #[test]
    fn the_fields_of_each_part_of_a_stream_are_kept_in_their_order() {
        let offsets: BTreeMap<i64, i64> = [(4, 5)].into();
        let cut = || Cut::from(&offsets);
        let point = RetentionPoint { at: Millis(1), bytes: 2, cut: cut() };
        assert_eq!(encode(&point), encode(&(1_i64, 2_i64, &offsets)));
        let position = WriterPosition::from([(SegmentId::from(4), Offset(5))]);
        let mark = WriterMark { time: WriterTime(1), position, at: Millis(2) };
        assert_eq!(encode(&mark), encode(&(1_i64, &offsets, 2_i64)));
        let bounds = WatermarkBounds { lower: WriterTime(1), upper: WriterTime(2) };
        assert_eq!(encode(&bounds), encode(&(1_i64, 2_i64)));
        let subscriber = Subscriber { generation: 1, group_id: "g".to_owned(), cut: cut() };
        assert_eq!(encode(&subscriber), encode(&(1_i64, "g", &offsets)));
        let record = SegmentRecord { id: SegmentId::from(4), low: 0.0, high: 0.5 };
        let epoch = EpochRecord {
            reference: Epoch(1),
            at: Millis(2),
            sealed: vec![SegmentId::from(3)],
            created: vec![record],
        };
        let created = [(4_i64, 0.0_f64, 0.5_f64)];
        assert_eq!(encode(&epoch), encode(&(1_i32, 2_i64, vec![3_i64], created.to_vec())));
    }
}
