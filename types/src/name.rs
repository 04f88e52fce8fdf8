//! Names of scopes, streams, tables, reader groups, readers and writers.
//!
//! A name is checked once, when it is parsed. Two rules exist side by side, as in Pravega itself:
//! names that users may choose, and names that the controller accepts, which may have one leading
//! `_` for internal names (`_system`, `_RGgroup`). `new` and `parse` use the first rule, `internal`
//! the second.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{ErrorKind, Printable, classify};

/// The kind of item that a name is for; it decides the rule of the name.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A scope.
    Scope,
    /// A stream.
    Stream,
    /// A key-value table.
    KeyValueTable,
    /// A reader group.
    ReaderGroup,
    /// A reader.
    Reader,
    /// A writer.
    Writer,
}

impl NameKind {
    /// Returns the maximum length of a name of a user, in bytes (the allowed characters are ASCII).
    #[must_use]
    pub fn max_len(self) -> usize {
        match self {
            Self::Scope => INTERNAL_MAX_LEN,
            // Leaves bytes for the prefixes of internal names, of which `_MARK` is the longest.
            _ => USER_MAX_LEN,
        }
    }

    fn has_internal_form(self) -> bool {
        matches!(self, Self::Scope | Self::Stream)
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scope => "scope",
            Self::Stream => "stream",
            Self::KeyValueTable => "key-value table",
            Self::ReaderGroup => "reader group",
            Self::Reader => "reader",
            Self::Writer => "writer",
        })
    }
}

/// The longest name of a stream, table, group, reader or writer that Pravega's clients accept.
const USER_MAX_LEN: usize = 250;
/// The longest name of a scope, and of anything internal, that the controller accepts.
const INTERNAL_MAX_LEN: usize = 255;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    kind: NameKind,
    text: String,
    problem: NameProblem,
}

classify!(NameError, |_| ErrorKind::InvalidName);

/// The rule that a refused name breaks.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProblem {
    /// The name is empty.
    Empty,
    /// The name is longer than the limit; both in bytes.
    TooLong {
        /// Length of the name.
        len: usize,
        /// The longest allowed.
        max_len: usize,
    },
    /// A character is not allowed at its position.
    Character {
        /// The character.
        character: char,
        /// Its position, counted in characters from 0.
        index: usize,
    },
    /// No character follows the leading `_`.
    NothingAfterUnderscore,
    /// A scoped name is not made of a scope, one `/` and a name.
    NotScoped,
}

impl NameError {
    pub(crate) fn new(kind: NameKind, text: &str, problem: NameProblem) -> Self {
        Self { kind, text: Printable::with_limit(text, 300).to_string(), problem }
    }

    /// Returns the kind of item that the name is for.
    #[must_use]
    pub fn name_kind(&self) -> NameKind {
        self.kind
    }

    /// Returns the rule that the name breaks.
    #[must_use]
    pub fn problem(&self) -> NameProblem {
        self.problem
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, text, problem } = self;
        match problem {
            NameProblem::Empty => write!(f, "a {kind} name must not be empty")?,
            NameProblem::TooLong { len, max_len } => {
                write!(f, "{kind} name \"{text}\" has {len} bytes, at most {max_len} are allowed")?;
            }
            NameProblem::Character { character, index } => {
                let shown = Printable::new(character.encode_utf8(&mut [0; 4])).to_string();
                write!(f, "{kind} name \"{text}\" has '{shown}' at index {index}")?;
                if *character == '_' && *index == 0 {
                    write!(f, ", which is reserved for internal names")?;
                }
            }
            NameProblem::NothingAfterUnderscore => {
                write!(f, "{kind} name \"{text}\" has nothing after '_'")?;
            }
            NameProblem::NotScoped => {
                return write!(f, "\"{text}\" is not of the form scope/{kind}");
            }
        }
        write!(f, "; allowed are A-Z a-z 0-9 . -")
    }
}

impl std::error::Error for NameError {}

/// The rule that a name is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    User,
    Internal,
}

