//! Where an iteration over a table segment continues.
//!
//! A hash table returns a token with each page, which continues after it; a page without items has
//! an empty token, which would start over, so it is the end. A table with keys of one length takes
//! no token: the next page begins with the key after the last one. Neither may go on forever,
//! whatever the server answers: keys must rise, and tokens must not repeat.

use std::ops::RangeInclusive;

use bytes::Bytes;

use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_types::{ErrorKind, Outcome};

use super::limits::TableKind;
use crate::error::TableError;

/// The request for a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PageRequest {
    pub(crate) continuation: Bytes,
    pub(crate) from: Bytes,
    pub(crate) to: Bytes,
}

/// Decides about one iteration.
#[derive(Debug)]
pub(crate) struct PageMachine {
    next: Option<PageRequest>,
    order: Order,
    bugs: Bugs,
}

#[derive(Debug)]
enum Order {
    Hash(Tokens),
    /// The length of the keys.
    Keys(usize),
}

/// Finds a repeated token in constant memory, as Brent's algorithm does: one token is kept, for
/// twice as many pages each time, and compared with all that follow.
#[derive(Debug, Default)]
struct Tokens {
    kept: Bytes,
    since: u64,
    until: u64,
}

impl PageMachine {
    /// Begins an iteration over a whole table.
    pub(crate) fn all(kind: TableKind) -> Self {
        match kind {
            TableKind::Hash => {
                let (next, order) = (Some(PageRequest::default()), Order::Hash(Tokens::default()));
                Self { next, order, bugs: Bugs::default() }
            }
            TableKind::FixedKeys(len) => {
                let (first, last) = (vec![0; len.get()], vec![0xFF; len.get()]);
                Self::between(len.get(), first.into()..=last.into())
            }
        }
    }

    /// Begins an iteration over a range of the keys of a table with keys of one length.
    ///
    /// # Errors
    ///
    /// [`TableError`]: [`Unsupported`](ErrorKind::Unsupported) for a hash table, and
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if an end of the range does not have the
    /// length of the keys.
    pub(crate) fn range(kind: TableKind, range: RangeInclusive<Bytes>) -> Result<Self, TableError> {
        let TableKind::FixedKeys(len) = kind else {
            let detail = "a range of keys can be read only of a table whose keys have one length";
            return Err(TableError::new(ErrorKind::Unsupported, Outcome::NotApplied, detail));
        };
        for end in [range.start(), range.end()] {
            if end.len() != len.get() {
                return Err(TableError::invalid(format_args!(
                    "an end of the range has {} bytes, and the keys of the table {len}",
                    end.len()
                )));
            }
        }
        Ok(Self::between(len.get(), range))
    }

    fn between(len: usize, range: RangeInclusive<Bytes>) -> Self {
        let (from, to) = range.into_inner();
        let next = PageRequest { continuation: Bytes::new(), from, to };
        let next = Some(next).filter(|next| next.from <= next.to);
        Self { next, order: Order::Keys(len), bugs: Bugs::default() }
    }

    /// Switches seeded bugs on.
    pub(crate) fn with_bugs(mut self, bugs: Bugs) -> Self {
        self.bugs = bugs;
        self
    }

    /// Returns the page to request next; `None` at the end.
    pub(crate) fn next(&self) -> Option<&PageRequest> {
        self.next.as_ref()
    }

    /// Ends the iteration.
    pub(crate) fn end(&mut self) {
        self.next = None;
    }

    /// A page arrived with these keys and this token.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the page does not continue the one before. The iteration has ended then.
    pub(crate) fn handle_page<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k Bytes>,
        token: &Bytes,
    ) -> Result<(), TableError> {
        let Some(requested) = self.next.take() else { return Ok(()) };
        let broken = |detail: &str| Err(TableError::protocol(Outcome::NotApplied, detail));
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_none() {
            return Ok(());
        }
        match &mut self.order {
            Order::Hash(tokens) => {
                if token.is_empty() {
                    return broken("the server returned a page of a table without the next page");
                }
                if tokens.has(token) {
                    return broken(
                        "the server returned the same page of a table a second time, so the \
                         iteration would have no end",
                    );
                }
                self.next = Some(PageRequest { continuation: token.clone(), ..requested });
            }
            Order::Keys(len) => {
                let mut last: Option<&Bytes> = None;
                for key in keys {
                    let is_after = last.is_none_or(|last| last < key);
                    let is_within = (&requested.from..=&requested.to).contains(&key);
                    if key.len() != *len || !is_after || !is_within {
                        return broken("the server returned keys out of order or of the range");
                    }
                    last = Some(key);
                }
                let mut from = last.and_then(|last| next_key(last));
                if self.bugs.has(SeededBug::SkipsBetweenPages) {
                    from = from.and_then(|from| next_key(&from));
                }
                let from = from.filter(|from| *from <= requested.to);
                self.next = from.map(|from| PageRequest { from, ..requested });
            }
        }
        Ok(())
    }
}

