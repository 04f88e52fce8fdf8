//! The event reader and batch reads against a real server.

mod batch;
mod cuts;
mod losses;
mod order;
mod places;
mod support;
