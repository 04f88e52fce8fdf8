//! Settings: their values, and the sources of the values.

use std::fmt;

/// The source of a setting's value. A later one in this list overrides an earlier one.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The default of the SDK.
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

/// A setting with its present value, for display. Secrets are not shown.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the query of a URL.
    pub name: &'static str,
    /// Its variable in the environment.
    pub variable: &'static str,
    /// Its value, in its text form.
    pub value: String,
    /// The source of the value.
    pub source: Source,
    /// The meaning of the setting.
    pub meaning: &'static str,
}

/// A value and its source.
#[derive(Debug, Clone)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

impl<T> Sourced<T> {
    pub(crate) fn default(value: T) -> Self {
        Self { value, source: Source::Default }
    }

    /// Sets the value, unless the present one has precedence.
    pub(crate) fn set(&mut self, value: T, source: Source) {
        if source >= self.source {
            *self = Self { value, source };
        }
    }
}
