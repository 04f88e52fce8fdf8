//! Paged listings as streams.
//!
//! A listing asks for the next page after the last item of a page, and ends at a page without
//! items that leads nowhere, as the controller does. A page whose items the caller may not see is
//! empty too, and leads on. An error is the last item; nothing is left out silently. The order is
//! not defined, and items that are created or removed during the listing may or may not appear.
//!
//! A listing ends whatever the server answers: a token that comes a second time, a long run of
//! pages without items, and more pages than any cluster fills are errors.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    hash::BuildHasher as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_types::{
    ErrorKind, Outcome, ReaderGroup, Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedStream,
    Tag,
};

use crate::{Controller, ControllerError, Page, PageToken};

type Keep<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type FetchPage<T> =
    Box<dyn Fn(PageToken) -> BoxFuture<'static, Result<Page<T>, ControllerError>> + Send + Sync>;

/// The items of a listing, fetched page by page.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next item loses nothing: the page in flight stays with the
/// listing.
#[must_use = "a listing does nothing until it is polled"]
pub struct Listing<T> {
    /// The call, and what it is about.
    what: &'static str,
    target: String,
    fetch: FetchPage<T>,
    keep: Option<Keep<T>>,
    items: VecDeque<T>,
    trail: Trail,
    state: State<T>,
}

enum State<T> {
    /// The next page is not yet requested.
    Next(PageToken),
    /// The page after the token is on its way.
    Fetching(PageToken, BoxFuture<'static, Result<Page<T>, ControllerError>>),
    /// The items of the last page come before this error.
    Failed(ControllerError),
    Ended,
}

/// Number of pages in one listing. Pages of the Java server have up to 1000 items.
const MAX_PAGES: usize = 100_000;
/// Number of pages without items in a row; the caller may not see what is in them.
const MAX_EMPTY_PAGES: usize = 10_000;

/// The tokens that a listing has followed.
#[derive(Default)]
struct Trail {
    /// The hash of each, as tokens may be long.
    seen: HashSet<u64>,
    /// Number of pages without items since the last one with items.
    empty: usize,
}

impl Trail {
    /// Notes that a page was requested.
    fn begin(&mut self, requested: &PageToken) {
        let hash = self.seen.hasher().hash_one(requested);
        self.seen.insert(hash);
    }

    /// Notes an answer that leads on; fails if the pages have no end.
    fn follow<T>(&mut self, page: &Page<T>) -> Result<(), ControllerError> {
        self.empty = if page.items.is_empty() { self.empty + 1 } else { 0 };
        let refused = |kind, detail: String| {
            // A listing changes nothing.
            Err(ControllerError::new(kind, Outcome::NotApplied, detail))
        };
        if self.seen.contains(&self.seen.hasher().hash_one(&page.next)) {
            let detail = "the server returned the same continuation token a second time, so the \
                          listing would have no end";
            return refused(ErrorKind::Protocol, detail.to_owned());
        }
        if self.empty >= MAX_EMPTY_PAGES {
            let detail = format!("the server returned {MAX_EMPTY_PAGES} pages without items");
            return refused(ErrorKind::Protocol, detail);
        }
        if self.seen.len() >= MAX_PAGES {
            let detail = format!("the listing has more than {MAX_PAGES} pages");
            return refused(ErrorKind::LimitReached, detail);
        }
        Ok(())
    }
}

impl<T> Listing<T> {
    fn new<F>(what: &'static str, target: &dyn fmt::Display, fetch: F) -> Self
    where
        F: Fn(PageToken) -> BoxFuture<'static, Result<Page<T>, ControllerError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            what,
            target: target.to_string(),
            fetch: Box::new(fetch),
            keep: None,
            items: VecDeque::new(),
            trail: Trail::default(),
            state: State::Next(PageToken::start()),
        }
    }

    /// Keeps only items for which `keep` returns true; errors stay.
    pub fn only(mut self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }
}

impl<T> Listing<T> {
    /// Takes the answer to the request with the token `requested`.
    fn take_page(&mut self, requested: &PageToken, answer: Result<Page<T>, ControllerError>) {
        self.state = match answer {
            Ok(page) if page.is_last(requested) => State::Ended,
            Ok(page) => {
                let followed = self.trail.follow(&page);
                self.items = page.items.into();
                match followed {
                    Ok(()) => State::Next(page.next),
                    Err(error) => State::Failed(error.with_operation(self.what, &self.target)),
                }
            }
            Err(error) => State::Failed(error),
        };
    }
}

