//! The name by which a writer notes times.

use pravega_sdk_types::WriterName;

use crate::error::WriteError;

/// Returns the name given, or a random one.
///
/// # Errors
///
/// [`WriteError`] if the random name is no valid one, which does not happen.
pub fn writer_name(
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
