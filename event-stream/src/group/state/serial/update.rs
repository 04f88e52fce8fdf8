//! The bytes of an update.

use pravega_sdk_types::serial::{Revisions, SerialError, SerialReader, SerialWriter};

use super::{
    super::{
        group_state::ReaderGroupState,
        init::GroupInit,
        segment_offsets::GroupSegment,
        update::{GroupUpdate, SegmentCompletion, SegmentRelease},
    },
    initial::{COMPACT, INIT},
    parts::{
        VERSIONS, read_bool, read_ids, read_offset, read_offsets, read_ranged, read_ranges,
        read_segment, read_text, write_all, write_bool, write_ids, write_offset, write_offsets,
        write_ranged, write_segment,
    },
};

const ADD_READER: u8 = 2;
const REMOVE_READER: u8 = 3;
const RELEASE_SEGMENT: u8 = 4;
const ACQUIRE_SEGMENT: u8 = 5;
const UPDATE_DISTANCE_TO_TAIL: u8 = 6;
const SEGMENT_COMPLETED: u8 = 7;
const CHECKPOINT_READER: u8 = 8;
const CREATE_CHECKPOINT: u8 = 9;
const CLEAR_CHECKPOINTS_BEFORE: u8 = 10;
const UPDATE_CHECKPOINT_PUBLISHED: u8 = 11;
const UPDATING_CONFIG: u8 = 12;
const REMOVE_OUTSTANDING_CHECKPOINTS: u8 = 13;

impl GroupUpdate {
    /// Returns the update in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a name or a number does not fit the layout.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_event_stream::group::GroupUpdate;
    ///
    /// let update = GroupUpdate::CreateCheckpoint { checkpoint: "cp1".into() };
    /// let bytes = update.to_bytes()?;
    /// assert_eq!(bytes, b"\0\x09\0\x01\0\0\0\0\x05\0\x03cp1");
    /// assert_eq!(GroupUpdate::from_bytes(&bytes)?, update);
    /// # Ok::<(), pravega_sdk_types::serial::SerialError>(())
    /// ```
    pub fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let mut writer = SerialWriter::new();
        match self {
            Self::Init(init) => writer.versioned_of_type(INIT, 0, &init.revisions()?)?,
            Self::Compact(state) => writer.versioned_of_type(COMPACT, 0, &state.revisions()?)?,
            Self::SegmentCompleted(completion) => {
                writer.versioned_of_type(SEGMENT_COMPLETED, 0, &completion.revisions()?)?;
            }
            Self::UpdateDistanceToTail { reader, lag_ms, read } => {
                let revisions = distance(reader, *lag_ms, read)?;
                writer.versioned_of_type(UPDATE_DISTANCE_TO_TAIL, 0, &revisions)?;
            }
            other => {
                let mut body = SerialWriter::new();
                let kind = other.write_body(&mut body)?;
                writer.versioned_of_type(kind, 0, &[body])?;
            }
        }
        Ok(writer.finish())
    }

    /// Writes the only revision of an update, and returns the type.
    fn write_body(&self, to: &mut SerialWriter) -> Result<u8, SerialError> {
        match self {
            Self::AddReader { reader } => to.utf(reader).map(|()| ADD_READER),
            Self::RemoveReader { reader, offsets } => {
                to.utf(reader)?;
                let count = offsets.len();
                write_offsets(to, count, offsets.iter().map(|(segment, at)| (segment, *at)))?;
                Ok(REMOVE_READER)
            }
            Self::ReleaseSegment(SegmentRelease { reader, segment, offset }) => {
                to.utf(reader)?;
                write_segment(to, segment)?;
                write_offset(to, *offset);
                Ok(RELEASE_SEGMENT)
            }
            Self::AcquireSegment { reader, segment } => {
                to.utf(reader)?;
                write_segment(to, segment)?;
                Ok(ACQUIRE_SEGMENT)
            }
            Self::CheckpointReader { checkpoint, reader, offsets } => {
                to.utf(checkpoint)?;
                to.utf(reader)?;
                let count = offsets.len();
                write_offsets(to, count, offsets.iter().map(|(segment, at)| (segment, *at)))?;
                Ok(CHECKPOINT_READER)
            }
            Self::CreateCheckpoint { checkpoint } => to.utf(checkpoint).map(|()| CREATE_CHECKPOINT),
            Self::ClearCheckpointsBefore { checkpoint } => {
                to.utf(checkpoint).map(|()| CLEAR_CHECKPOINTS_BEFORE)
            }
            Self::UpdateCheckpointPublished { is_published } => {
                write_bool(to, *is_published);
                Ok(UPDATE_CHECKPOINT_PUBLISHED)
            }
            Self::UpdatingConfig { is_updating } => {
                write_bool(to, *is_updating);
                Ok(UPDATING_CONFIG)
            }
            Self::RemoveOutstandingCheckpoints => Ok(REMOVE_OUTSTANDING_CHECKPOINTS),
            // Those with several revisions are written by their own functions.
            Self::Init(_)
            | Self::Compact(_)
            | Self::SegmentCompleted(_)
            | Self::UpdateDistanceToTail { .. } => {
                Err(SerialError::Invalid { what: "type of an update" })
            }
        }
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the bytes are not an update.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let (kind, revisions) = SerialReader::new(bytes).versioned_of_types(VERSIONS)?;
        match kind {
            INIT => Ok(Self::Init(GroupInit::read(&revisions)?)),
            COMPACT => Ok(Self::Compact(Box::new(ReaderGroupState::read(&revisions)?))),
            SEGMENT_COMPLETED => Ok(Self::SegmentCompleted(SegmentCompletion::read(&revisions)?)),
            UPDATE_DISTANCE_TO_TAIL => read_distance(&revisions),
            other => Self::read_body(other, &mut revisions.require(0)?),
        }
    }

    /// Reads the only revision of an update.
    fn read_body(kind: u8, from: &mut SerialReader<'_>) -> Result<Self, SerialError> {
        Ok(match kind {
            ADD_READER => Self::AddReader { reader: read_text(from)? },
            REMOVE_READER => {
                Self::RemoveReader { reader: read_text(from)?, offsets: read_offsets(from)? }
            }
            RELEASE_SEGMENT => Self::ReleaseSegment(SegmentRelease {
                reader: read_text(from)?,
                segment: read_segment(from)?,
                offset: read_offset(from)?,
            }),
            ACQUIRE_SEGMENT => {
                Self::AcquireSegment { reader: read_text(from)?, segment: read_segment(from)? }
            }
            CHECKPOINT_READER => Self::CheckpointReader {
                checkpoint: read_text(from)?,
                reader: read_text(from)?,
                offsets: read_offsets(from)?,
            },
            CREATE_CHECKPOINT => Self::CreateCheckpoint { checkpoint: read_text(from)? },
            CLEAR_CHECKPOINTS_BEFORE => {
                Self::ClearCheckpointsBefore { checkpoint: read_text(from)? }
            }
            UPDATE_CHECKPOINT_PUBLISHED => {
                Self::UpdateCheckpointPublished { is_published: read_bool(from)? }
            }
            UPDATING_CONFIG => Self::UpdatingConfig { is_updating: read_bool(from)? },
            REMOVE_OUTSTANDING_CHECKPOINTS => Self::RemoveOutstandingCheckpoints,
            _ => return Err(SerialError::Invalid { what: "type of an update" }),
        })
    }
}

