//! The decisions of a table synchronizer: what it knows of the table, what an update sends, and
//! what each reply means for it.

mod batch;
mod copy;
mod update;

pub(crate) use self::{
    batch::{Batch, Reads},
    copy::{Applied, Held, LocalCopy, is_restored},
    update::{Fenced, Receipt, Sent, Step, UpdateMachine, Verdict},
};
