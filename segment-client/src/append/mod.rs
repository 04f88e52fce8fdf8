//! The append engine: what is written to segments is stored once and in order, across reconnects,
//! moves and scaling.
//!
//! ```text
//! Handle ──▶ Command (mpsc) ──▶ driver ◀──▶ StoreStream      one task for all connections
//!   ▲                             │
//!  Ack ◀── tickets ── writer machine ── segment machines     what is sent where, and stored
//! ```

mod ack;
mod capacity;
mod config;
mod driver;
mod expiry;
mod handle;
mod line;
mod name;
mod outlive;
mod permits;
mod segment;
mod side_by_side;
mod stream;
mod when_full;

pub use self::{
    ack::Ack,
    capacity::Capacity,
    config::{Config, TimeNotes},
    handle::{CloseReport, Handle},
    name::writer_name,
    segment::{
        appended::Appended,
        item::{Key, Payload, Pinned, Write},
        tail::SegmentTail,
    },
    stream::machine::Target,
    when_full::WhenFull,
};
