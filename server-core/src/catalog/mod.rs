//! The controller: scopes with their streams, tables and groups.
//!
//! Requests and replies are the controller's own messages. Each call is a method of [`Catalog`],
//! with a [`Step`](crate::store::Step) lent to it: the segments, the journal, and the moment.
//!
//! ```text
//! scopes streams queries slices scaling transactions groups tables time leaving      calls
//!    └──────┴───────┴──────┴──────┴──────┬──────┴──────┴─────┴──────┘
//!                          watermarks │ retention pruning      work in slices
//!                     answers  plan   │  segments      changes, carried out as a whole or not
//!                                     │
//!  rounds entries persistence   apply  weight  change     entries of the journal, what each does
//!                                     │
//!            state  stream  history  cuts  transaction  rates  names
//!                   older       key  cut  skyline      one stream, offsets, epochs by key
//!                   logged encoded folded      changes for a log, and the catalog from its values
//! ```

mod answers;
mod apply;
mod change;
mod cut;
mod cuts;
mod encoded;
mod entries;
mod error;
mod folded;
mod groups;
mod history;
mod key;
mod leaving;
mod logged;
mod message;
mod names;
mod older;
mod persistence;
mod plan;
mod pruning;
mod queries;
mod rates;
mod retention;
mod rounds;
mod scaling;
mod scopes;
mod segments;
mod skyline;
mod slices;
mod state;
mod stream;
mod streams;
mod tables;
mod time;
mod transaction;
mod transactions;
mod watermarks;
mod weight;

#[cfg(test)]
pub(crate) use self::persistence::older_entries;
pub use self::{
    error::{CallError, CallResult},
    persistence::RestoreError,
    rates::Intervals,
    rounds::Place,
    slices::{EpochChange, EpochSegment, EpochStart, Slice, StreamFilter},
    state::Catalog,
    transaction::id_of,
};
pub(crate) use self::{
    folded::FoldedCatalog, retention::RetentionRound, watermarks::WatermarkRound,
};
