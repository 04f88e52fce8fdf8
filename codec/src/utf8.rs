//! Text.

use bytes::Bytes;

use crate::traits::{Codec, CodecError, Encode};

/// Values that are text in UTF-8.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{Codec, Encode, Utf8};
///
/// let bytes = Utf8.encode("hello")?;
/// assert_eq!(Utf8.decode(bytes)?, "hello");
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Utf8;

impl Codec for Utf8 {
    type Event = String;

    fn decode(&self, bytes: Bytes) -> Result<String, CodecError> {
        String::from_utf8(bytes.into()).map_err(|error| CodecError::new("UTF-8", error))
    }
}

impl<E: Into<String>> Encode<E> for Utf8 {
    fn encode(&self, event: E) -> Result<Bytes, CodecError> {
        Ok(event.into().into())
    }
}
