//! The times between which reading is.

use pravega_sdk_types::Timestamp;

/// The times between which reading of a stream is, by the times that its writers note.
///
/// Writers say up to which time they have written
/// ([`EventWriter::note_time`](crate::EventWriter::note_time)), and the controller puts that
/// together, every 10 s, as watermarks: places in the stream, each with the lowest and the highest
/// of the writers' times. The window is that of the watermarks around the place of a reader, so it
/// is as exact as they are close. All clocks are those of the writers.
///
/// # Examples
///
/// Results of an hour are complete when the lower bound has passed its end:
///
/// ```no_run
/// use pravega_sdk_event_stream::EventReader;
/// use pravega_sdk_types::Timestamp;
///
/// # async fn example(
/// #     mut reader: EventReader,
/// #     end_of_hour: Timestamp,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let window = reader.time_window().await?;
/// if window.lower().is_some_and(|time| time >= end_of_hour) {
///     println!("the hour is complete");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeWindow {
    lower: Option<Timestamp>,
    upper: Option<Timestamp>,
}

impl TimeWindow {
    pub(super) const fn new(lower: Option<Timestamp>, upper: Option<Timestamp>) -> Self {
        Self { lower, upper }
    }

    /// Returns the time up to which all events were read, if each writer writes its events in the
    /// order of their times. `None` means that reading has passed no watermark yet.
    #[must_use]
    pub const fn lower(&self) -> Option<Timestamp> {
        self.lower
    }

    /// Returns the time that no event which was read is after. `None` means that there is no
    /// watermark ahead, as reading is close to the tail or no writer notes times.
    #[must_use]
    pub const fn upper(&self) -> Option<Timestamp> {
        self.upper
    }
}
