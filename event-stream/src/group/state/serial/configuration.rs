//! The bytes of a configuration.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use pravega_sdk_types::{
    GroupRetention, GroupStream, ReaderGroupConfiguration, ScopedStream, StreamCut,
    serial::{SerialError, SerialReader, SerialWriter},
};
use uuid::Uuid;

use super::{
    super::configuration::StoredConfiguration,
    parts::{VERSIONS, read_array, write_all, write_array},
};

/// The interval of checkpoints that are never created.
const NEVER: i64 = -1;
/// The generation of a group that the controller does not know.
const NO_GENERATION: i64 = -1;
/// What Java's client takes if the bytes are of a version without the field.
const MAX_OUTSTANDING: i32 = 3;

const fn invalid(what: &'static str) -> SerialError {
    SerialError::Invalid { what }
}

impl StoredConfiguration {
    /// Returns the configuration in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a number does not fit the layout.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let configuration = self.configuration();
        let mut first = SerialWriter::new();
        self.write_first(&mut first)?;
        // The second revision repeats the first.
        let mut second = first.clone();
        let outstanding = configuration.max_outstanding_checkpoints().get();
        second.i32(i32::try_from(outstanding).map_err(|_| SerialError::OutOfRange {
            what: "number of checkpoints",
            value: i64::from(outstanding),
        })?);
        let mut third = SerialWriter::new();
        third.compact_int(match configuration.retention() {
            GroupRetention::None => 0,
            GroupRetention::ManualReleaseAtUserStreamCut => 1,
            GroupRetention::AutomaticReleaseAtLastCheckpoint => 2,
        })?;
        third.i64(configuration.generation().unwrap_or(NO_GENERATION));
        third.uuid(configuration.id());
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[first, second, third])?;
        Ok(writer.finish())
    }

    fn write_first(&self, to: &mut SerialWriter) -> Result<(), SerialError> {
        let configuration = self.configuration();
        let checkpoints = configuration.automatic_checkpoint_interval();
        to.i64(checkpoints.map_or(Ok(NEVER), millis)?);
        to.i64(millis(configuration.refresh_interval())?);
        let streams = configuration.streams();
        write_all(to, streams.len(), streams, |to, entry| {
            write_cut(to, &entry.stream, &entry.from)
        })?;
        let ends: BTreeMap<_, _> = streams.iter().map(|entry| (&entry.stream, &entry.to)).collect();
        write_all(to, self.ends.len(), &self.ends, |to, stream| {
            write_cut(to, stream, ends.get(stream).copied().unwrap_or(&StreamCut::Unbounded))
        })
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the bytes are not a configuration, or Java's client would not take it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let (mut body, outstanding) = match revisions.get(1) {
            Some(mut second) => {
                let first = second.clone();
                read_first(&mut second)?;
                (first, second.i32()?)
            }
            None => (revisions.require(0)?, MAX_OUTSTANDING),
        };
        let (checkpoints, refresh, streams, ends) = read_first(&mut body)?;
        let outstanding = u32::try_from(outstanding).ok().and_then(NonZeroU32::new);
        let configuration = ReaderGroupConfiguration::bounded(streams)
            .map_err(|_| invalid("configuration of a reader group"))?
            .with_refresh_interval(Duration::from_millis(u64::try_from(refresh).unwrap_or(0)))
            .with_automatic_checkpoint_interval(
                u64::try_from(checkpoints).ok().filter(|ms| *ms > 0).map(Duration::from_millis),
            )
            .with_max_outstanding_checkpoints(outstanding.ok_or(invalid("number of checkpoints"))?);
        let (retention, generation, id) = match revisions.get(2) {
            None => (GroupRetention::None, NO_GENERATION, Uuid::nil()),
            Some(mut third) => (read_retention(&mut third)?, third.i64()?, third.uuid()?),
        };
        let configuration = configuration
            .with_retention(retention)
            .with_identity(id, (generation >= 0).then_some(generation));
        Ok(Self::with_ends(configuration, ends))
    }
}

type First = (i64, i64, Vec<GroupStream>, Vec<ScopedStream>);

fn read_first(from: &mut SerialReader<'_>) -> Result<First, SerialError> {
    let (checkpoints, refresh) = (from.i64()?, from.i64()?);
    let starts = from.collection(read_cut)?;
    let listed = from.collection(read_cut)?;
    let mut ends: BTreeMap<ScopedStream, StreamCut> = listed.iter().cloned().collect();
    let streams = starts.into_iter().map(|(stream, from)| {
        let to = ends.remove(&stream).unwrap_or(StreamCut::Unbounded);
        GroupStream { stream, from, to }
    });
    let streams: Vec<GroupStream> = streams.collect();
    // Java's client takes ends of other streams if they mean nothing.
    if ends.values().any(|cut| *cut != StreamCut::Unbounded) {
        return Err(invalid("end of a stream that the group does not read"));
    }
    let read = listed.into_iter().map(|(stream, _)| stream);
    let mut listed = Vec::new();
    let mut left: std::collections::BTreeSet<&ScopedStream> =
        streams.iter().map(|entry| &entry.stream).collect();
    for stream in read {
        if left.remove(&stream) {
            listed.push(stream);
        }
    }
    Ok((checkpoints, refresh, streams, listed))
}

fn read_cut(from: &mut SerialReader<'_>) -> Result<(ScopedStream, StreamCut), SerialError> {
    let stream = ScopedStream::internal(&from.utf()?).map_err(|_| invalid("stream name"))?;
    let cut = StreamCut::from_bytes(read_array(from, "stream cut")?)
        .map_err(|_| invalid("stream cut"))?;
    Ok((stream, cut))
}

fn write_cut(
    to: &mut SerialWriter,
    stream: &ScopedStream,
    cut: &StreamCut,
) -> Result<(), SerialError> {
    to.utf(&stream.to_string())?;
    write_array(to, &cut.to_bytes().map_err(|_| invalid("stream cut"))?)
}

fn read_retention(from: &mut SerialReader<'_>) -> Result<GroupRetention, SerialError> {
    match from.compact_int()? {
        0 => Ok(GroupRetention::None),
        1 => Ok(GroupRetention::ManualReleaseAtUserStreamCut),
        2 => Ok(GroupRetention::AutomaticReleaseAtLastCheckpoint),
        _ => Err(invalid("retention of a reader group")),
    }
}

fn millis(time: Duration) -> Result<i64, SerialError> {
    i64::try_from(time.as_millis())
        .map_err(|_| SerialError::OutOfRange { what: "interval", value: i64::MAX })
}
