//! The bytes of the checkpoints of a state.

use std::{collections::BTreeMap, sync::Arc};

use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};

use super::{
    super::checkpoints::{CheckpointState, Positions},
    parts::{VERSIONS, read_bool, read_offsets, read_text, write_all, write_bool, write_offsets},
};

impl CheckpointState {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let (mut first, mut second) = (SerialWriter::new(), SerialWriter::new());
        write_all(&mut first, self.order.len(), &self.order, |to, name| to.utf(name))?;
        write_all(&mut first, self.waiting.len(), &self.waiting, |to, (name, readers)| {
            to.utf(name)?;
            write_all(to, readers.len(), readers, |to, reader| to.utf(reader))
        })?;
        write_all(&mut first, self.positions.len(), &self.positions, |to, (name, positions)| {
            to.utf(name)?;
            write_positions(to, positions)
        })?;
        // No positions mean that there is none.
        write_positions(&mut first, self.last.as_deref().unwrap_or(&Positions::new()))?;
        write_bool(&mut second, self.is_last_published);
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[first, second])?;
        Ok(writer.finish())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut first = revisions.require(0)?;
        let order = first.collection(read_text)?;
        let waiting = first.collection(|from| {
            let name = read_text(from)?;
            let readers = from.collection(read_text)?;
            Ok((name, readers.into_iter().collect()))
        })?;
        let positions =
            first.collection(|from| Ok((read_text(from)?, Arc::new(read_positions(from)?))))?;
        let last = Some(read_positions(&mut first)?).filter(|last| !last.is_empty());
        let is_last_published = match revisions.get(1) {
            Some(mut second) => read_bool(&mut second)?,
            // Versions without it had no retention by checkpoints. Java's client takes false.
            None => false,
        };
        let waiting: BTreeMap<Arc<str>, _> = waiting.into_iter().collect();
        let positions = positions.into_iter().collect();
        Ok(Self::new(order, waiting, positions, last.map(Arc::new), is_last_published))
    }
}

fn write_positions(to: &mut SerialWriter, positions: &Positions) -> Result<(), SerialError> {
    let offsets = positions.iter().map(|(segment, offset)| (segment, *offset));
    write_offsets(to, positions.len(), offsets)
}

fn read_positions(from: &mut SerialReader<'_>) -> Result<Positions, SerialError> {
    Ok(read_offsets(from)?.into_iter().collect())
}
