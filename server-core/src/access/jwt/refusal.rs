//! Why a token is refused. It is for the log of the server: a client learns only that it is.

use std::time::Duration;

/// The longest part of a text from a token that is shown, in characters.
const SHOWN: usize = 64;

/// Why a token is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtRefusal {
    /// It is longer than any that is read.
    #[error("it has {len} bytes, more than {most}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The longest that is read.
        most: usize,
    },
    /// It is no token of the one form that is read.
    #[error("it is no signed JWT: {0}")]
    Malformed(String),
    /// Its algorithm is `none`, one of a shared secret, or unknown.
    #[error("its algorithm {0} is not accepted")]
    Algorithm(String),
    /// It was signed with a key that is not in the key set. It may be in the next one.
    #[error("its key {0} is not known")]
    UnknownKey(String),
    /// It names no key, and too many could be meant.
    #[error("it names no key, and {0} of the key set fit")]
    AmbiguousKey(usize),
    /// The key that it names is not for its algorithm.
    #[error("its key is not for its algorithm")]
    KeyOfAnother,
    /// Its signature is not that of the key.
    #[error("its signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("it expired {0:?} ago")]
    Expired(Duration),
    /// Its time has not come.
    #[error("it is valid in {0:?} only")]
    NotYetValid(Duration),
    /// It says that it was issued later than now.
    #[error("it says that it will be issued in {0:?}")]
    IssuedLater(Duration),
    /// A claim that it must have is missing.
    #[error("it has no claim {0}")]
    Missing(&'static str),
    /// It was issued by another party.
    #[error("its issuer {found} is not {expected}")]
    Issuer {
        /// The issuer of the token.
        found: String,
        /// The one that is accepted.
        expected: String,
    },
    /// It was issued for others.
    #[error("its audience {found} is not {expected}")]
    Audience {
        /// The audience of the token.
        found: String,
        /// The one that it must have.
        expected: String,
    },
    /// It is a token for another use, such as an ID token.
    #[error("it is a token for another use: {0}")]
    Use(String),
}

impl JwtRefusal {
    /// Returns true if a newer key set may have the key of the token.
    pub fn may_have_a_newer_key(&self) -> bool {
        matches!(self, Self::UnknownKey(_))
    }

    pub(super) fn malformed(what: &str) -> Self {
        Self::Malformed(what.to_owned())
    }
}

/// A text from a token as a log may show it: short, and without characters that forge a line.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// What is wrong with JSON, without any part of it.
pub(super) fn place(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "not what is expected" } else { "no JSON" };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_a_token_is_shown_in_part_and_forges_no_line() {
        assert_eq!(shown("key\n\u{1b}[2J"), r#""key\n\u{1b}[2J""#);
        assert_eq!(shown(&"ä".repeat(1000)), format!("\"{}\"…", "ä".repeat(SHOWN)));
    }
}
