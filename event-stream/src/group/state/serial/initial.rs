//! The bytes of an initial state.

use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};

use super::{
    super::{group_state::ReaderGroupState, init::GroupInit, update::GroupInitial},
    parts::VERSIONS,
};

/// The types of what replaces a state, which are types of updates too.
pub(super) const INIT: u8 = 0;
pub(super) const COMPACT: u8 = 1;

impl GroupInitial {
    /// Returns the initial state in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a name or a number does not fit the layout.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SerialError> {
        let (kind, revisions) = match self {
            Self::Init(init) => (INIT, init.revisions()?),
            Self::Compact(state) => (COMPACT, state.revisions()?),
        };
        let mut writer = SerialWriter::new();
        writer.versioned_of_type(kind, 0, &revisions)?;
        Ok(writer.finish())
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client. Other bytes may follow, which
    /// mean nothing: Java's client adds zero bytes.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if the bytes do not begin with an initial state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let (kind, revisions) = SerialReader::new(bytes).versioned_of_types(VERSIONS)?;
        match kind {
            INIT => Ok(Self::Init(GroupInit::read(&revisions)?)),
            COMPACT => Ok(Self::Compact(Box::new(ReaderGroupState::read(&revisions)?))),
            _ => Err(SerialError::Invalid { what: "type of an initial state" }),
        }
    }
}
