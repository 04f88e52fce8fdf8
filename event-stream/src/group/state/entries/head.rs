//! The entry that every change writes, except reports.

use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};

use super::{
    super::serial::parts::{VERSIONS, read_bool, write_bool},
    key::Incarnation,
};

/// The entry that every change writes, except reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) incarnation: Incarnation,
    /// The number of changes. It only has to be another one after each.
    pub(super) changes: u64,
    pub(super) is_updating_configuration: bool,
}

impl Head {
    /// Returns the head of a state that begins again.
    pub(super) fn begun_again(&self) -> Self {
        Self { incarnation: self.incarnation.wrapping_add(1), ..self.clone() }
    }

    /// Returns the head after a change.
    pub(super) fn changed(&self, is_updating_configuration: bool) -> Self {
        let changes = self.changes.wrapping_add(1);
        Self { incarnation: self.incarnation, changes, is_updating_configuration }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let mut to = SerialWriter::new();
        to.bytes(&self.incarnation.to_be_bytes());
        to.bytes(&self.changes.to_be_bytes());
        write_bool(&mut to, self.is_updating_configuration);
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[to])?;
        Ok(writer.finish())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut from = revisions.require(0)?;
        Ok(Self {
            incarnation: read_number(&mut from)?,
            changes: read_number(&mut from)?,
            is_updating_configuration: read_bool(&mut from)?,
        })
    }
}

fn read_number(from: &mut SerialReader<'_>) -> Result<u64, SerialError> {
    let bytes = from.bytes("number", 8)?;
    let bytes = bytes.try_into().map_err(|_| SerialError::Invalid { what: "number" })?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_another_client_has_used_up_begin_again() {
        let last = Head { incarnation: u64::MAX, changes: u64::MAX, ..Head::default() };
        let read = Head::from_bytes(&last.to_bytes().unwrap()).unwrap();
        assert_eq!(read, last);
        let next = read.begun_again().changed(true);
        let expected = Head { incarnation: 0, changes: 0, is_updating_configuration: true };
        assert_eq!(next, expected);
    }
}
