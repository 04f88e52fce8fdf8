//! What can be wrong with bytes that came in, and with values that shall go out.

use pravega_sdk_types::{Printable, modified_utf8::InvalidModifiedUtf8};

/// Tells why a frame was refused.
///
/// There is no way to go on behind a bad frame: the connection has to be closed, as the Java server
/// does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}cannot be decoded: {problem}", Frame { command: *command, code: *code })]
pub struct DecodeError {
    command: Option<&'static str>,
    code: i32,
    problem: DecodeProblem,
}

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

/// What is wrong with a frame.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeProblem {
    /// The type is not one of the protocol, or not one that may stand by itself.
    #[error("the type is not known")]
    UnknownType,
    /// The length is negative.
    #[error("its length is {0}")]
    NegativeLength(i32),
    /// The length is above the limit. Nothing was reserved for it.
    #[error("its length is {len}, at most {max_len} are allowed")]
    TooLong {
        /// The length that the header claims.
        len: usize,
        /// The limit.
        max_len: usize,
    },
    /// The payload ends inside a field.
    #[error("it ends inside {field}, {missing} bytes short")]
    EndOfFrame {
        /// What was being read.
        field: &'static str,
        /// How many bytes are missing.
        missing: usize,
    },
    /// The length or the count of a field is negative, or larger than what is left of the frame.
    #[error("the length of {field} is {len}, {remaining} bytes are left")]
    FieldLength {
        /// What was being read.
        field: &'static str,
        /// The length that was claimed.
        len: i64,
        /// What is left of the frame.
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
        /// The type that belongs there.
        expected: i32,
    },
}

impl DecodeError {
    pub(crate) fn new(command: Option<&'static str>, code: i32, problem: DecodeProblem) -> Self {
        Self { command, code, problem }
    }

    /// The name of the command, if its type is known.
    #[must_use]
    pub fn command(&self) -> Option<&'static str> {
        self.command
    }

    /// The type that the frame's header claims.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &DecodeProblem {
        &self.problem
    }
}

/// Tells why a value cannot be sent. Nothing of it was written.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string takes more bytes than its length field can say.
    #[error("\"{start}\" takes {len} bytes, a string of the protocol has at most {max}", max = crate::MAX_STRING_LEN)]
    StringTooLong {
        /// How the string starts.
        start: String,
        /// Its length in modified UTF-8.
        len: usize,
    },
    /// The frame would be longer than a server takes.
    #[error("a {command} frame would have {len} bytes, at most {max} are allowed", max = crate::MAX_FRAME_LEN)]
    FrameTooLong {
        /// The command.
        command: &'static str,
        /// The length of its frame, with the header.
        len: usize,
    },
    /// A length or count is beyond what its field can say.
    #[error("{0} does not fit a length of the protocol")]
    LengthTooLarge(usize),
    /// A number that stands for a length is negative.
    #[error("{field} must not be negative, it is {value}")]
    Negative {
        /// The field.
        field: &'static str,
        /// The value.
        value: i64,
    },
}

impl EncodeError {
    pub(crate) fn string_too_long(text: &str, len: usize) -> Self {
        Self::StringTooLong { start: Printable::with_limit(text, 60).to_string(), len }
    }
}
