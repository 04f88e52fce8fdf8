//! What all crates of the process log, at the finest level.
//!
//! The values of spans and events are scanned as they are recorded: no filter, no format and no
//! escape of a subscriber is between a crate and the scanner.

use std::{
    error::Error,
    fmt::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

use super::Scanner;

/// Scans everything that the crates of this process log from now on. Works once.
///
/// # Panics
///
/// If the process has a subscriber or a logger already.
pub fn watch(scanner: &'static Scanner) {
    tracing::subscriber::set_global_default(Capture { scanner, spans: AtomicU64::new(0) }).unwrap();
    log::set_boxed_logger(Box::new(Records { scanner })).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
}

struct Capture {
    scanner: &'static Scanner,
    spans: AtomicU64,
}

/// The values of one span or event, each after its name.
struct Values(String);

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        // As it is: `Debug` would escape it.
        write!(self.0, " {}={value}", field.name()).unwrap();
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut next = Some(value);
        while let Some(error) = next {
            write!(self.0, " {}={error} {error:?}", field.name()).unwrap();
            next = error.source();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Capture {
    fn take(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Values)) {
        let mut values = Values(metadata.name().to_owned());
        record(&mut values);
        self.scanner.scan(metadata.target(), values.0.as_bytes());
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.take(span.metadata(), |values| span.record(values));
        // Ids begin at 1.
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, recorded: &Record<'_>) {
        let mut values = Values(String::new());
        recorded.record(&mut values);
        self.scanner.scan("a span", values.0.as_bytes());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.take(event.metadata(), |values| event.record(values));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The crates that use `log`, such as rustls.
struct Records {
    scanner: &'static Scanner,
}

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.scanner.scan(record.target(), record.args().to_string().as_bytes());
    }

    fn flush(&self) {}
}
