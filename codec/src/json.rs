//! JSON.

use std::{borrow::Borrow, marker::PhantomData};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::traits::{Codec, CodecError, Encode};

/// Values that are JSON, by serde.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{Codec, Encode, Json};
///
/// let codec = Json::<Vec<u32>>::new();
/// let bytes = codec.encode(&vec![1, 2])?;
/// assert_eq!(codec.decode(bytes)?, vec![1, 2]);
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    /// The codec.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DeserializeOwned + 'static> Codec for Json<T> {
    type Event = T;

    fn decode(&self, bytes: Bytes) -> Result<T, CodecError> {
        serde_json::from_slice(&bytes).map_err(|error| CodecError::new("JSON", error))
    }
}

impl<T: DeserializeOwned + Serialize + 'static, E: Borrow<T>> Encode<E> for Json<T> {
    fn encode(&self, event: E) -> Result<Bytes, CodecError> {
        serde_json::to_vec(event.borrow())
            .map(Bytes::from)
            .map_err(|error| CodecError::new("JSON", error))
    }
}
