//! Locks that are used on after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. No change under the locks of this crate is half done after a panic, so a poisoned
/// one is used on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