impl<T: Unpin> Stream for Listing<T> {
    type Item = Result<T, ControllerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                if self.keep.as_ref().is_some_and(|keep| !keep(&item)) {
                    continue;
                }
                return Poll::Ready(Some(Ok(item)));
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Failed(error) => return Poll::Ready(Some(Err(error))),
                State::Next(token) => {
                    self.trail.begin(&token);
                    let page = (self.fetch)(token.clone());
                    self.state = State::Fetching(token, page);
                }
                State::Fetching(token, mut page) => {
                    let Poll::Ready(answer) = page.poll_unpin(context) else {
                        self.state = State::Fetching(token, page);
                        return Poll::Pending;
                    };
                    self.take_page(&token, answer);
                }
            }
        }
    }
}

impl<T> fmt::Debug for Listing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("fetched", &self.items.len()).finish_non_exhaustive()
    }
}

/// Lists all scopes.
pub fn scopes(controller: Arc<dyn Controller>) -> Listing<Scope> {
    Listing::new("listScopes", &"the cluster", move |token| {
        let controller = Arc::clone(&controller);
        async move { controller.scopes_page(&token).await }.boxed()
    })
}

/// Lists all streams of a scope, including internal ones.
pub fn streams(controller: Arc<dyn Controller>, scope: Scope) -> Listing<ScopedStream> {
    Listing::new("listStreamsInScope", &scope.clone(), move |token| {
        let (controller, scope) = (Arc::clone(&controller), scope.clone());
        async move { controller.streams_page(&scope, &token).await }.boxed()
    })
}

/// Lists all streams of a scope that have a tag.
pub fn streams_by_tag(
    controller: Arc<dyn Controller>,
    scope: Scope,
    tag: Tag,
) -> Listing<ScopedStream> {
    Listing::new("listStreamsInScopeForTag", &scope.clone(), move |token| {
        let (controller, scope, tag) = (Arc::clone(&controller), scope.clone(), tag.clone());
        async move { controller.streams_by_tag_page(&scope, &tag, &token).await }.boxed()
    })
}

/// Lists all key-value tables of a scope.
pub fn key_value_tables(
    controller: Arc<dyn Controller>,
    scope: Scope,
) -> Listing<ScopedKeyValueTable> {
    Listing::new("listKeyValueTablesInScope", &scope.clone(), move |token| {
        let (controller, scope) = (Arc::clone(&controller), scope.clone());
        async move { controller.key_value_tables_page(&scope, &token).await }.boxed()
    })
}

/// Lists all reader groups of a scope.
///
/// The controller has no such call: the groups are found by their internal streams, one for each.
pub fn reader_groups(controller: Arc<dyn Controller>, scope: Scope) -> Listing<ScopedReaderGroup> {
    Listing::new("listStreamsInScope", &scope.clone(), move |token| {
        let (controller, scope) = (Arc::clone(&controller), scope.clone());
        async move {
            let page = controller.streams_page(&scope, &token).await?;
            // A page without streams of groups leads on, as any page without visible items.
            let items = page.items.iter().filter_map(group_of).collect();
            Ok(Page { items, next: page.next })
        }
        .boxed()
    })
}

