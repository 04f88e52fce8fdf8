//! The entries of several partitions as one stream, in the order of their keys.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream::BoxStream};

use crate::{error::TableError, segment::TableItems};

/// The entries or keys of a key-value table, in the order of their keys, fetched page by page from
/// all partitions that have some. After an error it ends.
///
/// It is no snapshot: items that are changed during the iteration may or may not appear.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next item loses nothing: the pages in flight stay with the
/// stream.
#[must_use = "an iteration does nothing until it is polled"]
pub struct KeyValueItems<T>(BoxStream<'static, Result<T, TableError>>);

impl<T> KeyValueItems<T> {
    /// Merges the items of partitions; `convert` also receives the index of the partition.
    pub(super) fn new<S: Unpin + Send + 'static>(
        parts: Vec<TableItems<S>>,
        key_of: fn(&S) -> &Bytes,
        convert: impl Fn(usize, S) -> Result<T, TableError> + Send + Sync + 'static,
    ) -> Self
    where
        T: 'static,
    {
        let open = |items| Part { items: Some(items), first: None };
        let parts = parts.into_iter().map(open).collect();
        Self(Merged { parts, key_of, convert: Box::new(convert) }.boxed())
    }
}

impl<T> Stream for KeyValueItems<T> {
    type Item = Result<T, TableError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for KeyValueItems<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueItems").finish_non_exhaustive()
    }
}

/// The items of all partitions.
struct Merged<S, T> {
    parts: Vec<Part<S>>,
    key_of: fn(&S) -> &Bytes,
    convert: Box<Convert<S, T>>,
}

type Convert<S, T> = dyn Fn(usize, S) -> Result<T, TableError> + Send + Sync;

/// The items of one partition.
struct Part<S> {
    /// `None` after the last one.
    items: Option<TableItems<S>>,
    /// The first item that was not yet returned.
    first: Option<S>,
}

impl<S: Unpin> Part<S> {
    /// Returns true once the first item is known, or that there is none.
    fn poll(&mut self, context: &mut Context<'_>) -> Result<bool, TableError> {
        let Some(items) = &mut self.items else { return Ok(true) };
        if self.first.is_some() {
            return Ok(true);
        }
        match Pin::new(items).poll_next(context) {
            Poll::Pending => Ok(false),
            Poll::Ready(Some(item)) => {
                self.first = Some(item?);
                Ok(true)
            }
            Poll::Ready(None) => {
                self.items = None;
                Ok(true)
            }
        }
    }
}

impl<S: Unpin, T> Stream for Merged<S, T> {
    type Item = Result<T, TableError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut is_known = true;
        for part in &mut this.parts {
            // Each is polled, so that all fetch their pages at the same time.
            match part.poll(context) {
                Ok(known) => is_known &= known,
                Err(error) => {
                    this.parts.clear();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        if !is_known {
            return Poll::Pending;
        }
        let key_of = this.key_of;
        let firsts = this.parts.iter_mut().enumerate().filter(|(_, part)| part.first.is_some());
        let lowest = firsts.min_by(|(_, one), (_, other)| {
            one.first.as_ref().map(key_of).cmp(&other.first.as_ref().map(key_of))
        });
        let taken = lowest.and_then(|(index, part)| Some((index, part.first.take()?)));
        let Some((index, item)) = taken else { return Poll::Ready(None) };
        let converted = (this.convert)(index, item);
        if converted.is_err() {
            this.parts.clear();
        }
        Poll::Ready(Some(converted))
    }
}
