//! The calls of a handle about checkpoints.

use std::{sync::Arc, time::Duration};

use pravega_sdk_types::{BoundedCut, Checkpoint, ErrorKind, Outcome};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{
    access::Result,
    error::ReaderGroupError,
    handle::ReaderGroup,
    machine::{
        checkpoint::{Beginning, Progress, begin, progress},
        positions::Positions,
    },
};
use crate::group::{
    deadline::within,
    state::{CheckpointState, GroupUpdate},
};

/// The first pause before the state is read again; each one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause, which is that of Java's client.
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// The end of the name of a checkpoint that readers answer without showing it.
const SILENT: &str = "_SILENT_";
/// The longest wait.
const MAX_DEADLINE: Duration = Duration::from_secs(30 * 86_400);
/// The longest name, in bytes: it is written with the answer of each reader.
const MAX_NAME_BYTES: usize = 1024;

/// The readers that a checkpoint was waiting for, and the generation that it belongs to.
struct Wait {
    name: Arc<str>,
    generation: Option<i64>,
    waiting_for: Vec<String>,
}

impl ReaderGroup {
    /// Creates a checkpoint and waits until all readers have answered it: a cut of each stream,
    /// before which the readers have returned all events and after which none. Each reader shows
    /// the checkpoint to its program, and answers when the program reads on.
    ///
    /// The deadline covers all of the call, and is 30 days at most.
    ///
    /// A checkpoint of the name that the group knows already is waited for, and its cuts are
    /// returned; so a call can be made again after its deadline. When it is complete, all earlier
    /// checkpoints are dropped. A group without readers answers at once.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`]:
    ///
    /// - [`Timeout`](ErrorKind::Timeout): the deadline is over. [`waiting_for`] names the readers
    ///   that have not answered. The checkpoint stays in the group until they answer, leave or are
    ///   taken [offline](Self::reader_offline), or it is [cancelled](Self::cancel_checkpoints);
    ///   until then they take and give back no segments.
    /// - [`ConditionFailed`](ErrorKind::ConditionFailed): it was cancelled, a later one was
    ///   complete before its cuts were read, or the group was reset.
    /// - [`LimitReached`](ErrorKind::LimitReached): the group has as many outstanding checkpoints
    ///   as its configuration allows.
    /// - [`InvalidArgument`](ErrorKind::InvalidArgument): the name is empty, longer than 1024
    ///   bytes, or contains `_SILENT_`.
    ///
    /// [`waiting_for`]: ReaderGroupError::waiting_for
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the checkpoint may be created, and goes on by itself.
    pub async fn checkpoint(&self, name: &str, deadline: Duration) -> Result<Checkpoint> {
        let deadline = deadline.min(MAX_DEADLINE);
        let end = Instant::now() + deadline;
        let name = checked(name).map_err(|error| error.of(TAKING, self.group()))?;
        let wait = self.begin_checkpoint(name.clone(), deadline).await?;
        let positions = self.positions_at(wait, end, deadline).await?;
        let cuts = self.cuts_in(&positions, end, deadline).await?;
        Ok(Checkpoint::new(&*name, cuts))
    }

    /// Creates a checkpoint and returns at once; see [`checkpoint`](Self::checkpoint), which waits
    /// for it when it is called with the same name.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint), except those of the wait.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the checkpoint is created or not.
    pub async fn initiate_checkpoint(&self, name: &str) -> Result<()> {
        let name = checked(name).map_err(|error| error.of(TAKING, self.group()))?;
        self.begin_checkpoint(name, self.access.config.timeout).await.map(|_| ())
    }

    /// Returns a cut of each stream that has segments left, at which the readers are now, without
    /// showing anything to their programs. It takes until each reader has looked at the state,
    /// which takes as long as the refresh interval of the group if the reader reads.
    ///
    /// # Errors
    ///
    /// As [`checkpoint`](Self::checkpoint), except that the number is not limited. After the
    /// deadline the request is in the group until a later one is complete.
    ///
    /// # Cancel safety
    ///
    /// As [`checkpoint`](Self::checkpoint).
    pub async fn generate_stream_cuts(&self, deadline: Duration) -> Result<Vec<BoundedCut>> {
        let deadline = deadline.min(MAX_DEADLINE);
        let end = Instant::now() + deadline;
        let name = format!("{}{SILENT}", Uuid::new_v4());
        let wait = self.begin_checkpoint(name.into(), deadline).await?;
        let positions = self.positions_at(wait, end, deadline).await?;
        self.cuts_in(&positions, end, deadline).await
    }