fn distance(
    reader: &str,
    lag_ms: i64,
    read: &[(GroupSegment, pravega_sdk_types::SegmentOffset)],
) -> Result<[SerialWriter; 2], SerialError> {
    let (mut first, mut second) = (SerialWriter::new(), SerialWriter::new());
    first.utf(reader)?;
    first.i64(lag_ms);
    write_all(&mut second, read.len(), read, |to, (segment, offset)| {
        write_ranged(to, &segment.segment, segment.range)?;
        write_offset(to, *offset);
        Ok(())
    })?;
    Ok([first, second])
}

fn read_distance(revisions: &Revisions<'_>) -> Result<GroupUpdate, SerialError> {
    let mut first = revisions.require(0)?;
    let (reader, lag_ms) = (read_text(&mut first)?, first.i64()?);
    let read = match revisions.get(1) {
        Some(mut second) => {
            second.collection(|from| Ok((read_ranged(from)?, read_offset(from)?)))?
        }
        None => Vec::new(),
    };
    Ok(GroupUpdate::UpdateDistanceToTail { reader, lag_ms, read })
}

impl SegmentCompletion {
    fn revisions(&self) -> Result<[SerialWriter; 2], SerialError> {
        let (mut first, mut second) = (SerialWriter::new(), SerialWriter::new());
        first.utf(&self.reader)?;
        write_segment(&mut first, &self.segment.segment)?;
        write_all(&mut first, self.successors.len(), &self.successors, |to, (segment, ids)| {
            write_segment(to, &segment.segment)?;
            write_ids(to, ids.len(), ids.iter().copied())
        })?;
        let successors = self.successors.iter().map(|(segment, _)| segment);
        let all = [&self.segment].into_iter().chain(successors);
        write_all(&mut second, self.successors.len() + 1, all, |to, segment| {
            write_ranged(to, &segment.segment, segment.range)
        })?;
        Ok([first, second])
    }

    fn read(revisions: &Revisions<'_>) -> Result<Self, SerialError> {
        let mut first = revisions.require(0)?;
        let (reader, segment) = (read_text(&mut first)?, read_segment(&mut first)?);
        let successors = first.collection(|from| Ok((read_segment(from)?, read_ids(from)?)))?;
        let ranges = revisions.get(1).map(|mut second| read_ranges(&mut second)).transpose()?;
        let ranged = |segment| {
            let range = ranges.as_ref().and_then(|ranges| ranges.get(&segment)).copied().flatten();
            GroupSegment { segment, range }
        };
        let successors = successors.into_iter().map(|(segment, ids)| (ranged(segment), ids));
        Ok(Self { reader, successors: successors.collect(), segment: ranged(segment) })
    }
}
