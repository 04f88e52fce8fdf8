//! Long lists as JSON: taken from the catalog slice by slice, and sent as they come.
//!
//! Pravega's REST interface has no pages, so the pieces of one response are what bounds the time
//! under the lock and the memory of a client that reads slowly.

use std::{collections::VecDeque, io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse as _,
};
use futures_util::{StreamExt as _, stream};
use pravega_sdk_server_core::{
    access::Need,
    catalog::{Catalog, Slice},
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    call::{Answer, Refusal, call, caller},
    limits::{CALL_TIMEOUT, PIECE_LEN},
};
use crate::{identity, state::ServerState};

/// A list of the catalog, and its JSON.
pub(super) trait List: Send + Sync + 'static {
    /// An entry.
    type Item: Send;
    /// Where a slice begins.
    type Place: Clone + Send + Sync;

    /// What the list needs to be allowed.
    fn needs(&self) -> Need<'_>;

    /// What an entry needs to be allowed: without, it is not in the list.
    fn needs_of<'a>(&'a self, _: &'a Self::Item) -> Need<'a> {
        Need::Nothing
    }

    /// The slice from a place on; `None` if what is listed does not exist.
    fn slice(
        &self,
        catalog: &Catalog,
        from: Option<&Self::Place>,
    ) -> Option<Slice<Self::Item, Self::Place>>;

    /// The JSON around the entries.
    fn around(&self) -> Around;

    /// Adds the JSON of an entry, or of the first part of a long one; returns the rest of it.
    fn put(&mut self, item: Self::Item, to: &mut Json) -> Option<Self::Item>;
}

/// The JSON before and after the entries of a list, and that of a list without any.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) before: String,
    pub(super) after: &'static str,
    pub(super) empty: String,
}

/// JSON that is sent in pieces.
#[derive(Debug, Default)]
pub(super) struct Json {
    out: Vec<u8>,
    has_entries: bool,
}

impl Json {
    /// Adds text as it is.
    pub(super) fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Adds an entry of the list, after a comma if it is not the first one.
    pub(super) fn entry(&mut self, entry: &impl Serialize) {
        self.comma();
        self.value(entry);
    }

    /// Separates an entry from those before it.
    pub(super) fn comma(&mut self) {
        if self.has_entries {
            self.text(",");
        }
        self.has_entries = true;
    }

    #[cfg(test)]
    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.out).unwrap()
    }

    /// Adds a value.
    pub(super) fn value(&mut self, value: &impl Serialize) {
        // Plain values with text as keys become JSON, and memory can be written to.
        serde_json::to_writer(&mut self.out, value).ok();
    }
}

/// Responds with a whole list.
pub(super) async fn list<L: List>(state: Arc<ServerState>, headers: HeaderMap, list: L) -> Answer {
    let (items, json) = (VecDeque::new(), Json::default());
    let mut pieces = Pieces { state, headers, list, next: Next::First, items, json };
    let first = pieces.take().await?;
    let body = if pieces.is_done() {
        Body::from(first)
    } else {
        let later = stream::try_unfold(pieces, |mut pieces| async {
            if pieces.is_done() {
                return Ok(None);
            }
            let piece = pieces.take().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Some((piece, pieces)))
        });
        Body::from_stream(stream::iter([Ok(first)]).chain(later))
    };
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The pieces of a response.
struct Pieces<L: List> {
    state: Arc<ServerState>,
    headers: HeaderMap,
    list: L,
    next: Next<L::Place>,
    /// The entries of the last slice that are not written.
    items: VecDeque<L::Item>,
    json: Json,
}

/// The slice that follows.
enum Next<Place> {
    First,
    From(Place),
    Nothing,
}

impl<L: List> Pieces<L> {
    fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing) && self.items.is_empty()
    }

    /// The next piece, with the end of the list if it is the last one.
    async fn take(&mut self) -> Result<Bytes, Refusal> {
        let around = self.list.around();
        if matches!(self.next, Next::First) {
            self.slice().await?;
            if self.is_done() {
                return Ok(around.empty.into());
            }
            self.json.text(&around.before);
        }
        while self.json.out.len() < PIECE_LEN && !self.is_done() {
            match self.items.pop_front() {
                Some(item) => {
                    if let Some(rest) = self.list.put(item, &mut self.json) {
                        self.items.push_front(rest);
                    }
                }
                None => self.slice().await?,
            }
        }
        if self.is_done() {
            self.json.text(around.after);
        }
        Ok(std::mem::take(&mut self.json.out).into())
    }

    /// Takes the next slice.
    async fn slice(&mut self) -> Result<(), Refusal> {
        let from = match &self.next {
            Next::From(place) => Some(place),
            Next::First | Next::Nothing => None,
        };
        // Other tasks of the thread have their turn between two slices.
        tokio::task::yield_now().await;
        let need = (&self.headers, self.list.needs());
        let slice = call(&self.state, need, |catalog, _| self.list.slice(catalog, from));
        let slice =
            timeout(CALL_TIMEOUT, slice).await.map_err(|_| StatusCode::GATEWAY_TIMEOUT)??;
        let slice = slice.ok_or(StatusCode::NOT_FOUND)?;
        let caller = caller(&self.state, &self.headers).await?;
        let is_shown = |item: &L::Item| {
            let need = self.list.needs_of(item);
            identity::authorize(&caller, &need).is_ok()
        };
        self.items.extend(slice.items.into_iter().filter(is_shown));
        self.next = slice.next.map_or(Next::Nothing, Next::From);
        Ok(())
    }
}
