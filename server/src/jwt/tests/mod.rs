//! Keys that are fetched from servers that answer, lie, hang and end.

mod fetching;
mod rotation;
