//! Decides what the entries of a stream mean for the state, where they are read, and how a change
//! goes on.

mod change;
mod fetch;
mod replica;

pub(crate) use self::{
    change::{ChangeMachine, Effect as ChangeEffect, Place, Verdict},
    fetch::{Effect as FetchEffect, FetchMachine},
    replica::Replica,
};
