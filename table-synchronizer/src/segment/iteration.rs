//! The items and the changes of a table segment as streams.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_segment_client::seeded_bugs::SeededBug;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::TableKey;
use tokio::time::sleep;

use super::{
    driver::{Driver, present, version_of},
    machine::{DeltaMachine, DeltaPage, PageMachine, PageRequest},
};
use crate::{
    entry::{Entry, VersionedKey},
    error::TableError,
};

/// The shortest pause between two questions for changes: without one they would spin.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// The keys or entries of a table segment, fetched page by page. After an error it ends.
///
/// It is no snapshot: items that are changed during the iteration may or may not appear. The next
/// page is fetched while the items of one are taken.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next item loses nothing: the page in flight stays with the
/// stream.
#[must_use = "an iteration does nothing until it is polled"]
pub struct TableItems<T> {
    driver: Driver,
    fetch: fn(Driver, PageRequest) -> PageFuture<T>,
    key_of: fn(&T) -> &Bytes,
    pages: PageMachine,
    items: VecDeque<T>,
    fetching: Option<Fetching<T>>,
    /// The page after `items`, as it arrived.
    arrived: Option<Result<Page<T>, TableError>>,
}

type PageFuture<T> = BoxFuture<'static, Result<Page<T>, TableError>>;

/// A page on its way.
struct Fetching<T> {
    page: PageFuture<T>,
    /// True if it was requested while there were items to take. Its time may pass without a poll,
    /// so a failure is not the last word.
    is_ahead: bool,
}

struct Page<T> {
    items: Vec<T>,
    token: Bytes,
}

impl TableItems<VersionedKey> {
    pub(super) fn keys(driver: Driver, pages: PageMachine) -> Self {
        Self::new(
            driver,
            pages,
            |key| &key.key,
            |driver, request| {
                async move {
                    let page = driver.key_page(&request).await?;
                    let key = |key: TableKey| {
                        Ok(VersionedKey { version: version_of(&key)?, key: key.data })
                    };
                    let items =
                        page.keys.into_iter().map(key).collect::<Result<_, TableError>>()?;
                    Ok(Page { items, token: page.continuation_token })
                }
                .boxed()
            },
        )
    }
}

impl TableItems<Entry> {
    pub(super) fn entries(driver: Driver, pages: PageMachine) -> Self {
        Self::new(
            driver,
            pages,
            |entry| &entry.key,
            |driver, request| {
                async move {
                    let page = driver.entry_page(&request).await?;
                    let items = page.entries.into_iter().map(present).collect::<Result<_, _>>()?;
                    Ok(Page { items, token: page.continuation_token })
                }
                .boxed()
            },
        )
    }
}

impl<T> TableItems<T> {
    fn new(
        driver: Driver,
        pages: PageMachine,
        key_of: fn(&T) -> &Bytes,
        fetch: fn(Driver, PageRequest) -> PageFuture<T>,
    ) -> Self {
        let (items, pages) = (VecDeque::new(), pages.with_bugs(driver.config.bugs));
        Self { driver, fetch, key_of, pages, items, fetching: None, arrived: None }
    }

    fn take(&mut self, page: Result<Page<T>, TableError>) -> Result<(), TableError> {
        let Page { items, token } = page?;
        self.pages.handle_page(items.iter().map(self.key_of), &token)?;
        self.items = items.into();
        Ok(())
    }

    /// Begins to fetch the next page, and goes on with it.
    fn fetch(&mut self, context: &mut Context<'_>) {
        if self.arrived.is_some() {
            return;
        }
        loop {
            if self.fetching.is_none() {
                let Some(request) = self.pages.next().cloned() else { return };
                let page = (self.fetch)(self.driver.clone(), request);
                self.fetching = Some(Fetching { page, is_ahead: !self.items.is_empty() });
            }
            let Some(fetching) = &mut self.fetching else { return };
            let Poll::Ready(page) = fetching.page.poll_unpin(context) else { return };
            let is_again = fetching.is_ahead && page.as_ref().is_err_and(TableError::is_retryable);
            self.fetching = None;
            if !is_again {
                self.arrived = Some(page);
                return;
            }
            if !self.items.is_empty() {
                // It is requested again with the next item.
                return;
            }
        }
    }
}

