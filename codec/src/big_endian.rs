//! Numbers in a fixed number of bytes, in their order.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::traits::{Codec, CodecError, Encode};

/// Numbers without a sign, as big-endian bytes: all have one length, and their bytes have their
/// order. So they are keys of tables whose keys have one length, such as
/// [`KeyValueTable`](https://docs.rs/pravega-sdk-table-synchronizer).
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::{BigEndian, Codec, Encode};
///
/// let codec = BigEndian::<u32>::new();
/// let bytes = codec.encode(300)?;
/// assert_eq!(bytes, [0, 0, 1, 44][..]);
/// assert_eq!(codec.decode(bytes)?, 300);
/// # Ok::<(), pravega_sdk_codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BigEndian<T>(PhantomData<fn() -> T>);

impl<T> BigEndian<T> {
    /// The codec.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for BigEndian<T> {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Codec for BigEndian<$number> {
            type Event = $number;

            fn decode(&self, bytes: Bytes) -> Result<$number, CodecError> {
                let bytes = bytes.as_ref().try_into();
                let wanted = concat!("the bytes of a ", stringify!($number));
                let error = |error| CodecError::new(wanted, error);
                bytes.map(<$number>::from_be_bytes).map_err(error)
            }
        }

        impl Encode<$number> for BigEndian<$number> {
            fn encode(&self, number: $number) -> Result<Bytes, CodecError> {
                Ok(Bytes::copy_from_slice(&number.to_be_bytes()))
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, u128);
