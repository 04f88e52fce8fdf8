//! Names and tags.

use pravega_sdk_types::{Scope, ScopedStream, Tag};

pub(super) fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| Tag::new(*name).unwrap()).collect()
}

pub(super) fn stream_in(scope: &Scope, name: &str) -> ScopedStream {
    ScopedStream::new(scope.clone(), name.parse().unwrap())
}
