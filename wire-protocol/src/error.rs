//! Errors from decoding frames and from encoding commands.

use pravega_sdk_types::{
    ErrorKind, Outcome, Printable, classify, modified_utf8::InvalidModifiedUtf8,
};

/// An error from decoding a frame.
///
/// The next frame after a bad one cannot be found: the connection must be closed, as the Java
/// server does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}cannot be decoded: {problem}", Frame { command: *command, code: *code })]
pub struct DecodeError {
    command: Option<&'static str>,
    code: i32,
    problem: DecodeProblem,
}

// The frame may be the reply to a request, whose effect is not known then.
classify!(DecodeError, |_| ErrorKind::Protocol, |_| Outcome::Unknown);

struct Frame {
    command: Option<&'static str>,
    code: i32,
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.command {
            Some(name) => write!(f, "{name} frame (type {}) ", self.code),
            None => write!(f, "frame of type {} ", self.code),
        }
    }
}

/// The reason why a frame is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeProblem {
    /// The type is not one of the protocol, or is valid only inside another frame.
    #[error("the type is not known")]
    UnknownType,
    /// The length is negative.
    #[error("its length is {0}")]
    NegativeLength(i32),
    /// The length is above the limit. No memory was reserved for it.
    #[error("its length is {len}, at most {max_len} are allowed")]
    TooLong {
        /// The length in the header.
        len: usize,
        /// The limit.
        max_len: usize,
    },
    /// The payload ends inside a field.
    #[error("it ends inside {field}, {missing} bytes short")]
    EndOfFrame {
        /// The field that was being read.
        field: &'static str,
        /// Number of missing bytes.
        missing: usize,
    },
    /// The length or the count of a field is negative, or larger than the rest of the frame can
    /// hold.
    #[error("the length of {field} is {len}, {remaining} bytes are left")]
    FieldLength {
        /// The field that was being read.
        field: &'static str,
        /// The length found.
        len: i64,
        /// Number of bytes left in the frame.
        remaining: usize,
    },
    /// A string is not modified UTF-8.
    #[error("a string is not modified UTF-8: {0}")]
    Text(#[from] InvalidModifiedUtf8),
    /// A frame nested in another is not of the type it must be.
    #[error("a nested frame has the type {found}, not {expected}")]
    NestedType {
        /// The type found.
        found: i32,
        /// The type expected.
        expected: i32,
    },
}

impl DecodeError {
    pub(crate) fn new(command: Option<&'static str>, code: i32, problem: DecodeProblem) -> Self {
        Self { command, code, problem }
    }

    /// Returns the name of the command, if its type is known.
    #[must_use]
    pub fn command(&self) -> Option<&'static str> {
        self.command
    }

    /// Returns the type in the frame's header.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Returns the reason.
    #[must_use]
    pub fn problem(&self) -> &DecodeProblem {
        &self.problem
    }
}

/// An error from encoding a command. Nothing of it was written.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string has more bytes than its length field can hold.
    #[error(
        "\"{start}\" takes {len} bytes, a string of the protocol has at most {max}",
        max = crate::MAX_STRING_LEN
    )]
    StringTooLong {
        /// The first characters of the string.
        start: String,
        /// Its length in modified UTF-8.
        len: usize,
    },
    /// The frame would be longer than a server accepts.
    #[error(
        "a {command} frame would have {len} bytes, at most {max} are allowed",
        max = crate::MAX_FRAME_LEN
    )]
    FrameTooLong {
        /// The command.
        command: &'static str,
        /// The length of its frame, with the header.
        len: usize,
    },
    /// A length or count is beyond the maximum of its field.
    #[error("{0} does not fit the length field")]
    LengthTooLarge(usize),
    /// A length is negative.
    #[error("{field} must not be negative, it is {value}")]
    Negative {
        /// The field.
        field: &'static str,
        /// The value.
        value: i64,
    },
}

classify!(EncodeError, |_| ErrorKind::InvalidArgument);

impl EncodeError {
    pub(crate) fn string_too_long(text: &str, len: usize) -> Self {
        Self::StringTooLong { start: Printable::with_limit(text, 60).to_string(), len }
    }
}
