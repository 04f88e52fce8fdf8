//! What is decided about tokens: when one is fetched, and how.
//!
//! Nothing here reads a clock, makes a random number or does I/O: the driver passes all of that in.

mod exchange;
mod judgement;
mod life;
mod moment;

pub(crate) use self::{
    exchange::{Exchange, Step},
    life::{Demand, Fetching, Life, Token},
    moment::Moment,
};
