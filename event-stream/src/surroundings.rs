//! What drivers take from around them: the caller's runtime, and chance.

use pravega_sdk_types::WriterName;
use tokio::runtime::Handle;

use crate::{error::WriteError, machine::Random};

/// Nothing here works without timers and tasks; better an error than a panic.
#[derive(Debug, thiserror::Error)]
#[error("there is no tokio runtime here; call it inside one")]
pub(crate) struct NoRuntime;

/// The runtime that the caller runs on.
pub(crate) fn runtime() -> Result<Handle, NoRuntime> {
    Handle::try_current().map_err(|_| NoRuntime)
}

/// Chance, which is repeatable with a seed.
pub(crate) fn chance(seed: Option<u64>) -> fastrand::Rng {
    seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
}

/// Chance as machines take it.
pub(crate) fn random(mut chance: fastrand::Rng) -> Random {
    Box::new(move || chance.u64(..))
}

/// The name by which a writer notes times: the one given, or a random one.
pub(crate) fn writer_name(
    given: Option<&WriterName>,
    chance: &mut fastrand::Rng,
) -> Result<WriterName, WriteError> {
    match given {
        Some(name) => Ok(name.clone()),
        None => {
            let name = uuid::Uuid::from_u128(chance.u128(..)).to_string();
            WriterName::new(name).map_err(WriteError::invalid)
        }
    }
}
