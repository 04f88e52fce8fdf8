//! The traits of a codec, and its error.

use std::{error::Error, fmt};

use bytes::Bytes;
use pravega_sdk_types::{ErrorKind, classify};

/// Reads values from bytes: events of a stream, keys or values of a table. What it takes to write
/// them is [`Encode`].
pub trait Codec: Send + Sync + 'static {
    /// What readers are given.
    type Event;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not a value of this codec.
    fn decode(&self, bytes: Bytes) -> Result<Self::Event, CodecError>;
}

/// Turns an `E` into bytes: a codec usually takes several types, such as a value and a reference to
/// one.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot encode `{E}`",
    note = "`Raw` takes what turns into `Bytes`, `Utf8` what turns into a `String`",
    note = "`Json<T>` and `Postcard<T>` take a `T` or a `&T`"
)]
pub trait Encode<E>: Codec {
    /// Turns a value into bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value has no form in this codec.
    fn encode(&self, event: E) -> Result<Bytes, CodecError>;
}

/// The reason why a value could not be turned into bytes, or bytes into a value.
///
/// Its kind is [`InvalidArgument`](ErrorKind::InvalidArgument): the codec refuses what it is given.
/// A reader, whose bytes come from a segment, reports it as the cause of an error of the kind
/// [`Corrupt`](ErrorKind::Corrupt).
#[derive(Debug)]
pub struct CodecError {
    codec: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

classify!(CodecError, |_| ErrorKind::InvalidArgument);

impl CodecError {
    /// An error of the codec of that name.
    pub fn new(codec: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { codec, source: source.into() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.codec)
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
