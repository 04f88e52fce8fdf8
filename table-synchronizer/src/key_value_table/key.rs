//! The keys of a key-value table, and sets of them that can be read in order.

use std::fmt;

use bytes::Bytes;

/// A key of a key-value table: a primary key, and in some tables a secondary key.
///
/// All entries with the same primary key are in one partition, so they can be changed together.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::Key;
///
/// let order = Key::new("customer").with_secondary("order");
/// assert_eq!(order.primary(), "customer");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    primary: Bytes,
    secondary: Bytes,
}

impl Key {
    /// Creates a key without a secondary key.
    pub fn new(primary: impl Into<Bytes>) -> Self {
        Self { primary: primary.into(), secondary: Bytes::new() }
    }

    /// Sets the secondary key, for a table that has them.
    #[must_use]
    pub fn with_secondary(mut self, secondary: impl Into<Bytes>) -> Self {
        self.secondary = secondary.into();
        self
    }

    /// Returns the primary key.
    #[must_use]
    pub fn primary(&self) -> &Bytes {
        &self.primary
    }

    /// Returns the secondary key, which is empty if the table has none.
    #[must_use]
    pub fn secondary(&self) -> &Bytes {
        &self.secondary
    }
}

impl<T: Into<Bytes>> From<T> for Key {
    fn from(primary: T) -> Self {
        Self::new(primary)
    }
}

impl fmt::Debug for Key {
    /// Shows the lengths, as keys may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} and {} bytes)", self.primary.len(), self.secondary.len())
    }
}

/// Keys of a key-value table that are read in order: all, a range, or those with a prefix. Both
/// ends of a range belong to it. Keys are compared as unsigned bytes.
///
/// # Examples
///
/// ```
/// use pravega_sdk_table_synchronizer::Keys;
///
/// let orders_of_may = Keys::of("customer").secondary_prefix("2026-05");
/// let a_to_c = Keys::range(Some("a000".into()), Some("czzz".into()));
/// # let _ = (orders_of_may, a_to_c);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(pub(super) Selection);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// Ranges of primary keys.
    Primary(Part),
    /// One primary key, and a range of secondary keys.
    Secondary { primary: Bytes, part: Part },
}

/// A range of the keys of one length.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Part {
    Range { from: Option<Bytes>, to: Option<Bytes> },
    Prefix(Bytes),
}

const WHOLE: Part = Part::Range { from: None, to: None };

impl Keys {
    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self(Selection::Primary(WHOLE))
    }

    /// The keys whose primary keys are within a range; `None` is the lowest or the highest.
    #[must_use]
    pub fn range(from: Option<Bytes>, to: Option<Bytes>) -> Self {
        Self(Selection::Primary(Part::Range { from, to }))
    }

    /// The keys whose primary keys begin with a prefix.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        Self(Selection::Primary(Part::Prefix(prefix.into())))
    }

    /// The keys with one primary key.
    pub fn of(primary: impl Into<Bytes>) -> Self {
        Self(Selection::Secondary { primary: primary.into(), part: WHOLE })
    }

    /// Takes of these keys those whose secondary keys are within a range; `None` is the lowest or
    /// the highest. It has a meaning after [`of`](Self::of) only: other keys stay as they are.
    #[must_use]
    pub fn secondary_range(self, from: Option<Bytes>, to: Option<Bytes>) -> Self {
        self.with_part(Part::Range { from, to })
    }

    /// Takes of these keys those whose secondary keys begin with a prefix. It has a meaning after
    /// [`of`](Self::of) only: other keys stay as they are.
    #[must_use]
    pub fn secondary_prefix(self, prefix: impl Into<Bytes>) -> Self {
        self.with_part(Part::Prefix(prefix.into()))
    }

    /// Returns the primary key, if all keys have the same.
    pub(super) fn primary(&self) -> Option<&Bytes> {
        match &self.0 {
            Selection::Secondary { primary, .. } => Some(primary),
            Selection::Primary(_) => None,
        }
    }

    fn with_part(self, part: Part) -> Self {
        match self.0 {
            Selection::Secondary { primary, .. } => Self(Selection::Secondary { primary, part }),
            other @ Selection::Primary(_) => Self(other),
        }
    }
}

impl fmt::Debug for Keys {
    /// Shows the form only, as keys may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Selection::Primary(_) => "Keys(by primary key)",
            Selection::Secondary { .. } => "Keys(of one primary key)",
        })
    }
}
