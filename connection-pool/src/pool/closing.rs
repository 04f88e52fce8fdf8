//! Connections that are closing, and the reports of those that were not closed in order.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
};

use pravega_sdk_types::Endpoint;
use tokio::{
    sync::oneshot,
    task::{Id, JoinError, JoinSet},
};

use crate::error::CloseFailure;

/// Where a report goes.
pub(super) type Report = oneshot::Sender<Vec<CloseFailure>>;

/// Number of failures that are kept for the next report.
const MAX_FAILURES: usize = 1000;

/// The closes in progress, each in a task of its own.
#[derive(Default)]
pub(super) struct Closing {
    tasks: JoinSet<Option<CloseFailure>>,
    /// The number of each close in progress; numbers rise.
    numbers: HashMap<Id, u64>,
    open: BTreeSet<u64>,
    next: u64,
    failures: Vec<CloseFailure>,
    /// Reports that wait for all closes below a number.
    reports: Vec<(u64, Report)>,
}

impl Closing {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn start(
        &mut self,
        close: impl Future<Output = Option<CloseFailure>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(close).id();
        self.numbers.insert(id, self.next);
        self.open.insert(self.next);
        self.next += 1;
    }

    /// Notes that a connection is dropped instead of closed, as too many are closing.
    pub(super) fn note_dropped(&mut self, backend: Endpoint) {
        let source = "dropped, as too many connections are closing".into();
        self.fail(CloseFailure { backend, source });
    }

    /// Waits for the end of a close; `None` if none is in progress.
    pub(super) async fn next(&mut self) -> Option<Result<(Id, Option<CloseFailure>), JoinError>> {
        self.tasks.join_next_with_id().await
    }

    /// Notes the end of a close, and sends the reports that waited for it.
    pub(super) fn ended(&mut self, ended: Result<(Id, Option<CloseFailure>), JoinError>) {
        // A close that panicked is over too.
        let (id, failure) = match ended {
            Ok((id, failure)) => (id, failure),
            Err(error) => (error.id(), None),
        };
        if let Some(number) = self.numbers.remove(&id) {
            self.open.remove(&number);
        }
        failure.into_iter().for_each(|failure| self.fail(failure));
        self.send_reports();
    }

    /// Reports to `report` when every close that has begun by now is over.
    pub(super) fn report_later(&mut self, report: Report) {
        self.reports.retain(|(_, report)| !report.is_closed());
        self.reports.push((self.next, report));
        self.send_reports();
    }

    /// Sends the failures since the last report. Those that do not arrive are kept for the next.
    pub(super) fn report(&mut self, report: Report) {
        if let Err(failures) = report.send(std::mem::take(&mut self.failures)) {
            self.failures = failures;
        }
    }

    fn send_reports(&mut self) {
        let first = self.open.first().copied().unwrap_or(self.next);
        let (due, waiting) =
            std::mem::take(&mut self.reports).into_iter().partition(|(until, _)| *until <= first);
        self.reports = waiting;
        let due: Vec<(u64, Report)> = due;
        due.into_iter().for_each(|(_, report)| self.report(report));
    }

    fn fail(&mut self, failure: CloseFailure) {
        let CloseFailure { backend, source } = &failure;
        tracing::warn!(%backend, reason = %source, "a connection was not closed in order");
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}
