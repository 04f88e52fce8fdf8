//! The bytes of what a group begins with.

use pravega_sdk_types::serial::{Revisions, SerialError, SerialWriter};

use super::{
    super::{configuration::StoredConfiguration, init::GroupInit, segment_offsets::GroupSegment},
    parts::{
        read_array, read_bool, read_ends, read_offset, read_offsets, read_ranged, write_all,
        write_array, write_bool, write_ends, write_offset, write_offsets, write_ranged,
    },
};

impl GroupInit {
    pub(super) fn revisions(&self) -> Result<[SerialWriter; 3], SerialError> {
        let (mut first, mut second, mut third) =
            (SerialWriter::new(), SerialWriter::new(), SerialWriter::new());
        write_array(&mut first, &self.configuration.to_bytes()?)?;
        let offsets = self.segments.iter().map(|(segment, offset)| (&segment.segment, *offset));
        write_offsets(&mut first, self.segments.len(), offsets)?;
        let ends = self.ends.iter().map(|(segment, end)| (segment, *end));
        write_ends(&mut first, self.ends.len(), ends)?;
        write_all(&mut second, self.segments.len(), &self.segments, |to, (segment, offset)| {
            write_ranged(to, &segment.segment, segment.range)?;
            write_offset(to, *offset);
            Ok(())
        })?;
        write_bool(&mut third, self.is_updating_configuration);
        Ok([first, second, third])
    }

    pub(super) fn read(revisions: &Revisions<'_>) -> Result<Self, SerialError> {
        let mut first = revisions.require(0)?;
        let configuration = StoredConfiguration::from_bytes(read_array(
            &mut first,
            "configuration of a reader group",
        )?)?;
        let without_ranges = read_offsets(&mut first)?;
        let ends = read_ends(&mut first)?;
        let segments = match revisions.get(1) {
            Some(mut second) => {
                second.collection(|from| Ok((read_ranged(from)?, read_offset(from)?)))?
            }
            None => {
                let unknown = |(segment, offset)| (GroupSegment::from(segment), offset);
                without_ranges.into_iter().map(unknown).collect()
            }
        };
        let is_updating_configuration = match revisions.get(2) {
            Some(mut third) => read_bool(&mut third)?,
            None => false,
        };
        Ok(Self { configuration, segments, ends, is_updating_configuration })
    }
}
