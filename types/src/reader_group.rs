//! Configuration of reader groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use uuid::Uuid;

use crate::{BoundedCut, Checkpoint, ErrorKind, ScopedStream, StreamCut, classify};

/// The configuration of a reader group.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::ReaderGroupConfiguration;
///
/// let configuration = ReaderGroupConfiguration::new(["shop/orders".parse()?])?;
/// assert_eq!(configuration.streams().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderGroupConfiguration {
    streams: Vec<GroupStream>,
    refresh_interval: Duration,
    automatic_checkpoint_interval: Option<Duration>,
    max_outstanding_checkpoints: NonZeroU32,
    retention: GroupRetention,
    generation: Option<i64>,
    id: Uuid,
}

/// A stream that a group reads, with the start and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStream {
    /// The stream.
    pub stream: ScopedStream,
    /// The start; unbounded means the head.
    pub from: StreamCut,
    /// The end; unbounded means that reading never ends.
    pub to: StreamCut,
}

/// How the progress of a group limits the truncation of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupRetention {
    /// The group does not limit truncation.
    #[default]
    None,
    /// Data before a cut that the user sets may be truncated.
    ManualReleaseAtUserStreamCut,
    /// Data before the group's last checkpoint may be truncated.
    AutomaticReleaseAtLastCheckpoint,
}

/// A configuration of a reader group that is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReaderGroupConfigurationError {
    /// A group reads at least one stream.
    #[error("a reader group needs at least one stream")]
    NoStreams,
    /// A stream is named twice.
    #[error("stream {0} is named twice")]
    Duplicate(ScopedStream),
    /// A cut belongs to another stream.
    #[error("a cut of stream {cut} is given for stream {stream}")]
    OtherStream {
        /// The stream that the group reads.
        stream: ScopedStream,
        /// The stream of the cut.
        cut: ScopedStream,
    },
    /// Reading would end before it starts.
    #[error("the cuts of stream {0} end before they start")]
    EndBeforeStart(ScopedStream),
    /// A start is given for a stream that the group does not read.
    #[error("the group does not read stream {0}, for which a cut is given")]
    NotRead(ScopedStream),
}

classify!(ReaderGroupConfigurationError, |_| ErrorKind::InvalidArgument);

impl ReaderGroupConfiguration {
    /// Creates the configuration of a group that reads whole streams, without an end.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupConfigurationError`] if there is no stream, or one is named twice.
    pub fn new(
        streams: impl IntoIterator<Item = ScopedStream>,
    ) -> Result<Self, ReaderGroupConfigurationError> {
        let whole =
            |stream| GroupStream { stream, from: StreamCut::Unbounded, to: StreamCut::Unbounded };
        Self::bounded(streams.into_iter().map(whole))
    }

    /// Creates the configuration of a group that reads parts of streams.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupConfigurationError`] names the stream and the rule.
    pub fn bounded(
        streams: impl IntoIterator<Item = GroupStream>,
    ) -> Result<Self, ReaderGroupConfigurationError> {
        let streams: Vec<GroupStream> = streams.into_iter().collect();
        if streams.is_empty() {
            return Err(ReaderGroupConfigurationError::NoStreams);
        }
        let mut named = BTreeSet::new();
        for entry in &streams {
            if !named.insert(&entry.stream) {
                return Err(ReaderGroupConfigurationError::Duplicate(entry.stream.clone()));
            }
            entry.check()?;
        }
        Ok(Self {
            streams,
            refresh_interval: Duration::from_secs(3),
            automatic_checkpoint_interval: Some(Duration::from_secs(30)),
            max_outstanding_checkpoints: NonZeroU32::MIN.saturating_add(2),
            retention: GroupRetention::None,
            generation: None,
            id: Uuid::nil(),
        })
    }

