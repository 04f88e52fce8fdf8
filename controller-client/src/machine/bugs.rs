//! Deliberately broken variants of the machines. Tests must catch every one; without the feature
//! there are none.

/// A way in which the machines can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControllerBug {
    /// The deadline of an attempt covers the connection and the answer; credentials and the
    /// discovery of controllers are waited for without one.
    TimesAnswersOnly,
    /// The deadline of a connection begins after the look-up of the controller's name.
    TimesConnectsOnly,
    /// The next address of a name is dialled when the one before it has failed.
    DialsOneByOne,
    /// Each call connects to a controller by itself, one after the other.
    DialsAlone,
    /// A connection is used again although a request over it was not answered.
    KeepsSilentLinks,
    /// The first call waits for a discovery for as long as it may take itself.
    AwaitsDiscovery,
    /// Controllers that no discovery named are not tried, whatever happens to the others.
    BelievesDiscovery,
    /// A controller that has just failed is tried again in its turn.
    ForgetsFailures,
    /// A request that may have reached a controller is sent again, whatever a repeat does.
    RepeatsAll,
    /// The outcome of a call is that of its last attempt.
    ForgetsOutcomes,
}

/// The bug that is switched on, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bugs {
    #[cfg(feature = "seeded-bugs")]
    on: Option<ControllerBug>,
}

impl Bugs {
    /// Switches a bug on.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn new(bug: ControllerBug) -> Self {
        Self { on: Some(bug) }
    }

    /// Returns true if that bug is switched on.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn has(self, bug: ControllerBug) -> bool {
        self.on == Some(bug)
    }

    /// Returns false: there are no bugs without the feature.
    #[cfg(not(feature = "seeded-bugs"))]
    pub(crate) fn has(self, _: ControllerBug) -> bool {
        false
    }
}

#[cfg(feature = "seeded-bugs")]
impl ControllerBug {
    /// All bugs.
    pub const ALL: [Self; 10] = [
        Self::TimesAnswersOnly,
        Self::TimesConnectsOnly,
        Self::DialsOneByOne,
        Self::DialsAlone,
        Self::KeepsSilentLinks,
        Self::AwaitsDiscovery,
        Self::BelievesDiscovery,
        Self::ForgetsFailures,
        Self::RepeatsAll,
        Self::ForgetsOutcomes,
    ];
}
