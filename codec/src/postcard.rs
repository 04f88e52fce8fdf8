//! Postcard, a compact binary form for serde.

use std::{borrow::Borrow, marker::PhantomData};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::traits::{Codec, CodecError, Encode};

/// Values in the Postcard format, by serde: compact, and without names of fields.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{Codec, Encode, Postcard};
///
/// let codec = Postcard::<(u32, u8)>::new();
/// let bytes = codec.encode(&(300, 7))?;
/// assert_eq!(codec.decode(bytes)?, (300, 7));
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Postcard<T>(PhantomData<fn() -> T>);

impl<T> Postcard<T> {
    /// The codec.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Postcard<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DeserializeOwned + 'static> Codec for Postcard<T> {
    type Event = T;

    fn decode(&self, bytes: Bytes) -> Result<T, CodecError> {
        read(&bytes).map_err(|error| CodecError::new("Postcard", error))
    }
}

impl<T: DeserializeOwned + Serialize + 'static, E: Borrow<T>> Encode<E> for Postcard<T> {
    fn encode(&self, event: E) -> Result<Bytes, CodecError> {
        postcard::to_allocvec(event.borrow())
            .map(Bytes::from)
            .map_err(|error| CodecError::new("Postcard", error))
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (event, []) => Ok(event),
        // What follows an event is no event of this type.
        (_, _) => Err(postcard::Error::DeserializeBadEncoding),
    }
}
