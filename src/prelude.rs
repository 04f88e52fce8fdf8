//! The names that most programs use.
//!
//! ```
//! use pravega_sdk::prelude::*;
//! ```

pub use crate::{
    BatchClient, ByteReader, ByteWriter, ClientConfig, ClientFactory, EventReader, EventWriter,
    ReadEvent, ReadUntil, ReaderConfig, Transaction, TransactionConfig, TransactionalWriter,
    WriterConfig,
    types::{
        Classified, ErrorKind, Outcome, ScalingPolicy, Scope, ScopedStream, StreamConfiguration,
        StreamCut, StreamPosition,
    },
};
