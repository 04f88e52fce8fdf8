//! The exchange of versions that opens a connection.

use std::fmt;

use pravega_sdk_types::{ErrorKind, classify};

use crate::commands::Hello;

/// The versions of the protocol that a side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest version.
    pub low: i32,
    /// The newest version.
    pub high: i32,
}

/// The two sides have no version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncompatibleVersion {
    /// The versions of this side.
    pub ours: VersionRange,
    /// The versions that the peer announced.
    pub theirs: VersionRange,
}

impl VersionRange {
    /// The versions of this crate: those of Pravega 0.13.0.
    pub const SUPPORTED: Self = Self { low: 5, high: 16 };

    /// Returns the greeting that announces these versions.
    #[must_use]
    pub fn hello(self) -> Hello {
        Hello { high_version: self.high, low_version: self.low }
    }

    /// Checks a peer's greeting against these versions, by the rule of the Java implementation.
    ///
    /// # Errors
    ///
    /// [`IncompatibleVersion`] if there is no version in common. The connection must be closed
    /// then, and a retry does not help.
    pub fn check(self, hello: &Hello) -> Result<(), IncompatibleVersion> {
        let theirs = Self { low: hello.low_version, high: hello.high_version };
        if theirs.low > self.high || theirs.high < self.low {
            return Err(IncompatibleVersion { ours: self, theirs });
        }
        Ok(())
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}

impl fmt::Display for IncompatibleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the peer speaks protocol versions {}, this side speaks {}",
            self.theirs, self.ours
        )
    }
}

impl std::error::Error for IncompatibleVersion {}

classify!(IncompatibleVersion, |_| ErrorKind::IncompatibleServer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_accepted_and_refused_as_by_the_java_server() {
        let judged = |high, low| {
            VersionRange::SUPPORTED.check(&Hello { high_version: high, low_version: low }).is_ok()
        };
        for (high, low) in [(5, 5), (16, 16), (100, 16), (16, 5), (15, 5)] {
            assert!(judged(high, low), "({high}, {low})");
        }
        for (high, low) in [(4, 1), (100, 17), (3, 9)] {
            assert!(!judged(high, low), "({high}, {low})");
        }
    }
}
