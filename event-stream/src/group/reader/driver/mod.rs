//! Carries out what the machine of a reader decides, and reads its segments. It has no task: its
//! owner polls it.

mod failures;
mod group;
mod lease;
mod lookups;
mod places;
mod state;
mod work;

pub(super) use self::state::{GroupDriver, Step};
