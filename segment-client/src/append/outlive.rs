//! The end of a writer's runtime while the writer has events in hand.
//!
//! A runtime that ends drops its tasks, that of the writer too, and a program whose `main` returns
//! ends its runtime. So the events in hand are taken over by a thread with a runtime and
//! connections of its own, and the end of the first runtime waits for that thread, up to a
//! deadline. Events that are not stored by then are reported.

use std::{
    future::poll_fn,
    io::Write as _,
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle, ThreadId},
    time::Duration,
};

use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};

use super::{capacity::Shared, driver::Driver, side_by_side::Member};
use crate::{context::SegmentContext, error::WriteError};

/// The driver of a writer as its task owns it: it is dropped with work left only if the runtime of
/// the task ends.
pub(super) struct Task {
    driver: Option<Driver>,
    /// True while the driver is polled, and after it has panicked.
    is_torn: bool,
    runtime: Handle,
    limit: Duration,
    /// The other writers of the runtime, which end with this one.
    member: Option<Member>,
}

impl Task {
    /// Owns `driver`, for a task of `runtime`, whose end may be delayed for up to `limit`.
    pub(super) fn new(driver: Driver, runtime: Handle, limit: Duration) -> Self {
        let member = Some(Member::of(&runtime));
        Self { driver: Some(driver), is_torn: false, runtime, limit, member }
    }

    /// Runs until the handles are gone or closed, and all events are done.
    pub(super) async fn run(mut self) {
        let Self { driver: Some(driver), is_torn, .. } = &mut self else { return };
        let mut running = pin!(driver.run());
        poll_fn(|cx| {
            *is_torn = true;
            let polled = running.as_mut().poll(cx);
            *is_torn = false;
            polled
        })
        .await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(mut driver) = self.driver.take() else { return };
        driver.stop();
        if driver.outstanding() == 0 {
            return;
        }
        if driver.is_transaction() {
            // No later call can commit it, so its events are not worth an effort.
            return driver.abandon(ended(&Arc::clone(driver.shared())));
        }
        let rest = Rest::new(driver);
        let again = rest.driver.context().again();
        let is_wanted = !self.limit.is_zero() && !self.is_torn;
        let Some(again) = again.filter(|_| is_wanted) else { return };
        let is_worker = self.runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        let errand = Errand {
            rest: Some((rest, again, self.limit)),
            refused_on: (!is_worker).then(|| thread::current().id()),
            member: self.member.take().filter(|_| is_worker),
        };
        drop(self.runtime.spawn_blocking(move || errand.run()));
    }
}

/// The work that is left, as a blocking task, for which a runtime that is dropped waits.
///
/// A current-thread runtime drops its tasks on the thread that ends it, and takes one more blocking
/// task meanwhile, unless it is ended by `shutdown_background` or `shutdown_timeout`: then it
/// refuses the task, which is dropped at once, on the same thread. That thread must not wait; it
/// may be one of another runtime. A multi-thread runtime drops its tasks on its workers, and mostly
/// refuses blocking tasks by then. Its workers may wait: it waits for them as for blocking tasks,
/// and no other code will run on them. A blocking task that was taken may also be dropped by the
/// thread that was about to run it. One thread may drop the tasks of many writers, so it waits when
/// the last of them is dropped.
struct Errand {
    rest: Option<(Rest, Again, Duration)>,
    refused_on: Option<ThreadId>,
    /// `None` if a thread that drops this waits for its own writer alone.
    member: Option<Member>,
}

impl Errand {
    fn run(mut self) {
        if let Some((rest, again, limit)) = self.rest.take() {
            rest.finish(again, limit);
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let Some((rest, again, limit)) = self.rest.take() else { return };
        if self.refused_on == Some(thread::current().id()) {
            return;
        }
        // A worker is inside its runtime, where no other runtime can be driven.
        let finishing = thread::Builder::new().name("pravega-writer".to_owned());
        let finishing = finishing.spawn(move || rest.finish(again, limit)).ok();
        match self.member.take() {
            Some(member) => member.leave(finishing),
            None => drop(finishing.map(JoinHandle::join)),
        }
    }
}

/// The error of events that are left when their runtime ends.
fn ended(shared: &Shared) -> WriteError {
    let detail = "the runtime of the writer ended before the event was acknowledged";
    WriteError::new(ErrorKind::Closed, Outcome::Unknown, detail).with_stream(&shared.stream)
}

/// Creates the shared handles again, on the runtime of the caller.
type Again = Box<dyn FnOnce() -> Option<SegmentContext> + Send>;

/// What is left to do when a runtime has ended. Dropping it fails the events that are not done.
struct Rest {
    driver: Driver,
    // Dropped after the driver.
    report: Report,
}

impl Rest {
    fn new(driver: Driver) -> Self {
        let report = Report::new(Arc::clone(driver.shared()), driver.outstanding());
        Self { driver, report }
    }

    /// Stores the events on a runtime of this thread, and fails those that are not stored in time.
    fn finish(mut self, again: Again, limit: Duration) {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
        let finishing = async {
            let Some(context) = again() else { return };
            self.driver.resume(context);
            tokio::time::timeout(limit, self.driver.run()).await.ok();
        };
        runtime.block_on(finishing);
        // A look-up of a name may take longer than the limit, and cannot be interrupted.
        runtime.shutdown_background();
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.driver.abandon(ended(&self.report.shared));
    }
}

/// Reports the events that were not acknowledged, when it is dropped.
struct Report {
    shared: Arc<Shared>,
    /// The number of writes in hand, and of those acknowledged before.
    outstanding: u64,
    acknowledged: u64,
}

impl Report {
    fn new(shared: Arc<Shared>, outstanding: usize) -> Self {
        let acknowledged = shared.acknowledged();
        Self { shared, outstanding: outstanding as u64, acknowledged }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let stored = self.shared.acknowledged().saturating_sub(self.acknowledged);
        let lost = self.outstanding.saturating_sub(stored);
        let stream = &self.shared.stream;
        if lost == 0 {
            tracing::debug!(%stream, stored, "events were stored after the end of the runtime");
            return;
        }
        tracing::warn!(
            %stream,
            lost,
            "the runtime ended before the writer's events were acknowledged"
        );
        if !tracing::dispatcher::has_been_set() {
            // A program without a subscriber would lose them in silence. If standard error is
            // closed, there is no other place.
            let mut stderr = std::io::stderr().lock();
            writeln!(
                stderr,
                "pravega-sdk: writes to {stream} that were not acknowledged before the runtime of \
                 their writer ended: {lost}; wait for them with `flush` or `close`"
            )
            .ok();
        }
    }
}
