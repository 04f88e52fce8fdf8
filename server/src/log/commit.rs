//! The thread that writes the log.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pravega_sdk_server_core::{
    log::{Effect, Event, LogWriter, MARK_NAME, MarkSync, Outcome},
    record::Sequence,
};

use super::{
    disk::{Disk, outcome},
    inbox::{Arrivals, Inbox},
    keeper::Keeper,
};

/// How long the end of a log waits for a file that cannot be created.
const END: Duration = Duration::from_secs(5);

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
        sink: impl Sink + 'static,
    ) -> io::Result<Self> {
        let keeper = Keeper::start(Arc::clone(&disk), inbox.clone())?;
        let began = Instant::now();
        let commits = Commits { writer, disk, inbox, keeper, sink, began, ends_by: None };
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
    sink: S,
    /// The start of the machine's time.
    began: Instant,
    /// When the thread ends, if it was closed.
    ends_by: Option<Duration>,
}

impl<S: Sink> Commits<S> {
    fn run(mut self) {
        loop {
            let arrivals = self.inbox.take();
            self.arrive(arrivals);
            if let Some(head) = self.writer.poll_prepare(fastrand::u64(..)) {
                self.keeper.prepare(head);
            }
            let now = self.began.elapsed();
            if let Some(extend) = self.writer.poll_extend(now) {
                self.keeper.extend(extend);
            }
            if let Some(effect) = self.writer.poll(now) {
                let outcome = self.carry_out(effect);
                self.finish(outcome);
            } else if self.writer.is_ended() || self.ends_by.is_some_and(|at| at <= now) {
                break;
            } else {
                let times = [self.writer.timeout(), self.ends_by];
                let next = times.into_iter().flatten().min();
                self.inbox.wait(next.map(|at| at.saturating_sub(now)));
            }
        }
        self.end();
    }

    fn arrive(&mut self, arrivals: Arrivals) {
        let Arrivals { batches, prepared, extended, resumes, closes } = arrivals;
        if let Some(outcome) = prepared {
            self.writer.handle_prepared(&outcome);
        }
        if let Some(outcome) = extended {
            self.writer.handle_extended(&outcome);
        }
        if resumes {
            self.writer.resume();
        }
        for batch in batches {
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

    fn carry_out(&self, effect: Effect) -> Outcome {
        outcome(match effect {
            Effect::Write { place, bytes } => {
                self.disk.write_at(&place.file.name(), place.at, &bytes)
            }
            Effect::Sync { file } => self.disk.sync(&file.name()),
            Effect::Cut { end } => self.disk.cut(&end.file.name(), end.at),
            Effect::Mark { slot, bytes, sync } => {
                let written = self.disk.write_at(MARK_NAME, slot.at(), &bytes);
                match sync {
                    MarkSync::Lazy => written,
                    MarkSync::Now => written.and_then(|()| self.disk.sync(MARK_NAME)),
                }
            }
        })
    }

    fn finish(&mut self, outcome: Outcome) {
        let before = self.writer.queued();
        let event = self.writer.handle(outcome);
        self.inbox.done_with(before.saturating_sub(self.writer.queued()));
        if let Some(Event::Refused { .. }) = &event {
            // Before the sink learns of it: it may resume at once.
            self.inbox.refuse();
        }
        if let Some(event) = event {
            self.sink.handle(event);
        }
    }

    fn end(mut self) {
        self.inbox.end();
        self.keeper.end();
        let why = match self.writer.failure() {
            Some(why) => format!("cannot write the log: {why}"),
            None if self.writer.is_ended() => return,
            None => "the log ended before its last changes could be written".to_owned(),
        };
        self.sink.fail(self.writer.durable(), &why);
    }
}
