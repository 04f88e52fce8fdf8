//! A delegation token on its way into a request.

use std::fmt;

use bytestring::ByteString;

/// A delegation token as the wire takes it. It is secret, so it is never shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Token(pub(crate) ByteString);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}
