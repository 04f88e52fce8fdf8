//! The configuration of a group as its state holds it.

use pravega_sdk_types::{ReaderGroupConfiguration, ScopedStream};

/// The configuration of a group, with the order in which its bytes list the ends of the streams.
///
/// The ends are a list of their own in the bytes, which may leave out streams that are read without
/// an end. The order means nothing; it is kept so that a state that is read and written again has
/// the same bytes.
#[derive(Debug, Clone)]
pub struct StoredConfiguration {
    configuration: ReaderGroupConfiguration,
    pub(super) ends: Vec<ScopedStream>,
}

impl StoredConfiguration {
    pub(super) fn with_ends(
        configuration: ReaderGroupConfiguration,
        ends: Vec<ScopedStream>,
    ) -> Self {
        Self { configuration, ends }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn configuration(&self) -> &ReaderGroupConfiguration {
        &self.configuration
    }

    /// Returns the streams whose ends the bytes list, in order.
    #[must_use]
    pub fn ends(&self) -> &[ScopedStream] {
        &self.ends
    }
}

impl From<ReaderGroupConfiguration> for StoredConfiguration {
    fn from(configuration: ReaderGroupConfiguration) -> Self {
        let ends = configuration.streams().iter().map(|entry| entry.stream.clone()).collect();
        Self { configuration, ends }
    }
}

impl PartialEq for StoredConfiguration {
    /// Two are the same if their configurations are.
    fn eq(&self, other: &Self) -> bool {
        self.configuration == other.configuration
    }
}