fn group_of(stream: &ScopedStream) -> Option<ScopedReaderGroup> {
    let name = stream.stream().as_str().strip_prefix("_RG")?;
    Some(ScopedReaderGroup::new(stream.scope().clone(), ReaderGroup::new(name).ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::StreamExt as _;
    use pravega_sdk_types::{ErrorKind, Outcome};

    use super::*;

    /// Pages of two numbers each up to `end`; the page at `fails` fails.
    fn numbers(end: u32, fails: u32) -> Listing<u32> {
        Listing::new("list", &"numbers", move |token| {
            let start: u32 = token.0.parse().unwrap_or(0);
            async move {
                if start >= fails {
                    return Err(ControllerError::new(
                        ErrorKind::Unavailable,
                        Outcome::NotApplied,
                        "down",
                    ));
                }
                let items: Vec<u32> = (start..end).take(2).collect();
                // The controller repeats the last token at the end instead of clearing it.
                let next = start + items.len() as u32;
                Ok(Page { items, next: PageToken(next.to_string()) })
            }
            .boxed()
        })
    }

    #[tokio::test]
    async fn a_listing_ends_at_the_page_without_items() {
        for end in [0, 1, 2, 5] {
            let all: Vec<u32> = numbers(end, u32::MAX).map(Result::unwrap).collect().await;
            assert_eq!(all, (0..end).collect::<Vec<_>>());
        }
    }

    /// As with authorization, where the controller leaves out what the caller may not see.
    #[tokio::test]
    async fn a_page_without_visible_items_does_not_end_a_listing() {
        for hidden in [0..2, 2..6, 8..10, 0..10] {
            let is_hidden = hidden.clone();
            let visible = Listing::new("list", &"numbers", move |token| {
                let hidden = is_hidden.clone();
                let start: u32 = token.0.parse().unwrap_or(0);
                let items = (start..10).take(2);
                let next = PageToken((start + items.len() as u32).to_string());
                let items = items.filter(|number| !hidden.contains(number)).collect();
                async move { Ok(Page { items, next }) }.boxed()
            });
            let all: Vec<u32> = visible.map(Result::unwrap).collect().await;
            let expected: Vec<u32> = (0..10).filter(|number| !hidden.contains(number)).collect();
            assert_eq!(all, expected, "without {hidden:?}");
        }
    }

    #[tokio::test]
    async fn an_error_is_the_last_item() {
        let mut listing = numbers(10, 4);
        for expected in 0..4 {
            assert_eq!(listing.next().await.unwrap().unwrap(), expected);
        }
        assert!(listing.next().await.unwrap().is_err());
        assert!(listing.next().await.is_none());
    }

    /// Collects the numbers up to the error that ends a listing.
    async fn up_to_error(mut listing: Listing<u32>) -> (Vec<u32>, ControllerError) {
        let mut items = Vec::new();
        let error = loop {
            match listing.next().await.expect("an error ends the listing") {
                Ok(item) => items.push(item),
                Err(error) => break error,
            }
        };
        assert!(listing.next().await.is_none(), "after the error");
        (items, error)
    }

    /// A listing whose server answers the request number `n`, from 0, with `page(n)`.
    fn served(page: impl Fn(u32) -> (Vec<u32>, String) + Send + Sync + 'static) -> Listing<u32> {
        let requests = AtomicU32::new(0);
        Listing::new("list", &"numbers", move |_| {
            let (items, next) = page(requests.fetch_add(1, Ordering::Relaxed));
            async move { Ok(Page { items, next: PageToken(next) }) }.boxed()
        })
    }

    #[tokio::test]
    async fn a_token_that_comes_a_second_time_ends_a_listing_in_an_error() {
        // Before it comes again: no other page, one, several; the first page's token is empty.
        for (tokens, pages) in
            [(&["a"][..], 2), (&["a", "b"], 3), (&["a", "b", "c", "b"], 4), (&[""], 1)]
        {
            let listing = served(move |request| {
                let token = tokens[request as usize % tokens.len()];
                (vec![request], token.to_owned())
            });
            let (items, error) = up_to_error(listing).await;
            assert_eq!(items, (0..pages).collect::<Vec<_>>(), "{tokens:?}");
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::NotApplied));
            assert!(error.to_string().contains("list of numbers"), "{error}");
        }
        // Pages without items, which are not the last ones.
        let listing = served(|request| (Vec::new(), ["a", "b"][request as usize % 2].to_owned()));
        assert_eq!(up_to_error(listing).await.1.kind(), ErrorKind::Protocol);
    }

    #[tokio::test]
    async fn pages_without_end_end_in_an_error() {
        let empty = served(|request| (Vec::new(), request.to_string()));
        let (_, error) = up_to_error(empty).await;
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let full = served(|request| (vec![request], request.to_string()));
        let (items, error) = up_to_error(full).await;
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(items.len(), MAX_PAGES);
    }

    /// A caller that may see few streams of a large scope.
    #[tokio::test]
    async fn many_pages_without_visible_items_do_not_end_a_listing() {
        let last = 3 * MAX_EMPTY_PAGES as u32;
        let listing = served(move |request| {
            let is_visible = request % (MAX_EMPTY_PAGES as u32 - 1) == 0;
            let items = if is_visible { vec![request] } else { Vec::new() };
            (items, if request < last { request.to_string() } else { String::new() })
        });
        let items: Vec<u32> = listing.map(Result::unwrap).collect().await;
        assert_eq!(items.len(), 4);
    }
}
