//! The mark in the stream of a group whose state is in a table.
//!
//! It is an initial state as Java's client writes them, up to the name of its only segment, which
//! is none: `Integer.parseInt` refuses it with a message that has the name in it. Java's client
//! makes an initial state only where there is no entry, so the first entry says where the state is.

use bytes::Bytes;
use pravega_sdk_types::{
    SegmentId,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::super::state::StoredConfiguration;

/// What Java's client takes for the name of a segment. The error that it throws says `For input
/// string: "…"`, with the part after the last slash.
const REFUSAL: &str = "group/state/the state of this reader group is kept in a table, which only \
                       readers of the Rust SDK can join";
/// The type of an initial state.
const INIT: u8 = 0;
const VERSIONS: &[u8] = &[0];
/// The revision in which the mark is. Java's client has three, and fails in the first.
const REVISION: u8 = 3;
const MAGIC: &[u8] = b"pravega-sdk: table";

/// That the state of a group is in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableMark {
    /// The segment of the table.
    pub(super) segment: SegmentId,
    /// With which the group began. It means nothing here; Java's client reads it first.
    pub(super) configuration: StoredConfiguration,
}

impl TableMark {
    pub(super) fn to_bytes(&self) -> Result<Bytes, SerialError> {
        let configuration = self.configuration.to_bytes()?;
        let (mut first, mut mark) = (SerialWriter::new(), SerialWriter::new());
        first.count(configuration.len())?;
        first.bytes(&configuration);
        first.count(1)?;
        first.utf(REFUSAL)?;
        first.i64(0);
        first.count(0)?;
        mark.bytes(MAGIC);
        mark.i64(self.segment.into());
        let mut writer = SerialWriter::new();
        let none = SerialWriter::new();
        writer.versioned_of_type(INIT, 0, &[first, none.clone(), none, mark])?;
        Ok(writer.finish().into())
    }

    /// Reads a mark; `None` if the bytes are another initial state.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Option<Self>, SerialError> {
        let (kind, revisions) = SerialReader::new(bytes).versioned_of_types(VERSIONS)?;
        let Some(mut mark) = revisions.get(REVISION).filter(|_| kind == INIT) else {
            return Ok(None);
        };
        if mark.remaining() < MAGIC.len() || mark.bytes("mark", MAGIC.len())? != MAGIC {
            return Ok(None);
        }
        let segment = SegmentId::from(mark.i64()?);
        let mut first = revisions.require(0)?;
        let len = first.compact_int()?;
        let len = usize::try_from(len).map_err(|_| SerialError::Invalid { what: "length" })?;
        let configuration = StoredConfiguration::from_bytes(first.bytes("configuration", len)?)?;
        Ok(Some(Self { segment, configuration }))
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ReaderGroupConfiguration;

    use super::{
        super::super::state::{GroupInit, GroupInitial},
        *,
    };

    fn configuration() -> ReaderGroupConfiguration {
        ReaderGroupConfiguration::new(["s/t".parse().unwrap()]).unwrap()
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_state_is_none() {
        let mark = TableMark { segment: 7.into(), configuration: configuration().into() };
        let bytes = mark.to_bytes().unwrap();
        assert_eq!(TableMark::from_bytes(&bytes).unwrap(), Some(mark));
        // As a client before tables reads it.
        assert!(GroupInitial::from_bytes(&bytes).is_err());
        let segment: pravega_sdk_types::ScopedSegment = "s/t/0.#epoch.0".parse().unwrap();
        let offset = pravega_sdk_types::Offset(0).into();
        let init = GroupInit::new(configuration(), [(segment.into(), offset)]);
        let state = GroupInitial::Init(init).to_bytes().unwrap();
        assert_eq!(TableMark::from_bytes(&state).unwrap(), None);
    }

    #[test]
    fn javas_client_refuses_the_name_of_the_segment_by_its_last_part() {
        // It splits the name at slashes and parses the third part, up to `.#epoch.`, as a number.
        let parts: Vec<&str> = REFUSAL.split('/').collect();
        assert_eq!(parts.len(), 3, "{parts:?}");
        assert!(parts[2].starts_with("the state of this reader group is kept in a table"));
        assert!(!REFUSAL.contains('#'));
    }
}
