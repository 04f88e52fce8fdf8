//! The names that most programs use.
//!
//! ```
//! use pravega_sdk::prelude::*;
//! ```

pub use crate::{
    BatchClient, ByteReader, ByteWriter, ClientConfig, ClientFactory, EventWriter, ReadEvent,
    ReadFrom, ReadUntil, ReaderConfig, StreamReader, Transaction, TransactionConfig,
    TransactionalWriter, WriterConfig,
    types::{
        Classified, ErrorKind, Outcome, ScalingPolicy, Scope, ScopedStream, StreamConfiguration,
        StreamCut,
    },
};
