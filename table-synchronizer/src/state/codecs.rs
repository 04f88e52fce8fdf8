//! A serializer of two codecs.

use std::error::Error;

use bytes::Bytes;
use pravega_sdk_codec::{Codec, Encode};

use super::shared_state::{SharedState, StateSerializer};

/// The codec of initial states and that of updates, as the serializer of a state. Both must take
/// references, as `Utf8`, `Json` and `Postcard` do.
///
/// Java's client adds zero bytes after an initial state. Where it shares the state, the codec of
/// initial states must ignore what follows its value.
///
/// # Examples
///
/// ```
/// use pravega_sdk_codec::Utf8;
/// use pravega_sdk_table_synchronizer::StateCodecs;
///
/// // Begins with a text, and is changed by texts.
/// let serializer = StateCodecs::new(Utf8, Utf8);
/// # let _ = serializer;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct StateCodecs<I, U> {
    initial: I,
    update: U,
}

impl<I: Codec, U: Codec> StateCodecs<I, U> {
    /// Creates the serializer.
    #[must_use]
    pub fn new(initial: I, update: U) -> Self {
        Self { initial, update }
    }
}

impl<S, I, U> StateSerializer<S> for StateCodecs<I, U>
where
    S: SharedState,
    I: Codec<Event = S::Initial> + for<'e> Encode<&'e S::Initial>,
    U: Codec<Event = S::Update> + for<'e> Encode<&'e S::Update>,
{
    fn encode_initial(&self, initial: &S::Initial) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        Ok(self.initial.encode(initial)?)
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<S::Initial, Box<dyn Error + Send + Sync>> {
        Ok(self.initial.decode(bytes)?)
    }

    fn encode_update(&self, update: &S::Update) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        Ok(self.update.encode(update)?)
    }

    fn decode_update(&self, bytes: Bytes) -> Result<S::Update, Box<dyn Error + Send + Sync>> {
        Ok(self.update.decode(bytes)?)
    }
}
