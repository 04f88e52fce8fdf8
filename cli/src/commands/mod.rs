//! One file per command.

pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod bytes;
pub(crate) mod completions;
pub(crate) mod context;
pub(crate) mod cut;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
mod feed;
mod folder;
pub(crate) mod group;
mod input;
pub(crate) mod man;
mod position;
mod progress;
pub(crate) mod read;
mod report;
mod salvage;
pub(crate) mod scope;
pub(crate) mod segment;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod txn;
pub(crate) mod wire;
pub(crate) mod write;
