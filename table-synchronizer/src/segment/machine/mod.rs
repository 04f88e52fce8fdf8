//! The decisions about a table segment: what fits a request, what a lost reply means, and where an
//! iteration continues.

mod change;
mod deltas;
mod limits;
mod pages;

pub use self::{
    change::Values,
    limits::{
        KeyLength, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_KEY_LEN, MAX_VALUE_LEN, TableKind,
        put_batches,
    },
};
pub(crate) use self::{
    change::{ChangeMachine, Effect, Failed, Item, Verdict},
    deltas::{DeltaMachine, DeltaPage},
    limits::{MAX_READ_KEYS, check_changes, check_keys},
    pages::{PageMachine, PageRequest, next_key},
};
