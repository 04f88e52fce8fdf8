//! The thread that writes the log.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::{
    log::{CurrentFile, Event, Extended, LogWriter, OutOfOrder, Outcome},
    record::Sequence,
};

use super::{
    disk::{Disk, carry_out_commit},
    inbox::{Arrivals, Inbox},
    keeper::Keeper,
    kept::{Grown, IndexSize, Kept},
};

/// How long the end of a log waits for a file that cannot be created.
const END: Duration = Duration::from_secs(5);

/// What the next commits need at least, in bytes.
const LEAST_ROOM: u64 = 1 << 20;
/// How long nothing is taken after a commit found no space, unless zeros find some before.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two attempts to find space.
const AGAIN: Duration = Duration::from_millis(100);

/// What becomes of batches.
pub(crate) trait Sink: Send {
    /// Batches are durable, or there is no space for those after the last durable one.
    fn handle(&mut self, event: Event);
    /// Nothing more is written: batches after the last durable one are lost.
    fn fail(&mut self, durable: Sequence, why: &str);
}

/// The thread that writes a log; it ends after [`Inbox::close`], or once writing failed.
#[derive(Debug)]
pub(crate) struct CommitThread {
    thread: JoinHandle<()>,
}

impl CommitThread {
    /// Starts the thread, which tells a sink what becomes of the batches in the inbox.
    pub(crate) fn start(
        writer: LogWriter,
        disk: Arc<dyn Disk>,
        inbox: Inbox,
        kept: Arc<Kept>,
        sink: impl Sink + 'static,
    ) -> io::Result<Self> {
        let keeper = Keeper::start(Arc::clone(&disk), inbox.clone())?;
        let began = Instant::now();
        let commits = Commits {
            writer,
            disk,
            inbox,
            keeper,
            kept,
            sink,
            began,
            ends_by: None,
            records: 0,
            contradiction: None,
            ended_for: None,
            refused_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("pravega-commit".to_owned())
            .spawn(move || commits.run())?;
        Ok(Self { thread })
    }

    /// Waits for the end of the thread.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes the log has panicked");
        }
    }
}

struct Commits<S> {
    writer: LogWriter,
    disk: Arc<dyn Disk>,
    inbox: Inbox,
    keeper: Keeper,
    kept: Arc<Kept>,
    sink: S,
    /// The start of the machine's time.
    began: Instant,
    /// When the thread ends, if it was closed.
    ends_by: Option<Duration>,
    /// The records of batches that came since the last commit.
    records: u64,
    /// Why the index does not have what is durable.
    contradiction: Option<OutOfOrder>,
    /// Why nothing more may be written.
    ended_for: Option<String>,
    /// When a commit found no space, unless there was some since.
    refused_at: Option<Duration>,
}

impl<S: Sink> Commits<S> {
    fn run(mut self) {
        loop {
            let arrivals = self.inbox.take();
            self.arrive(arrivals);
            if self.ended_for.is_some() {
                break;
            }
            if let Some(head) = self.writer.poll_prepare(fastrand::u64(..)) {
                self.keeper.prepare(head);
            }
            let now = self.began.elapsed();
            if let Some(extend) = self.writer.poll_extend(now) {
                self.keeper.extend(extend);
            }
            if let Some(file) = self.writer.poll_leave() {
                self.keeper.leave(file);
            }
            let is_full = self.note_space(now);
            if let Some(effect) = self.writer.poll(now) {
                let outcome = carry_out_commit(&*self.disk, effect);
                self.finish(outcome);
                if self.contradiction.is_some() {
                    break;
                }
            } else if self.writer.is_ended() || self.ends_by.is_some_and(|at| at <= now) {
                break;
            } else {
                // Space may come back without anything that is written.
                let again = is_full.then_some(now + AGAIN);
                let times = [self.writer.timeout(), self.ends_by, again];
                let next = times.into_iter().flatten().min();
                self.inbox.wait(next.map(|at| at.saturating_sub(now)));
            }
        }
        self.end();
    }

    /// Notes whether there is space for more than what is queued. Returns true if the disk had none
    /// for zeros, or for a commit a moment ago.
    fn note_space(&mut self, now: Duration) -> bool {
        self.refused_at = self.refused_at.filter(|at| now < *at + PATIENCE);
        let is_short = self.refused_at.is_some() || !self.writer.has_room(LEAST_ROOM);
        self.inbox.set_short(is_short);
        is_short || !self.writer.has_room(u64::MAX)
    }

    fn arrive(&mut self, arrivals: Arrivals) {
        let Arrivals { batches, prepared, extended, resumes, closes, ends } = arrivals;
        self.ended_for = ends;
        if let Some(outcome) = prepared {
            self.writer.handle_prepared(&outcome);
        }
        if let Some(outcome) = extended {
            if outcome == Extended::Done {
                self.refused_at = None;
            }
            self.writer.handle_extended(&outcome);
        }
        if resumes {
            self.writer.resume();
        }
        for batch in batches {
            self.records += batch.records.len() as u64;
            if self.writer.submit(batch.sequence, batch.records).is_err() {
                // The sink learns that all batches from one before it on are refused.
                self.inbox.done_with(batch.len);
            }
        }
        if closes {
            self.writer.close();
            self.ends_by = Some(self.began.elapsed() + END);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        let (before, end) = (self.writer.queued(), self.writer.end());
        let event = self.writer.handle(outcome);
        self.inbox.done_with(before.saturating_sub(self.writer.queued()));
        match &event {
            Some(Event::Refused { durable, .. }) => {
                // Before the sink learns of it: it may resume at once.
                self.refused_at = Some(self.began.elapsed());
                self.inbox.set_short(true);
                self.inbox.refuse();
                self.kept.handle_refused(*durable);
            }
            Some(Event::Committed(committed)) => {
                let CurrentFile { number, len, .. } = committed.file;
                let before = end.filter(|end| end.file == number).map_or(0, |end| end.at);
                let records = std::mem::take(&mut self.records);
                let grown = Grown { bytes: len.saturating_sub(before), records };
                // Before the sink learns of it: what is durable may be read from the file.
                match self.kept.handle_committed(committed, grown) {
                    Ok(IndexSize::Usual) => {}
                    Ok(IndexSize::Full) => self.writer.end_file(),
                    Err(error) => {
                        self.contradiction = Some(error);
                        return;
                    }
                }
            }
            None => {}
        }
        if let Some(event) = event {
            self.sink.handle(event);
        }
    }

    fn end(mut self) {
        self.inbox.end();
        self.keeper.end();
        let why = match (self.ended_for, &self.contradiction, self.writer.failure()) {
            (Some(why), ..) => why,
            (None, Some(error), _) => format!("the log contradicts itself: {error}"),
            (None, None, Some(why)) => format!("cannot write the log: {why}"),
            (None, None, None) if self.writer.is_ended() => return,
            (None, None, None) => {
                "the log ended before its last changes could be written".to_owned()
            }
        };
        self.sink.fail(self.writer.durable(), &why);
    }
}
