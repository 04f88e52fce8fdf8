//! The progress bar of commands that send a file or stdin.

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::draw_above;

/// A bar of `len` bytes, drawn only if stderr is a terminal.
pub(super) fn bar(len: Option<u64>) -> ProgressBar {
    let (bar, template) = match len {
        Some(len) => (
            ProgressBar::new(len),
            "{wide_bar} {binary_bytes}/{binary_total_bytes}, {eta} left, {msg}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {binary_bytes} {binary_bytes_per_sec}, {elapsed}, {msg}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    draw_above(&bar);
    bar
}
