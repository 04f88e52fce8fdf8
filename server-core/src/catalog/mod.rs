//! The controller: scopes with their streams, tables and groups.
//!
//! Requests and replies are the controller's own messages. Each call is a method of [`Catalog`],
//! with a [`Step`](crate::store::Step) lent to it: the segments, the journal, and the moment.
//!
//! ```text
//! scopes streams queries scaling transactions groups tables time retention describe    calls
//!    └──────┴───────┴───────┴─────────┬──────────┴──────┴─────┴──────┴────────┘
//!                        persistence  │  segments         the journal's entries, the store
//!                                     │
//!            state  stream  cuts  transaction  rates  names      one stream, one transaction
//!                           cut  skyline                        offsets, epochs by key
//! ```

mod cut;
mod cuts;
mod describe;
mod error;
mod groups;
mod message;
mod names;
mod persistence;
mod queries;
mod rates;
mod retention;
mod scaling;
mod scopes;
mod segments;
mod skyline;
mod state;
mod stream;
mod streams;
mod tables;
mod time;
mod transaction;
mod transactions;

pub use self::{
    describe::{
        GroupDescription, GroupList, ScalingEvent, ScopeDescription, ScopeList, StreamDescription,
        StreamFilter, StreamList,
    },
    error::{CallError, CallResult},
    persistence::RestoreError,
    rates::Intervals,
    state::Catalog,
    transaction::id_of,
};
