//! The names of what can be allowed, as the Java server has them.

use std::fmt::{self, Display};

use super::operation::Operation;

/// The prefix of the state of a reader group, and of the watermarks of a stream.
const GROUP: &str = "_RG";
const MARKS: &str = "_MARK";
/// What follows the name of a key-value table in that of the stream with its segments.
const TABLE: &str = "_kvtable";

/// A resource: all scopes, a scope, or what is in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The list of scopes.
    Scopes,
    /// A scope, and the lists in it.
    Scope(&'a str),
    /// A stream.
    Stream(&'a str, &'a str),
    /// A reader group.
    Group(&'a str, &'a str),
    /// A key-value table.
    Table(&'a str, &'a str),
}

/// What a call needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// Nothing, as it reveals nothing: no account either.
    Nothing,
    /// An operation on a resource.
    Allowed(Operation, Resource<'a>),
    /// A token for an operation on a stream, or on the table with its name: it opens what is
    /// allowed.
    Token(Operation, &'a str, &'a str),
}

impl<'a> Resource<'a> {
    /// The resource that a stream belongs to. The state of a reader group belongs to the group, the
    /// watermarks of a stream to the stream, and the segments of a key-value table to the table.
    pub fn of_stream(scope: &'a str, stream: &'a str) -> Self {
        if let Some(table) = stream.strip_suffix(TABLE) {
            return Self::of_table(scope, table);
        }
        if let Some(group) = stream.strip_prefix(GROUP) {
            return Self::Group(scope, group);
        }
        Self::Stream(scope, stream.strip_prefix(MARKS).unwrap_or(stream))
    }

    /// The resource that a key-value table belongs to. One that has the state of a reader group
    /// belongs to the group, as the stream with its name does.
    pub fn of_table(scope: &'a str, table: &'a str) -> Self {
        match table.strip_prefix(GROUP) {
            Some(group) => Self::Group(scope, group),
            None => Self::Table(scope, table),
        }
    }

    /// Its own name, without that of its scope; empty for the list of scopes.
    pub fn name(&self) -> &'a str {
        match *self {
            Self::Scopes => "",
            Self::Scope(name)
            | Self::Stream(_, name)
            | Self::Group(_, name)
            | Self::Table(_, name) => name,
        }
    }

    /// Returns true if all its names can be in the name of a resource: none of them means another
    /// resource there, or any.
    pub(super) fn is_valid(&self) -> bool {
        let names = match *self {
            Self::Scopes => return true,
            Self::Scope(scope) => [scope, scope],
            Self::Stream(scope, name) | Self::Group(scope, name) | Self::Table(scope, name) => {
                [scope, name]
            }
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        names.iter().all(|name| !name.is_empty() && name.bytes().all(is_plain))
    }
}

/// What writing to a stream needs. Readers write the state of their group, and writers the marks of
/// time of a stream, so what they may do to it is to read.
pub fn operation_to_write(stream: &str) -> Operation {
    if let Some(table) = stream.strip_suffix(TABLE) {
        return operation_to_write_table(table);
    }
    if stream.starts_with(GROUP) || stream.starts_with(MARKS) {
        return Operation::Read;
    }
    Operation::Write
}

/// What writing to a table needs: to read the group, if it has the state of one.
pub(super) fn operation_to_write_table(table: &str) -> Operation {
    if table.starts_with(GROUP) { Operation::Read } else { Operation::Write }
}

impl Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Allowed(operation, resource) => write!(f, "{} on {resource}", operation.name()),
            Self::Token(operation, scope, name) => {
                write!(f, "{} on {}", operation.name(), Resource::of_stream(scope, name))
            }
        }
    }
}

impl Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scopes => f.write_str("prn::/"),
            Self::Scope(scope) => write!(f, "prn::/scope:{scope}"),
            Self::Stream(scope, name) => write!(f, "prn::/scope:{scope}/stream:{name}"),
            Self::Group(scope, name) => write!(f, "prn::/scope:{scope}/reader-group:{name}"),
            Self::Table(scope, name) => write!(f, "prn::/scope:{scope}/key-value-table:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_have_the_names_of_java() {
        // The line `authorization_resource` of the golden data, for scope `s` and name `n`.
        let golden = [
            (Resource::Scopes, "prn::/"),
            (Resource::Scope("s"), "prn::/scope:s"),
            (Resource::Stream("s", "n"), "prn::/scope:s/stream:n"),
            (Resource::Group("s", "n"), "prn::/scope:s/reader-group:n"),
            (Resource::Table("s", "n"), "prn::/scope:s/key-value-table:n"),
            (Resource::of_stream("s", "_RGn"), "prn::/scope:s/reader-group:n"),
            (Resource::of_stream("s", "_MARKn"), "prn::/scope:s/stream:n"),
            (Resource::of_stream("s", "_n"), "prn::/scope:s/stream:_n"),
            (Resource::of_stream("s", "n_kvtable"), "prn::/scope:s/key-value-table:n"),
            (Resource::of_stream("s", "_RGn_kvtable"), "prn::/scope:s/reader-group:n"),
            (Resource::of_table("s", "n"), "prn::/scope:s/key-value-table:n"),
            (Resource::of_table("s", "_RGn"), "prn::/scope:s/reader-group:n"),
        ];
        for (resource, name) in golden {
            assert_eq!(resource.to_string(), name);
            assert!(resource.is_valid());
        }
    }

    #[test]
    fn a_name_that_would_mean_another_resource_is_none() {
        for bad in ["", "a/stream:b", "a:b", "*", "a b", "a\n", "\u{e4}"] {
            assert!(!Resource::Scope(bad).is_valid(), "{bad}");
            assert!(!Resource::Stream("s", bad).is_valid(), "{bad}");
            assert!(!Resource::Table(bad, "t").is_valid(), "{bad}");
        }
    }
}
