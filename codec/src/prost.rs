//! Protocol buffers.

use std::{borrow::Borrow, marker::PhantomData};

use bytes::Bytes;
use prost::Message;

use crate::traits::{Codec, CodecError, Encode};

/// Values that are protocol buffers, by prost.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{Codec, Encode, Prost};
///
/// let codec = Prost::<String>::new();
/// let bytes = codec.encode(&"hello".to_owned())?;
/// assert_eq!(codec.decode(bytes)?, "hello".to_owned());
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Prost<T>(PhantomData<fn() -> T>);

impl<T> Prost<T> {
    /// The codec.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Prost<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Message + Default + 'static> Codec for Prost<T> {
    type Event = T;

    fn decode(&self, bytes: Bytes) -> Result<T, CodecError> {
        T::decode(bytes).map_err(|error| CodecError::new("a protocol buffer", error))
    }
}

impl<T: Message + Default + 'static, E: Borrow<T>> Encode<E> for Prost<T> {
    fn encode(&self, event: E) -> Result<Bytes, CodecError> {
        Ok(event.borrow().encode_to_vec().into())
    }
}
