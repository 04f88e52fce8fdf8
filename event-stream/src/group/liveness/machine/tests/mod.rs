//! Leases on a model of the store and the state: single steps, and random orders.

mod interleavings;
mod left_leases;
mod process;
mod table;
mod world;