    /// Creates the configuration of a group that begins where another group was at a checkpoint,
    /// without an end.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupConfigurationError`] if the checkpoint has no cut, or two cuts of one stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_types::{
    ///     BoundedCut, Checkpoint, Offset, ReaderGroupConfiguration, SegmentId,
    /// };
    ///
    /// let cut = BoundedCut::new("shop/orders".parse()?, [(SegmentId::from(0), Offset(42))])?;
    /// let checkpoint = Checkpoint::new("nightly", [cut.clone()]);
    /// let configuration = ReaderGroupConfiguration::from_checkpoint(&checkpoint)?;
    /// assert_eq!(configuration.streams()[0].from.bounded(), Some(&cut));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, ReaderGroupConfigurationError> {
        Self::bounded(checkpoint.cuts().iter().map(|cut| GroupStream {
            stream: cut.stream().clone(),
            from: cut.clone().into(),
            to: StreamCut::Unbounded,
        }))
    }

    /// Replaces the starts of some streams. Default: the head of each stream.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupConfigurationError`] if the group does not read the stream of a cut, or ends
    /// before it there.
    pub fn with_starts(
        mut self,
        cuts: impl IntoIterator<Item = BoundedCut>,
    ) -> Result<Self, ReaderGroupConfigurationError> {
        for cut in cuts {
            let entry = self.streams.iter_mut().find(|entry| entry.stream == *cut.stream());
            let Some(entry) = entry else {
                return Err(ReaderGroupConfigurationError::NotRead(cut.stream().clone()));
            };
            entry.from = cut.into();
            entry.check()?;
        }
        Ok(self)
    }

    /// Sets how often readers fetch updates of the group. Default: 3 s.
    #[must_use]
    pub fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = interval;
        self
    }

    /// Sets how often a checkpoint is created automatically; `None` means never, and so does less
    /// than a millisecond. Default: 30 s.
    ///
    /// Without checkpoints a group stops reading when its streams scale, and no reader gives a
    /// segment to one that joins, unless its readers hand segments over between events.
    #[must_use]
    pub fn with_automatic_checkpoint_interval(mut self, interval: Option<Duration>) -> Self {
        self.automatic_checkpoint_interval = interval.filter(|interval| interval.as_millis() > 0);
        self
    }

    /// Sets the maximum number of checkpoints in progress. Default: 3.
    #[must_use]
    pub fn with_max_outstanding_checkpoints(mut self, count: NonZeroU32) -> Self {
        self.max_outstanding_checkpoints = count;
        self
    }

    /// Sets how the group limits truncation. Default: it does not.
    #[must_use]
    pub fn with_retention(mut self, retention: GroupRetention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the id and the generation of the group on the controller; `None` means that the
    /// controller does not know the group yet.
    #[must_use]
    pub fn with_identity(mut self, id: Uuid, generation: Option<i64>) -> Self {
        self.id = id;
        self.generation = generation;
        self
    }

    /// Returns the streams with their starts and ends.
    #[must_use]
    pub fn streams(&self) -> &[GroupStream] {
        &self.streams
    }

    /// Returns how often readers fetch updates of the group.
    #[must_use]
    pub fn refresh_interval(&self) -> Duration {
        self.refresh_interval
    }

    /// Returns how often a checkpoint is created automatically; `None` means never.
    #[must_use]
    pub fn automatic_checkpoint_interval(&self) -> Option<Duration> {
        self.automatic_checkpoint_interval
    }

    /// Returns the maximum number of checkpoints in progress.
    #[must_use]
    pub fn max_outstanding_checkpoints(&self) -> NonZeroU32 {
        self.max_outstanding_checkpoints
    }

    /// Returns how the group limits truncation.
    #[must_use]
    pub fn retention(&self) -> GroupRetention {
        self.retention
    }

    /// Returns the generation: every change of the configuration creates a new one. `None` means
    /// that the controller does not know the group yet.
    #[must_use]
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// Returns the id of the group.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }
}

