//! A setting: its value, and the source of that.

use std::fmt;

/// Where the value of a setting came from. A later one in this list overrides an earlier one.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A variable of the environment.
    Environment,
    /// The query of the URL.
    Url,
    /// A call of a setter.
    Setter,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Url => "url",
            Self::Setter => "setter",
        })
    }
}

/// A setting as it stands, for people to see. Secrets are not shown.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the query of a URL.
    pub name: &'static str,
    /// Its variable in the environment.
    pub variable: &'static str,
    /// Its value, as it would be written.
    pub value: String,
    /// Where that came from.
    pub source: Source,
    /// What it is.
    pub meaning: &'static str,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

impl<T> Sourced<T> {
    pub(crate) fn default(value: T) -> Self {
        Self { value, source: Source::Default }
    }

    /// Takes the value unless one that counts more is there.
    pub(crate) fn set(&mut self, value: T, source: Source) {
        if source >= self.source {
            *self = Self { value, source };
        }
    }
}