    /// Gives up the checkpoints that wait for readers, except silent ones, and returns their names.
    /// Calls that wait for them fail.
    ///
    /// # Errors
    ///
    /// As [`configuration`](Self::configuration).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the checkpoints are given up or not.
    pub async fn cancel_checkpoints(&self) -> Result<Vec<String>> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let cancelling = self.access.change(&mut effect, |state, updates| {
            let outstanding = state.checkpoints().outstanding();
            let names: Vec<String> = outstanding.map(ToString::to_string).collect();
            if !names.is_empty() {
                updates.push(GroupUpdate::RemoveOutstandingCheckpoints);
            }
            names
        });
        let done = within(limit, cancelling).await;
        self.access.finish("cancelling the checkpoints of", limit, effect, done)
    }

    async fn begin_checkpoint(&self, name: Arc<str>, limit: Duration) -> Result<Wait> {
        let mut effect = Outcome::NotApplied;
        let beginning = self.access.change(&mut effect, |state, updates| {
            let beginning = begin(&name, state, updates);
            (beginning, state.configuration().generation())
        });
        let done = within(limit, beginning).await;
        let (beginning, generation) = self.access.finish(TAKING, limit, effect, done)?;
        match beginning {
            Beginning::Begins | Beginning::Exists => {
                Ok(Wait { name, generation, waiting_for: Vec::new() })
            }
            Beginning::TooMany(names) => {
                let detail = format!("the group waits for its checkpoints {}", names.join(", "));
                let kind = ErrorKind::LimitReached;
                Err(ReaderGroupError::new(kind, Outcome::NotApplied, detail)
                    .with_hint("wait for them, or cancel them")
                    .of(TAKING, self.group()))
            }
        }
    }

    /// Waits for a checkpoint, and drops the ones before it.
    async fn positions_at(
        &self,
        mut wait: Wait,
        end: Instant,
        deadline: Duration,
    ) -> Result<Positions> {
        match timeout_at(end, self.wait(&mut wait)).await {
            Ok(done) => done.map_err(|error| error.of(TAKING, self.group())),
            Err(_) => Err(late(deadline, wait.waiting_for).of(TAKING, self.group())),
        }
    }

    async fn wait(&self, wait: &mut Wait) -> Result<Positions> {
        let mut pause = FIRST_PAUSE;
        loop {
            let looked = self.access.read(|state| {
                let longest = state.configuration().refresh_interval().min(MAX_PAUSE);
                (progress(&wait.name, wait.generation, state), longest)
            });
            let (progress, longest) = looked.await?;
            match progress {
                Progress::Complete(positions) => {
                    let checkpoint = wait.name.clone();
                    let clearing = GroupUpdate::ClearCheckpointsBefore { checkpoint };
                    // The next one that is complete does it, too.
                    let cleared = self.access.report(clearing).await;
                    if let Err(error) = cleared {
                        tracing::debug!(%error, "earlier checkpoints are not dropped");
                    }
                    return Ok(positions);
                }
                Progress::Cleared => {
                    let detail = "it was cancelled, or dropped for a later one, before its cuts \
                                  were read";
                    return Err(lost(detail));
                }
                Progress::Reset => return Err(lost("the group was reset meanwhile")),
                Progress::Waiting(readers) => wait.waiting_for = readers,
            }
            sleep(pause.min(longest.max(FIRST_PAUSE))).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }

    /// Returns the cuts of a checkpoint that is complete.
    async fn cuts_in(
        &self,
        positions: &Positions,
        end: Instant,
        deadline: Duration,
    ) -> Result<Vec<BoundedCut>> {
        let done = timeout_at(end, self.cuts(positions)).await;
        self.access.finish(TAKING, deadline, Outcome::Applied, done.ok())
    }
}

const TAKING: &str = "taking a checkpoint of";

/// Refuses a name that readers would not show, or that is no name.
fn checked(name: &str) -> Result<Arc<str>> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(ReaderGroupError::invalid(format_args!(
            "the name of a checkpoint has 1 to {MAX_NAME_BYTES} bytes, not {}",
            name.len()
        )));
    }
    if CheckpointState::is_silent(name) {
        return Err(ReaderGroupError::invalid(format_args!(
            "readers do not show a checkpoint whose name contains {SILENT}"
        )));
    }
    Ok(name.into())
}

fn late(deadline: Duration, waiting_for: Vec<String>) -> ReaderGroupError {
    let detail = if waiting_for.is_empty() {
        format!("it was not done within {deadline:?}")
    } else {
        let readers = waiting_for.join(", ");
        format!("it was not complete within {deadline:?}: it waits for the readers {readers}")
    };
    // It exists, and may be complete later.
    ReaderGroupError::new(ErrorKind::Timeout, Outcome::Applied, detail)
        .with_waiting(waiting_for)
        .with_hint("readers that have ended must be taken offline")
}

fn lost(detail: &str) -> ReaderGroupError {
    ReaderGroupError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail)
}
