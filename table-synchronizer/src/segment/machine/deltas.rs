//! Where the reading of the changes of a hash table continues.

use pravega_sdk_types::{Offset, Outcome};

use crate::{entry::Entry, error::TableError};

/// A page of changes, as the server returned it.
#[derive(Debug)]
pub(crate) struct DeltaPage {
    pub(crate) entries: Vec<Entry>,
    pub(crate) starts_over: bool,
    pub(crate) reached_end: bool,
    pub(crate) last_position: Offset,
}

impl DeltaPage {
    /// Returns true if the server has found no change. A 0.13.0 server then returns position 0.
    fn is_nothing(&self) -> bool {
        self.entries.is_empty() && !self.starts_over && self.reached_end
    }
}

/// Decides from which position changes are read.
#[derive(Debug)]
pub(crate) struct DeltaMachine {
    position: Offset,
}

impl DeltaMachine {
    pub(crate) fn new(position: Offset) -> Self {
        Self { position }
    }

    /// The position from which the next page is read.
    pub(crate) fn position(&self) -> Offset {
        self.position
    }

    /// A page arrived.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the page leads back, or says that more follows and leads nowhere: the
    /// reading would have no end.
    pub(crate) fn handle_page(&mut self, page: &DeltaPage) -> Result<(), TableError> {
        let goes_on = page.last_position > self.position;
        if page.is_nothing() && !goes_on {
            return Ok(());
        }
        if !goes_on {
            return Err(TableError::protocol(
                Outcome::NotApplied,
                format_args!(
                    "the changes after position {} lead to position {}, with more to follow or \
                     back",
                    self.position, page.last_position
                ),
            ));
        }
        if page.entries.iter().any(|entry| entry.key.is_empty()) {
            return Err(TableError::protocol(Outcome::NotApplied, "a change has an empty key"));
        }
        self.position = page.last_position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::ErrorKind;

    use super::*;
    use crate::entry::Version;

    fn page(last: i64, reached_end: bool) -> DeltaPage {
        let last_position = Offset(last);
        DeltaPage { entries: vec![], starts_over: false, reached_end, last_position }
    }

    #[test]
    fn each_page_leads_on_or_is_the_end() {
        let mut deltas = DeltaMachine::new(Offset(10));
        for (last, reached_end) in [(40, false), (60, true), (60, true), (90, true)] {
            deltas.handle_page(&page(last, reached_end)).unwrap();
            assert_eq!(deltas.position(), Offset(last));
        }
    }

    #[test]
    fn a_page_without_changes_at_position_0_is_the_end_at_any_position() {
        let mut deltas = DeltaMachine::new(Offset(600));
        deltas.handle_page(&page(0, true)).unwrap();
        assert_eq!(deltas.position(), Offset(600));
        for (last, reached_end, starts_over) in [(0, false, false), (0, true, true)] {
            let page = DeltaPage { starts_over, ..page(last, reached_end) };
            assert_eq!(deltas.handle_page(&page).unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn a_page_that_leads_nowhere_or_back_is_refused_and_keeps_the_position() {
        let version = Version::new(3).unwrap();
        let entry = Entry { key: "k".into(), value: "v".into(), version };
        let changed = |last| DeltaPage { entries: vec![entry.clone()], ..page(last, true) };
        for page in [page(10, false), page(9, false), changed(10), changed(9), changed(-1)] {
            let mut deltas = DeltaMachine::new(Offset(10));
            let error = deltas.handle_page(&page).unwrap_err();
            assert_eq!((error.kind(), deltas.position()), (ErrorKind::Protocol, Offset(10)));
        }
    }

    #[test]
    fn the_end_without_changes_keeps_the_position_whatever_it_is_said_to_be() {
        for last in [0, 9, 10, -1] {
            let mut deltas = DeltaMachine::new(Offset(10));
            deltas.handle_page(&page(last, true)).unwrap();
            assert_eq!(deltas.position(), Offset(10));
        }
    }
}