fn check(kind: NameKind, rule: Rule, text: &str) -> Result<(), NameError> {
    let refuse = |problem| Err(NameError::new(kind, text, problem));
    let internal = rule == Rule::Internal && kind.has_internal_form();
    // The watermarks of an internal stream: `_MARK_RGgroup`. The controller lists such streams.
    if internal
        && kind == NameKind::Stream
        && text.len() <= INTERNAL_MAX_LEN
        && let Some(marked) = text.strip_prefix("_MARK").filter(|marked| marked.starts_with('_'))
    {
        return check(kind, rule, marked)
            .map_err(|error| NameError::new(kind, text, error.problem));
    }
    let body = match text.strip_prefix('_') {
        Some("") if internal => return refuse(NameProblem::NothingAfterUnderscore),
        Some(rest) if internal => rest,
        _ => text,
    };
    if body.is_empty() {
        return refuse(NameProblem::Empty);
    }
    let skipped = text.len() - body.len();
    if let Some((index, character)) = body.chars().enumerate().find(|(_, c)| !is_allowed(*c)) {
        return refuse(NameProblem::Character { character, index: index + skipped });
    }
    let max_len = if internal { INTERNAL_MAX_LEN } else { kind.max_len() };
    if text.len() > max_len {
        return refuse(NameProblem::TooLong { len: text.len(), max_len });
    }
    Ok(())
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '-'
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` against the rule for names that users may choose.
            ///
            /// # Errors
            ///
            /// [`NameError`] names the character, its position and the rule.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                check($kind, Rule::User, name)?;
                Ok(Self(Arc::from(name)))
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            #[allow(dead_code)]
            pub(crate) fn trusted(name: impl AsRef<str>) -> Self {
                Self(Arc::from(name.as_ref()))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

macro_rules! internal_form {
    ($name:ident, $kind:expr, $example:literal) => {
        impl $name {
            #[doc = concat!(
                "Checks `name` against the controller's rule, which allows internal names like `",
                $example,
                "`."
            )]
            ///
            /// # Errors
            ///
            /// [`NameError`] names the character, its position and the rule.
            pub fn internal(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                check($kind, Rule::Internal, name)?;
                Ok(Self(Arc::from(name)))
            }

            /// Returns true if the name is internal: users cannot choose it.
            #[must_use]
            pub fn is_internal(&self) -> bool {
                self.0.starts_with('_')
            }
        }
    };
}

name_type! {
    /// Names a scope, the namespace of streams and tables: 1 to 255 of `A-Z a-z 0-9 . -`.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_types::Scope;
    ///
    /// assert!(Scope::new("shop").is_ok());
    /// let refused = Scope::new("my shop").unwrap_err();
    /// let reason = r#"scope name "my shop" has ' ' at index 2; allowed are A-Z a-z 0-9 . -"#;
    /// assert_eq!(refused.to_string(), reason);
    /// ```
    Scope, NameKind::Scope
}
internal_form!(Scope, NameKind::Scope, "_system");

name_type! {
    /// Names a stream inside its scope: 1 to 250 of `A-Z a-z 0-9 . -`.
    Stream, NameKind::Stream
}
internal_form!(Stream, NameKind::Stream, "_RGgroup");

name_type! {
    /// Names a key-value table inside its scope: 1 to 250 of `A-Z a-z 0-9 . -`.
    KeyValueTable, NameKind::KeyValueTable
}

name_type! {
    /// Names a reader group inside its scope: 1 to 250 of `A-Z a-z 0-9 . -`.
    ReaderGroup, NameKind::ReaderGroup
}

name_type! {
    /// Names a reader inside its group: 1 to 250 of `A-Z a-z 0-9 . -`.
    ReaderId, NameKind::Reader
}

name_type! {
    /// Names a writer for watermarks and transactions: 1 to 250 of `A-Z a-z 0-9 . -`.
    ///
    /// This is not the [`WriterId`](crate::WriterId) by which a segment store recognizes events
    /// that were sent twice.
    WriterName, NameKind::Writer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: NameKind, text: &str) -> NameProblem {
        check(kind, Rule::User, text).unwrap_err().problem()
    }

    #[test]
    fn a_refusal_names_the_character_and_its_place() {
        let at = |character, index| NameProblem::Character { character, index };
        assert_eq!(refused(NameKind::Stream, "a/b"), at('/', 1));
        assert_eq!(refused(NameKind::Stream, "_x"), at('_', 0));
        assert_eq!(refused(NameKind::Stream, "ab c"), at(' ', 2));
        assert_eq!(refused(NameKind::Stream, "a\0"), at('\0', 1));
        assert_eq!(refused(NameKind::Stream, "né"), at('é', 1));
        assert_eq!(refused(NameKind::Stream, ""), NameProblem::Empty);
    }

    #[test]
    fn lengths_are_held_at_the_limit() {
        for (kind, max_len) in
            [(NameKind::Stream, 250), (NameKind::Scope, 255), (NameKind::ReaderGroup, 250)]
        {
            assert!(check(kind, Rule::User, &"x".repeat(max_len)).is_ok());
            let len = max_len + 1;
            assert_eq!(refused(kind, &"x".repeat(len)), NameProblem::TooLong { len, max_len });
        }
    }

    #[test]
    fn internal_names_take_one_leading_underscore() {
        assert!(Stream::internal("_RGg").unwrap().is_internal());
        assert!(Stream::internal("plain").is_ok());
        assert!(Stream::internal("_MARK_RGg").is_ok());
        assert!(Stream::internal("_MARK__g").is_err());
        assert_eq!(
            Stream::internal("_").unwrap_err().problem(),
            NameProblem::NothingAfterUnderscore
        );
        assert_eq!(
            Stream::internal("__a").unwrap_err().problem(),
            NameProblem::Character { character: '_', index: 1 }
        );
    }

    #[test]
    fn the_message_escapes_what_it_shows() {
        let error = Stream::new("a\u{1b}[31m").unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
