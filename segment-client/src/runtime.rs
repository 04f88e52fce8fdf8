//! The runtime handle and the random numbers of drivers.

pub use pravega_sdk_controller_client::HomeRuntime;
use tokio::runtime::Handle;

use crate::{error::NoRuntime, machine::Random};

/// Returns the runtime that the caller runs on. It needs timers, for which tokio cannot be asked.
///
/// # Errors
///
/// [`NoRuntime`] outside a tokio runtime.
pub fn runtime() -> Result<Handle, NoRuntime> {
    Handle::try_current().map_err(|_| NoRuntime)
}

/// Returns the runtime that the caller runs on, for a handle whose timers and tasks stay there.
///
/// # Errors
///
/// [`NoRuntime`] outside a tokio runtime.
pub fn home() -> Result<HomeRuntime, NoRuntime> {
    HomeRuntime::current().ok_or(NoRuntime)
}

/// Makes a generator of random numbers, which repeats itself if it has a seed.
#[must_use]
pub fn rng(seed: Option<u64>) -> fastrand::Rng {
    seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
}

/// Turns a generator into the random bits that machines take.
#[must_use]
pub fn random_bits(mut rng: fastrand::Rng) -> Random {
    Box::new(move || rng.u64(..))
}
