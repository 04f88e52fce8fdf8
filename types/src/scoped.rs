//! Names together with their scope.

use std::{fmt, str::FromStr};

use crate::{
    KeyValueTable, NameError, ReaderGroup, Scope, Stream,
    name::{NameKind, NameProblem},
};

/// Splits `scope/name` at its only slash.
fn split(kind: NameKind, text: &str) -> Result<(&str, &str), NameError> {
    match text.split_once('/') {
        Some((scope, name)) if !name.contains('/') => Ok((scope, name)),
        _ => Err(NameError::new(kind, text, NameProblem::NotScoped)),
    }
}

macro_rules! scoped_type {
    ($(#[$doc:meta])* $scoped:ident, $field:ident: $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $scoped {
            scope: Scope,
            $field: $name,
        }

        impl $scoped {
            /// Combines a scope and a name.
            #[must_use]
            pub fn new(scope: Scope, $field: $name) -> Self {
                Self { scope, $field }
            }

            /// Returns the scope.
            #[must_use]
            pub fn scope(&self) -> &Scope {
                &self.scope
            }

            /// Returns the name inside the scope.
            #[must_use]
            pub fn $field(&self) -> &$name {
                &self.$field
            }
        }

        impl FromStr for $scoped {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let (scope, name) = split($kind, text)?;
                Ok(Self::new(Scope::new(scope)?, $name::new(name)?))
            }
        }

        impl TryFrom<&str> for $scoped {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl fmt::Display for $scoped {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.scope, self.$field)
            }
        }

        impl fmt::Debug for $scoped {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($scoped), "({})"), self)
            }
        }
    };
}

scoped_type! {
    /// Names a stream with its scope; the text form is `scope/stream`.
    ///
    /// # Examples
    ///
    /// ```
    /// use pravega_sdk_types::ScopedStream;
    ///
    /// let stream: ScopedStream = "shop/orders".parse()?;
    /// assert_eq!(stream.scope().as_str(), "shop");
    /// assert_eq!(stream.stream().as_str(), "orders");
    /// # Ok::<(), pravega_sdk_types::NameError>(())
    /// ```
    ScopedStream, stream: Stream, NameKind::Stream
}

scoped_type! {
    /// Names a key-value table with its scope; the text form is `scope/table`.
    ScopedKeyValueTable, table: KeyValueTable, NameKind::KeyValueTable
}

scoped_type! {
    /// Names a reader group with its scope; the text form is `scope/group`.
    ScopedReaderGroup, group: ReaderGroup, NameKind::ReaderGroup
}

impl ScopedStream {
    /// Reads `scope/stream` under the controller's rule, which allows internal names such as
    /// `shop/_RGbilling`.
    ///
    /// # Errors
    ///
    /// [`NameError`] names the character, its position and the rule.
    pub fn internal(text: &str) -> Result<Self, NameError> {
        let (scope, stream) = split(NameKind::Stream, text)?;
        Ok(Self::new(Scope::internal(scope)?, Stream::internal(stream)?))
    }

    /// Returns the internal stream of the watermarks of this stream: `scope/_MARKstream`.
    #[must_use]
    pub fn watermark_stream(&self) -> Self {
        Self::new(self.scope.clone(), Stream::trusted(format!("_MARK{}", self.stream)))
    }
}

impl ScopedReaderGroup {
    /// Returns the internal stream of the state of the group: `scope/_RGgroup`.
    #[must_use]
    pub fn state_stream(&self) -> ScopedStream {
        ScopedStream::new(self.scope.clone(), Stream::trusted(format!("_RG{}", self.group)))
    }

    /// Returns the internal table of the state of the group, for groups that keep it in one:
    /// `scope/_RGgroup`. Its tokens are those of the [stream](Self::state_stream), so that access
    /// to the group is access to both.
    #[must_use]
    pub fn state_table(&self) -> ScopedKeyValueTable {
        let table = KeyValueTable::trusted(format!("_RG{}", self.group));
        ScopedKeyValueTable::new(self.scope.clone(), table)
    }
}

/// The suffix that the controller adds to the name of a table to name its segments.
pub(crate) const TABLE_SUFFIX: &str = "_kvtable";

impl ScopedKeyValueTable {
    /// Returns the stream name of the table's segments: `scope/table_kvtable`.
    ///
    /// The controller expects this name in requests for the segment store of a table's segment.
    #[must_use]
    pub fn segment_stream(&self) -> ScopedStream {
        ScopedStream::new(
            self.scope.clone(),
            Stream::trusted(format!("{}{TABLE_SUFFIX}", self.table)),
        )
    }

    /// Returns the stream of the table's own name: the controller issues the tokens for the table's
    /// segments under it.
    #[must_use]
    pub fn token_stream(&self) -> ScopedStream {
        ScopedStream::new(self.scope.clone(), Stream::trusted(self.table.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scoped_name_has_exactly_one_slash() {
        for text in ["", "a", "/a", "a/", "a/b/c", "a//b"] {
            assert!(text.parse::<ScopedStream>().is_err(), "{text:?}");
        }
        let stream: ScopedStream = "a/b".parse().unwrap();
        assert_eq!(stream.watermark_stream().to_string(), "a/_MARKb");
    }

    #[test]
    fn derived_names_are_those_of_the_controller() {
        let group: ScopedReaderGroup = "a/g".parse().unwrap();
        assert_eq!(group.state_stream().to_string(), "a/_RGg");
        assert_eq!(group.state_table().segment_stream().to_string(), "a/_RGg_kvtable");
        assert_eq!(group.state_table().token_stream(), group.state_stream());
        let table: ScopedKeyValueTable = "a/t".parse().unwrap();
        assert_eq!(table.segment_stream().to_string(), "a/t_kvtable");
        assert_eq!(table.token_stream().to_string(), "a/t");
    }
}
