//! What happens to a group, as a stream.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use pravega_sdk_segment_client::runtime::runtime;
use pravega_sdk_types::ErrorKind;
use tokio::time::{Instant, sleep_until};

use super::{
    access::{Access, Result},
    error::ReaderGroupError,
    handle::ReaderGroup,
    machine::{GroupNotice, Notices},
};

/// The shortest pause between two looks at the state.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The longest pause, whatever the configuration says.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);
/// The pause after a look that failed before the interval of the group is known.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// The notices of a [watch](ReaderGroup::watch).
///
/// # Cancel safety
///
/// Dropping a future that waits for the next notice loses nothing.
#[must_use = "a watch does nothing until it is polled"]
pub struct GroupWatch(BoxStream<'static, Result<GroupNotice>>);

impl Stream for GroupWatch {
    type Item = Result<GroupNotice>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for GroupWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupWatch").finish_non_exhaustive()
    }
}

/// A watch between two notices.
struct Watching {
    access: Arc<Access>,
    notices: Notices,
    failed: Option<ReaderGroupError>,
    interval: Duration,
    /// When the state is read next.
    next: Instant,
    has_ended: bool,
}

impl ReaderGroup {
    /// Returns what happens to the group from now on: first its sizes as they are, then changes of
    /// its segments and readers, resets, and the end of its data. The state is read once in each
    /// [refresh interval](pravega_sdk_types::ReaderGroupConfiguration::refresh_interval), with one
    /// request if it has not changed, and only while the stream is polled; of changes in between
    /// that cancel each other out nothing is reported. Leases are not: a reader whose lease has run
    /// out is reported when it is taken out, and [`describe`](ReaderGroup::describe) has them.
    ///
    /// An error is an item, and the watch goes on with the next interval. It ends after the error
    /// of a group that was deleted, of a state that cannot be decoded, and of a poll outside a
    /// tokio runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures_util::StreamExt as _;
    /// use pravega_sdk_event_stream::group::GroupNotice;
    ///
    /// # async fn example(
    /// #     group: pravega_sdk_event_stream::group::ReaderGroup,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut notices = group.watch();
    /// while let Some(notice) = notices.next().await {
    ///     match notice? {
    ///         GroupNotice::Sizes(sizes) => {
    ///             println!("{} segments, {} readers", sizes.segments, sizes.readers);
    ///         }
    ///         GroupNotice::EndOfData => break,
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> GroupWatch {
        let watching = Watching {
            access: Arc::clone(&self.access),
            notices: Notices::default(),
            failed: None,
            interval: FIRST_INTERVAL,
            next: Instant::now(),
            has_ended: false,
        };
        let notices = stream::unfold(watching, |mut watching| async move {
            let notice = watching.next().await?;
            Some((notice, watching))
        });
        GroupWatch(notices.boxed())
    }
}

impl Watching {
    async fn next(&mut self) -> Option<Result<GroupNotice>> {
        loop {
            if let Some(notice) = self.notices.poll_notice() {
                return Some(Ok(notice));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            if self.has_ended {
                return None;
            }
            if let Err(error) = runtime() {
                self.has_ended = true;
                return Some(Err(error.into()));
            }
            sleep_until(self.next).await;
            let reading = self.access.read(|state| {
                self.notices.handle_state(state);
                state.configuration().refresh_interval()
            });
            match self.access.ask("watching", reading).await {
                Ok(interval) => self.interval = interval,
                Err(error) => {
                    let kind = error.kind();
                    self.has_ended = matches!(kind, ErrorKind::NotFound | ErrorKind::Corrupt);
                    self.failed = Some(error);
                }
            }
            self.next = Instant::now() + self.interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        }
    }
}