impl GroupStream {
    fn check(&self) -> Result<(), ReaderGroupConfigurationError> {
        for cut in [&self.from, &self.to].into_iter().filter_map(StreamCut::bounded) {
            if *cut.stream() != self.stream {
                return Err(ReaderGroupConfigurationError::OtherStream {
                    stream: self.stream.clone(),
                    cut: cut.stream().clone(),
                });
            }
        }
        let (Some(from), Some(to)) = (self.from.bounded(), self.to.bounded()) else {
            return Ok(());
        };
        let ends: BTreeMap<_, _> = to.positions().collect();
        let crossed = from
            .positions()
            .any(|(segment, start)| ends.get(&segment).is_some_and(|end| start > *end));
        let ids = |cut: &BoundedCut| {
            let ids = cut.positions().map(|(id, _)| id);
            (ids.clone().min(), ids.max())
        };
        let (from_ids, to_ids) = (ids(from), ids(to));
        if crossed || from_ids.0 > to_ids.0 || from_ids.1 > to_ids.1 {
            return Err(ReaderGroupConfigurationError::EndBeforeStart(self.stream.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SegmentId, SegmentOffset};

    fn cut(stream: &str, positions: &[(i64, i64)]) -> StreamCut {
        let positions = positions
            .iter()
            .map(|(id, offset)| (SegmentId::from(*id), SegmentOffset::from_wire(*offset)));
        BoundedCut::new(stream.parse().unwrap(), positions).unwrap().into()
    }

    fn check(
        from: StreamCut,
        to: StreamCut,
    ) -> Result<ReaderGroupConfiguration, ReaderGroupConfigurationError> {
        ReaderGroupConfiguration::bounded([GroupStream {
            stream: "a/b".parse().unwrap(),
            from,
            to,
        }])
    }

    #[test]
    fn ranges_that_end_before_they_start_are_refused() {
        assert!(check(cut("a/b", &[(0, 5)]), cut("a/b", &[(0, 5)])).is_ok());
        assert!(check(cut("a/b", &[(0, 5)]), cut("a/b", &[(0, -1)])).is_ok());
        assert!(check(cut("a/b", &[(0, 6)]), cut("a/b", &[(0, 5)])).is_err());
        assert!(check(cut("a/b", &[(0, -1)]), cut("a/b", &[(0, 5)])).is_err());
        assert!(check(cut("a/b", &[(3, 0)]), cut("a/b", &[(0, 5)])).is_err());
        assert!(check(StreamCut::Unbounded, cut("a/b", &[(0, 5)])).is_ok());
    }

    #[test]
    fn cuts_of_other_streams_and_repeated_streams_are_refused() {
        assert!(matches!(
            check(cut("a/c", &[(0, 5)]), StreamCut::Unbounded),
            Err(ReaderGroupConfigurationError::OtherStream { .. })
        ));
        let stream: ScopedStream = "a/b".parse().unwrap();
        assert!(ReaderGroupConfiguration::new([stream.clone(), stream]).is_err());
        assert!(ReaderGroupConfiguration::new([]).is_err());
    }

    #[test]
    fn starts_are_replaced_for_streams_of_the_group_and_stay_before_the_ends() {
        let bounded = |cut: StreamCut| cut.bounded().cloned().unwrap();
        let whole = check(StreamCut::Unbounded, cut("a/b", &[(0, 5)])).unwrap();
        let moved = whole.clone().with_starts([bounded(cut("a/b", &[(0, 5)]))]).unwrap();
        assert_eq!(moved.streams()[0].from, cut("a/b", &[(0, 5)]));
        assert_eq!(moved.streams()[0].to, whole.streams()[0].to);
        let late = whole.clone().with_starts([bounded(cut("a/b", &[(0, 6)]))]);
        assert!(matches!(late, Err(ReaderGroupConfigurationError::EndBeforeStart(_))));
        let other = whole.with_starts([bounded(cut("a/c", &[(0, 1)]))]);
        assert!(matches!(other, Err(ReaderGroupConfigurationError::NotRead(_))));
    }

    #[test]
    fn a_group_begins_at_every_cut_of_a_checkpoint() {
        let cuts = ["a/b", "a/c"].map(|name| cut(name, &[(0, 5)]).bounded().cloned().unwrap());
        let checkpoint = Checkpoint::new("c", cuts.clone());
        let configuration = ReaderGroupConfiguration::from_checkpoint(&checkpoint).unwrap();
        let starts = configuration.streams().iter().map(|entry| entry.from.bounded().unwrap());
        assert!(starts.eq(&cuts));
        let empty = ReaderGroupConfiguration::from_checkpoint(&Checkpoint::new("c", []));
        assert_eq!(empty, Err(ReaderGroupConfigurationError::NoStreams));
    }
}
