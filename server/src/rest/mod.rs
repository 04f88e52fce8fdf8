//! The controller's REST service: a thin surface over the calls of the catalog, with the paths,
//! codes and JSON of Pravega's own; `/` and `/metrics` are of this server only.
//!
//! ```text
//! connection     one request of one client, with a deadline for each part of it
//!    │  socket   the bytes: keeps the head, and ends writing that makes no progress
//! routes         which path is which call
//!    │  screen   what is refused before any call: foreign hosts, lengths of two kinds
//! scopes  streams  scaling  groups  health  index  metrics       the calls
//!    │  call     accounts, the catalog behind its lock, the wait for the disk
//!    │  body     JSON of a request        listing   JSON of long lists, slice by slice
//! policy         policies of a stream as JSON     online   the readers of a group
//! ```
//!
//! A connection carries one request, so bytes that one side takes for the rest of a request and the
//! other for a second one mean nothing. No JSON is made under the lock.

mod body;
mod call;
mod connection;
mod groups;
mod health;
mod index;
mod limits;
mod listing;
mod metrics;
mod online;
mod policy;
mod routes;
mod scaling;
mod scopes;
mod screen;
mod socket;
mod streams;

pub(crate) use connection::{Service, serve};
