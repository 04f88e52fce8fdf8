//! Paged listings as streams.
//!
//! A listing asks for the next page after the last item of a page, and ends at a page without
//! items that leads nowhere, as the controller does. A page whose items the caller may not see is
//! empty too, and leads on. An error is the last item; nothing is left out silently. The order is
//! not defined, and items that are created or removed during the listing may or may not appear.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_util::{FutureExt as _, future::BoxFuture};
use pravega_sdk_types::{
    ReaderGroup, Scope, ScopedKeyValueTable, ScopedReaderGroup, ScopedStream, Tag,
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
    fetch: FetchPage<T>,
    keep: Option<Keep<T>>,
    items: VecDeque<T>,
    state: State<T>,
}

enum State<T> {
    /// The next page is not yet requested.
    Next(PageToken),
    /// The page after the token is on its way.
    Fetching(PageToken, BoxFuture<'static, Result<Page<T>, ControllerError>>),
    Ended,
}

impl<T> Listing<T> {
    fn new<F>(fetch: F) -> Self
    where
        F: Fn(PageToken) -> BoxFuture<'static, Result<Page<T>, ControllerError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            fetch: Box::new(fetch),
            keep: None,
            items: VecDeque::new(),
            state: State::Next(PageToken::start()),
        }
    }

    /// Keeps only items for which `keep` returns true; errors stay.
    pub fn only(mut self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Box::new(keep));
        self
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
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Next(token) => {
                    let token = std::mem::take(token);
                    let page = (self.fetch)(token.clone());
                    self.state = State::Fetching(token, page);
                }
                State::Fetching(token, page) => match ready!(page.poll_unpin(context)) {
                    Ok(page) if page.is_last(token) => self.state = State::Ended,
                    Ok(page) => {
                        self.items = page.items.into();
                        self.state = State::Next(page.next);
                    }
                    Err(error) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
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
    Listing::new(move |token| {
        let controller = Arc::clone(&controller);
        async move { controller.scopes_page(&token).await }.boxed()
    })
}

/// Lists all streams of a scope, including internal ones.
pub fn streams(controller: Arc<dyn Controller>, scope: Scope) -> Listing<ScopedStream> {
    Listing::new(move |token| {
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
    Listing::new(move |token| {
        let (controller, scope, tag) = (Arc::clone(&controller), scope.clone(), tag.clone());
        async move { controller.streams_by_tag_page(&scope, &tag, &token).await }.boxed()
    })
}

/// Lists all key-value tables of a scope.
pub fn key_value_tables(
    controller: Arc<dyn Controller>,
    scope: Scope,
) -> Listing<ScopedKeyValueTable> {
    Listing::new(move |token| {
        let (controller, scope) = (Arc::clone(&controller), scope.clone());
        async move { controller.key_value_tables_page(&scope, &token).await }.boxed()
    })
}

/// Lists all reader groups of a scope.
///
/// The controller has no such call: the groups are found by their internal streams, one for each.
pub fn reader_groups(controller: Arc<dyn Controller>, scope: Scope) -> Listing<ScopedReaderGroup> {
    Listing::new(move |token| {
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
    use futures_util::StreamExt as _;
    use pravega_sdk_types::{ErrorKind, Outcome};

    use super::*;

    /// Pages of two numbers each up to `end`; the page at `fails` fails.
    fn numbers(end: u32, fails: u32) -> Listing<u32> {
        Listing::new(move |token| {
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
            let visible = Listing::new(move |token| {
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
}
