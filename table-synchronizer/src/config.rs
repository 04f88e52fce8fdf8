//! Settings of tables.

use std::time::Duration;

use pravega_sdk_segment_client::seeded_bugs::Bugs;
#[cfg(feature = "seeded-bugs")]
use pravega_sdk_segment_client::seeded_bugs::SeededBug;

use crate::segment::Values;

/// Settings of the calls about a table.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use pravega_sdk_table_synchronizer::{TableConfig, Values};
///
/// let config =
///     TableConfig::default().with_timeout(Duration::from_secs(10)).with_values(Values::Unique);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Default)]
pub struct TableConfig {
    pub(crate) timeout: Option<Duration>,
    pub(crate) values: Values,
    pub(crate) page_size: PageSize,
    pub(crate) bugs: Bugs,
}

/// The number of items that a page of an iteration has at least, if there are so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSize(pub(crate) i32);

impl Default for PageSize {
    fn default() -> Self {
        Self(1000)
    }
}

impl TableConfig {
    /// Sets the time that a call takes at most, with all its attempts, and the requests of which it
    /// consists; of an iteration, the time for each page. Default: twice the limit of one request.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets what may be concluded from the values of the table, when the reply to a put was lost.
    /// Default: [`Values::MayRepeat`].
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }

    /// Sets the number of items in each page of an iteration, as a hint: the server returns more or
    /// fewer, and at most about 2 MiB. An iteration over several partitions shares it among their
    /// pages. Default: 1000.
    #[must_use]
    pub fn with_page_size(mut self, items: u32) -> Self {
        self.page_size = PageSize(i32::try_from(items).unwrap_or(i32::MAX).max(1));
        self
    }

    /// Switches a seeded bug on.
    #[cfg(feature = "seeded-bugs")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug(mut self, bug: SeededBug) -> Self {
        self.bugs = Bugs::new(bug);
        self
    }
}