impl<T: Unpin> Stream for TableItems<T> {
    type Item = Result<T, TableError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.fetch(context);
            if let Some(item) = self.items.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(page) = self.arrived.take() else {
                return if self.fetching.is_some() { Poll::Pending } else { Poll::Ready(None) };
            };
            if let Err(error) = self.take(page) {
                self.pages.end();
                return Poll::Ready(Some(Err(self.driver.name("iterating over", error))));
            }
        }
    }
}

impl<T> fmt::Debug for TableItems<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (segment, items) = (&self.driver.segment, self.items.len());
        f.debug_struct("TableItems")
            .field("segment", &format_args!("{segment}"))
            .field("items", &items)
            .finish_non_exhaustive()
    }
}

/// What happens at the end of the changes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// The stream ends.
    UntilEnd,
    /// The table is asked for new changes, with a pause of this length in between.
    Every(Duration),
}

/// Changes of a hash table since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableDelta {
    /// What a caller that knows the entries up to the position before does with them.
    pub known: Known,
    /// The entries that were put, in no order, each with its newest version at the time; keys that
    /// were removed since are left out.
    pub entries: Vec<Entry>,
    /// The position after these changes, from which reading can be resumed.
    pub position: Offset,
}

/// What a delta means for the entries that its receiver knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// They are still valid, and the delta adds to them.
    Kept,
    /// They are obsolete: the server no longer has the changes since the position that was asked
    /// for, and returns all entries.
    Obsolete,
}

/// The changes of a hash table, page by page; see [`TableSegment::deltas`](super::TableSegment).
/// After an error it ends, and reading can be resumed from the position of the last delta.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next delta loses nothing: the page in flight stays with the
/// stream.
#[must_use = "changes are not read until the stream is polled"]
pub struct TableDeltas {
    driver: Driver,
    deltas: DeltaMachine,
    following: Following,
    state: State,
}

enum State {
    /// The next page is not yet requested.
    Next,
    /// The next page is requested after the pause.
    Resting,
    Fetching(BoxFuture<'static, Result<DeltaPage, TableError>>),
    Ended,
}

impl TableDeltas {
    pub(super) fn new(driver: Driver, from: Offset, following: Following) -> Self {
        Self { driver, deltas: DeltaMachine::new(from), following, state: State::Next }
    }

    /// Returns the position after the last delta.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.deltas.position()
    }

    fn request(&self, pause: Option<Duration>) -> State {
        let (driver, from) = (self.driver.clone(), self.deltas.position());
        let fetching = async move {
            if let Some(pause) = pause {
                sleep(pause.max(MIN_PAUSE)).await;
            }
            driver.delta_page(from).await
        };
        State::Fetching(fetching.boxed())
    }

    /// Takes a page; `None` if it has nothing new.
    fn take(
        &mut self,
        page: Result<DeltaPage, TableError>,
    ) -> Result<Option<TableDelta>, TableError> {
        let mut page = page?;
        self.deltas.handle_page(&page)?;
        if !page.reached_end && self.driver.config.bugs.has(SeededBug::SkipsDeltas) {
            page.entries.clear();
        }
        self.state = match (page.reached_end, self.following) {
            (false, _) => State::Next,
            (true, Following::UntilEnd) => State::Ended,
            (true, Following::Every(_)) => State::Resting,
        };
        let known = if page.starts_over { Known::Obsolete } else { Known::Kept };
        let is_new = known == Known::Obsolete || !page.entries.is_empty();
        let (entries, position) = (page.entries, self.deltas.position());
        Ok(is_new.then_some(TableDelta { known, entries, position }))
    }
}

impl Stream for TableDeltas {
    type Item = Result<TableDelta, TableError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let following = self.following;
            let page = match (&mut self.state, following) {
                (State::Ended, _) => return Poll::Ready(None),
                (State::Resting, Following::Every(pause)) => {
                    self.state = self.request(Some(pause));
                    continue;
                }
                (State::Next | State::Resting, _) => {
                    self.state = self.request(None);
                    continue;
                }
                (State::Fetching(fetching), _) => ready!(fetching.poll_unpin(context)),
            };
            self.state = State::Ended;
            match self.take(page) {
                Ok(None) => {}
                Ok(Some(delta)) => return Poll::Ready(Some(Ok(delta))),
                Err(error) => {
                    return Poll::Ready(Some(Err(self.driver.name("following", error))));
                }
            }
        }
    }
}

impl fmt::Debug for TableDeltas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = &self.driver.segment;
        f.debug_struct("TableDeltas")
            .field("segment", &format_args!("{segment}"))
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
