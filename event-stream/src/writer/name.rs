//! The name by which a writer notes times.

use pravega_sdk_segment_client::error::WriteError;
use pravega_sdk_types::WriterName;

/// Returns the name given, or a random one.
pub(crate) fn writer_name(
    given: Option<&WriterName>,
    rng: &mut fastrand::Rng,
) -> Result<WriterName, WriteError> {
    match given {
        Some(name) => Ok(name.clone()),
        None => {
            let name = uuid::Uuid::from_u128(rng.u128(..)).to_string();
            WriterName::new(name).map_err(WriteError::invalid)
        }
    }
}
