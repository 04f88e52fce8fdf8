//! Tables that many clients agree on: each has a copy, and changes it by functions that run again
//! if another client was faster.

mod config;
mod driver;
mod layout;
mod machine;
mod outer_maps;
mod table_synchronizer;
mod view;

pub(crate) use self::driver::MAX_CHANGES;
pub use self::{
    config::SynchronizerConfig,
    outer_maps::OuterMapEntry,
    table_synchronizer::{TableSynchronizer, Update},
    view::{TableChanges, TableMoment, TableState},
};
