//! Bytes as they are.

use bytes::Bytes;

use crate::traits::{Codec, CodecError, Encode};

/// Values that are bytes already.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{Codec, Encode, Raw};
///
/// let bytes = Raw.encode(vec![1, 2, 3])?;
/// assert_eq!(Raw.decode(bytes)?, vec![1, 2, 3]);
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Event = Bytes;

    fn decode(&self, bytes: Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes)
    }
}

impl<E: Into<Bytes>> Encode<E> for Raw {
    fn encode(&self, event: E) -> Result<Bytes, CodecError> {
        Ok(event.into())
    }
}
