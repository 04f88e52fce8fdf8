//! What can be allowed.

/// What a token or a rule allows, and what a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reading.
    Read,
    /// Reading, and every change.
    Write,
}

impl Operation {
    /// The operation in a token and in a rule, by the name that the Java server uses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "READ_UPDATE",
        }
    }

    /// The operation with a name.
    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|operation| operation.name() == name)
    }
}
