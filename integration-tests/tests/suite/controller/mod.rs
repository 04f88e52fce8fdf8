//! Every call of the controller against a real one.

mod discovery;
mod groups;
mod segments;
mod streams;
mod support;
mod tables;
mod transactions;
