//! Which segment an event goes to.

use pravega_sdk_segment_client::{append::Key, error::WriteError};
use pravega_sdk_types::{RoutingKey, routing};

/// Decides which segment an event goes to: events of the same key stay in order, those without one
/// go anywhere.
///
/// Strings and keys convert into it, and `None` means no key.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::Routing;
///
/// let by_key: Routing = "customer-7".into();
/// let anywhere: Routing = None.into();
/// assert_ne!(by_key, anywhere);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing<'a> {
    /// By this key.
    Key(&'a str),
    /// Anywhere; each event by itself.
    Anywhere,
}

/// The longest routing key, in bytes. Keys are hashed and not stored, so this is a guard against
/// mistakes only.
pub const MAX_ROUTING_KEY_LEN: usize = 64 * 1024;

impl Routing<'_> {
    /// The position in the key space.
    pub(crate) fn position(self) -> Result<Key, WriteError> {
        match self {
            Self::Anywhere => Ok(Key::Any),
            Self::Key(key) if key.len() > MAX_ROUTING_KEY_LEN => {
                Err(WriteError::invalid(format_args!(
                    "the routing key has {} bytes, {MAX_ROUTING_KEY_LEN} are allowed",
                    key.len()
                )))
            }
            Self::Key(key) => {
                let hash = routing::hash_text(routing::EVENT_SEED, key);
                Ok(Key::Hashed(routing::fraction(hash.0)))
            }
        }
    }
}

impl<'a> From<&'a str> for Routing<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a String> for Routing<'a> {
    fn from(key: &'a String) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a RoutingKey> for Routing<'a> {
    fn from(key: &'a RoutingKey) -> Self {
        Self::Key(key.as_str())
    }
}

impl<'a> From<Option<&'a str>> for Routing<'a> {
    fn from(key: Option<&'a str>) -> Self {
        key.map_or(Self::Anywhere, Self::Key)
    }
}

/// What a sink takes for a routing key: text, a key, or perhaps one.
pub trait ToRouting {
    /// The routing.
    fn to_routing(&self) -> Routing<'_>;
}

impl ToRouting for &str {
    fn to_routing(&self) -> Routing<'_> {
        Routing::Key(self)
    }
}

impl ToRouting for String {
    fn to_routing(&self) -> Routing<'_> {
        Routing::Key(self)
    }
}

impl ToRouting for RoutingKey {
    fn to_routing(&self) -> Routing<'_> {
        Routing::Key(self.as_str())
    }
}

impl<K: ToRouting> ToRouting for Option<K> {
    fn to_routing(&self) -> Routing<'_> {
        self.as_ref().map_or(Routing::Anywhere, ToRouting::to_routing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_position_that_every_client_gives_it() {
        for key in ["", "a", "Grüße", "😀 surrogates", "\u{1F468}\u{200D}\u{1F469}"] {
            let hashed = Key::Hashed(RoutingKey::from(key).position());
            assert_eq!(Routing::from(key).position().unwrap(), hashed);
        }
        assert_eq!(Routing::from(None).position().unwrap(), Key::Any);
    }

    #[test]
    fn a_key_of_megabytes_is_refused_by_name_and_limit() {
        let key = "x".repeat(10 << 20);
        let error = Routing::from(key.as_str()).position().unwrap_err();
        assert_eq!(
            error.to_string(),
            "writing: the routing key has 10485760 bytes, 65536 are allowed"
        );
        assert!(Routing::from(&"x".repeat(MAX_ROUTING_KEY_LEN)).position().is_ok());
    }
}
