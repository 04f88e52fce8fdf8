//! How a call ended, whatever it returns.

use std::io;

use pravega_sdk_event_stream::{CloseReport, ReadError, WriteError};
use pravega_sdk_types::{Classified, ErrorKind, Outcome};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It returned what it was asked for.
    Works,
    /// It failed.
    Fails(ErrorKind, Outcome),
}

/// Anything that a public call returns.
pub(crate) trait Told {
    /// Returns how the call ended.
    fn seen(self) -> Seen;
}

fn failed(error: &impl Classified) -> Seen {
    Seen::Fails(error.kind(), error.outcome())
}

impl<T, E: Classified> Told for Result<T, E> {
    fn seen(self) -> Seen {
        self.map_or_else(|error| failed(&error), |_| Seen::Works)
    }
}

impl<T, E: Classified> Told for Option<Result<T, E>> {
    fn seen(self) -> Seen {
        self.map_or(Seen::Works, Told::seen)
    }
}

impl Told for CloseReport {
    fn seen(self) -> Seen {
        self.into_result().seen()
    }
}

/// The connections that were not closed in order.
impl<T> Told for Vec<T> {
    fn seen(self) -> Seen {
        Seen::Works
    }
}

/// The result of a call through a trait of the standard library or of tokio.
pub(crate) struct Io<T>(pub(crate) io::Result<T>);

impl<T> Told for Io<T> {
    fn seen(self) -> Seen {
        let Err(error) = self.0 else { return Seen::Works };
        let inner = error.get_ref().expect("the SDK's own error");
        let write = inner.downcast_ref::<WriteError>().map(failed);
        write.or_else(|| inner.downcast_ref::<ReadError>().map(failed)).expect("a known error")
    }
}
