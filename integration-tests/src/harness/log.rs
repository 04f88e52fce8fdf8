//! A shared state for tests: the lines that all clients have appended, in their order.
//!
//! ```text
//! initial state   count i32 | (length i32 | line) ...      also as Java's Peer writes it
//! update          line
//! ```

use std::error::Error;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use pravega_sdk_client_factory::{ClientFactory, event_stream::SegmentContext};
use pravega_sdk_table_synchronizer::{
    Revision, SharedState, StateConfig, StateSerializer, StateSynchronizer,
};
use pravega_sdk_types::ScopedStream;

type Failed = Box<dyn Error + Send + Sync>;

/// The lines. One that is `refused` fits no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log(pub Vec<String>);

impl SharedState for Log {
    type Initial = Vec<String>;
    type Update = String;

    fn create(lines: Vec<String>, _: &Revision) -> Self {
        Self(lines)
    }

    fn apply(&mut self, line: String, _: &Revision) -> Result<(), Failed> {
        if line == "refused" {
            return Err("no log has this line".into());
        }
        self.0.push(line);
        Ok(())
    }
}

/// The bytes of a [`Log`].
#[derive(Debug, Clone, Copy)]
pub struct Lines;

impl StateSerializer<Log> for Lines {
    fn encode_initial(&self, lines: &Vec<String>) -> Result<Bytes, Failed> {
        let mut bytes = BytesMut::new();
        bytes.put_i32(i32::try_from(lines.len())?);
        for line in lines {
            bytes.put_i32(i32::try_from(line.len())?);
            bytes.put_slice(line.as_bytes());
        }
        Ok(bytes.freeze())
    }

    fn decode_initial(&self, mut bytes: Bytes) -> Result<Vec<String>, Failed> {
        let count = bytes.try_get_i32()?;
        let mut lines = Vec::new();
        for _ in 0..count {
            let len = usize::try_from(bytes.try_get_i32()?)?;
            let line = bytes.get(..len).ok_or("a line is cut off")?;
            lines.push(String::from_utf8(line.to_vec())?);
            bytes.advance(len);
        }
        Ok(lines)
    }

    fn encode_update(&self, line: &String) -> Result<Bytes, Failed> {
        Ok(Bytes::copy_from_slice(line.as_bytes()))
    }

    fn decode_update(&self, bytes: Bytes) -> Result<String, Failed> {
        Ok(String::from_utf8(bytes.to_vec())?)
    }
}

/// A client of a log.
pub type LogSynchronizer = StateSynchronizer<Log, Lines>;

/// Opens a client of the log in a stream.
pub async fn open_log(factory: &ClientFactory, stream: &ScopedStream) -> LogSynchronizer {
    open_log_with(factory.segment_context(), stream, StateConfig::default()).await
}

/// Opens a client of the log in a stream, with settings.
pub async fn open_log_with(
    context: SegmentContext,
    stream: &ScopedStream,
    config: StateConfig,
) -> LogSynchronizer {
    LogSynchronizer::open(context, stream, Lines, config).await.unwrap()
}

/// Returns the lines that a client has.
pub fn lines_of(log: &LogSynchronizer) -> &[String] {
    &log.state().unwrap().0
}

/// Appends a line.
pub async fn append(log: &mut LogSynchronizer, line: &str) {
    log.update(|_, lines| lines.push(line.to_owned())).await.unwrap();
}