impl Tokens {
    /// Returns true if a token was there before; else keeps it at times.
    fn has(&mut self, token: &Bytes) -> bool {
        if *token == self.kept {
            return true;
        }
        self.since += 1;
        if self.since >= self.until {
            (self.kept, self.since, self.until) = (token.clone(), 0, self.until.max(1) * 2);
        }
        false
    }
}

/// Returns the key of the same length that follows in the order of keys; `None` after the last.
pub(crate) fn next_key(key: &[u8]) -> Option<Bytes> {
    let mut next = key.to_vec();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::machine::KeyLength;

    fn fixed(len: u32) -> TableKind {
        TableKind::FixedKeys(KeyLength::new(len).unwrap())
    }

    fn keys(keys: &[&'static [u8]]) -> Vec<Bytes> {
        keys.iter().map(|key| Bytes::from_static(key)).collect()
    }

    fn range(from: &'static [u8], to: &'static [u8]) -> RangeInclusive<Bytes> {
        Bytes::from_static(from)..=Bytes::from_static(to)
    }

    #[test]
    fn keys_of_one_length_continue_after_the_last_one_up_to_the_end() {
        let mut pages = PageMachine::range(fixed(2), range(&[0, 0], &[1, 2])).unwrap();
        pages.handle_page(&keys(&[&[0, 0xFF]]), &"token".into()).unwrap();
        let next = pages.next().unwrap();
        assert_eq!(
            (&next.from[..], &next.to[..], next.continuation.len()),
            (&[1, 0][..], &[1, 2][..], 0)
        );
        pages.handle_page(&keys(&[&[1, 0], &[1, 2]]), &"token".into()).unwrap();
        assert_eq!(pages.next(), None, "the end of the range was returned");
        let mut pages = PageMachine::all(fixed(1));
        pages.handle_page(&keys(&[&[0xFF]]), &Bytes::new()).unwrap();
        assert_eq!(pages.next(), None, "no key follows the last one");
        let mut pages = PageMachine::all(fixed(1));
        pages.handle_page(&[], &Bytes::new()).unwrap();
        assert_eq!(pages.next(), None, "a page without keys is the end");
        assert!(PageMachine::range(fixed(1), range(&[2], &[1])).unwrap().next().is_none());
    }

    #[test]
    fn keys_that_do_not_rise_or_are_out_of_range_end_the_iteration() {
        for page in [
            keys(&[&[2], &[1]]),
            keys(&[&[2], &[2]]),
            keys(&[&[0]]),
            keys(&[&[9]]),
            keys(&[&[2, 0]]),
        ] {
            let mut pages = PageMachine::range(fixed(1), range(&[1], &[8])).unwrap();
            let error = pages.handle_page(&page, &Bytes::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{page:?}");
            assert_eq!(pages.next(), None);
        }
    }

    #[test]
    fn a_hash_table_continues_with_the_token_and_ends_with_a_page_without_items() {
        let mut pages = PageMachine::all(TableKind::Hash);
        assert_eq!(pages.next(), Some(&PageRequest::default()));
        pages.handle_page(&keys(&[b"b", b"a"]), &"t1".into()).unwrap();
        assert_eq!(pages.next().unwrap().continuation, "t1");
        pages.handle_page(&[], &Bytes::new()).unwrap();
        assert_eq!(pages.next(), None);
        let mut pages = PageMachine::all(TableKind::Hash);
        let error = pages.handle_page(&keys(&[b"a"]), &Bytes::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "an empty token would start over");
    }

    #[test]
    fn tokens_that_repeat_end_the_iteration_however_long_the_circle_is() {
        for (lead, circle) in [(0, 1), (0, 2), (3, 1), (5, 7), (100, 1000)] {
            let mut pages = PageMachine::all(TableKind::Hash);
            let mut requests = 0;
            while pages.next().is_some() {
                let number =
                    if requests < lead { requests } else { lead + (requests - lead) % circle };
                let token = Bytes::from(number.to_string());
                requests += 1;
                if pages.handle_page(&keys(&[b"k"]), &token).is_err() {
                    break;
                }
                assert!(requests < 4 * (lead + circle) + 8, "{lead} {circle}");
            }
            assert!(requests > lead, "{lead} {circle}");
        }
        let mut pages = PageMachine::all(TableKind::Hash);
        for number in 0..1000 {
            pages.handle_page(&keys(&[b"k"]), &Bytes::from(number.to_string())).unwrap();
        }
    }

    #[test]
    fn a_range_needs_keys_of_one_length_and_ends_of_that_length() {
        let kind = |kind, range| PageMachine::range(kind, range).unwrap_err().kind();
        assert_eq!(kind(TableKind::Hash, range(b"a", b"b")), ErrorKind::Unsupported);
        assert_eq!(kind(fixed(2), range(b"a", b"bb")), ErrorKind::InvalidArgument);
        assert_eq!(kind(fixed(2), range(b"aa", b"b")), ErrorKind::InvalidArgument);
    }
}
