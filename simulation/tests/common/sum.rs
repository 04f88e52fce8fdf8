//! A shared state for tests: a sum, to which each update adds.

use std::error::Error;

use bytes::Bytes;
use pravega_sdk_table_synchronizer::{Revision, SharedState, StateSerializer};

type Failed = Box<dyn Error + Send + Sync>;

/// The sum.
#[derive(Debug)]
pub(crate) struct Sum(pub(crate) i64);

/// The bytes of a [`Sum`].
pub(crate) struct Numbers;

impl SharedState for Sum {
    type Initial = i64;
    type Update = i64;

    fn create(sum: i64, _: &Revision) -> Self {
        Self(sum)
    }

    fn apply(&mut self, add: i64, _: &Revision) -> Result<(), Failed> {
        self.0 += add;
        Ok(())
    }
}

impl StateSerializer<Sum> for Numbers {
    fn encode_initial(&self, sum: &i64) -> Result<Bytes, Failed> {
        Ok(Bytes::copy_from_slice(&sum.to_be_bytes()))
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<i64, Failed> {
        let (sum, _) = bytes.split_first_chunk().ok_or("fewer than 8 bytes")?;
        Ok(i64::from_be_bytes(*sum))
    }

    fn encode_update(&self, add: &i64) -> Result<Bytes, Failed> {
        self.encode_initial(add)
    }

    fn decode_update(&self, bytes: Bytes) -> Result<i64, Failed> {
        self.decode_initial(bytes)
    }
}
