//! The task that keeps a writer's transactions alive, and aborts those that were dropped.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use pravega_sdk_controller_client::{Controller, ControllerError, PingStatus, TransactionState};
use pravega_sdk_types::{ScopedStream, TransactionId};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::machine::{Ended, PingMachine, interval};

/// What transactions ask of the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Keep it alive, and say so if it ended.
    Watch(TransactionId, Arc<OnceLock<Option<TransactionState>>>),
    /// It is decided, or was left to another writer.
    Forget(TransactionId),
    /// It was dropped.
    Abort(TransactionId),
}

enum Done {
    Pinged(TransactionId, Result<PingStatus, pravega_sdk_types::ErrorKind>),
    Aborted(TransactionId, Result<(), ControllerError>),
}

/// The sender's end. Commands are few: at most three a transaction.
pub(super) type Commands = mpsc::UnboundedSender<Command>;

pub(super) struct Pings {
    machine: PingMachine,
    controller: Arc<dyn Controller>,
    stream: ScopedStream,
    lease: Duration,
    commands: mpsc::UnboundedReceiver<Command>,
    ended: std::collections::BTreeMap<TransactionId, Arc<OnceLock<Option<TransactionState>>>>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    timer: Pin<Box<Sleep>>,
    started: Instant,
    is_closed: bool,
}

impl Pings {
    pub(super) fn start(
        runtime: &tokio::runtime::Handle,
        controller: Arc<dyn Controller>,
        stream: ScopedStream,
        lease: Duration,
    ) -> Commands {
        let (sender, commands) = mpsc::unbounded_channel();
        let started = Instant::now();
        let pings = Self {
            machine: PingMachine::new(lease),
            controller,
            stream,
            lease,
            commands,
            ended: std::collections::BTreeMap::new(),
            work: FuturesUnordered::new(),
            timer: Box::pin(sleep_until(started)),
            started,
            is_closed: false,
        };
        runtime.spawn(pings.run());
        sender
    }

    /// Runs until all handles are dropped and all dropped transactions are aborted.
    async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut is_busy = false;
            while !self.is_closed
                && let Poll::Ready(command) = self.commands.poll_recv(cx)
            {
                is_busy = true;
                match command {
                    Some(command) => self.take(command),
                    None => self.is_closed = true,
                }
            }
            while let Poll::Ready(Some(done)) = self.work.poll_next_unpin(cx) {
                is_busy = true;
                self.finish(done);
            }
            while let Some(id) = self.machine.take_due(self.started.elapsed()) {
                is_busy = true;
                self.ping(id);
            }
            if let Some(until) = self.machine.timeout() {
                let at = self.started + until;
                if self.timer.deadline() != at {
                    self.timer.as_mut().reset(at);
                }
                is_busy |= self.timer.as_mut().poll(cx).is_ready();
            }
            if is_busy {
                continue;
            }
            // Without handles every transaction was forgotten or is being aborted.
            return if self.is_closed && self.work.is_empty() && self.machine.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Watch(id, ended) => {
                self.machine.add(id, self.started.elapsed());
                self.ended.insert(id, ended);
            }
            Command::Forget(id) => self.forget(id),
            Command::Abort(id) => {
                self.forget(id);
                let (controller, stream) = (Arc::clone(&self.controller), self.stream.clone());
                let aborting = async move {
                    Done::Aborted(id, controller.abort_transaction(&stream, id).await)
                };
                self.work.push(aborting.boxed());
            }
        }
    }

    fn forget(&mut self, id: TransactionId) {
        self.machine.remove(id);
        self.ended.remove(&id);
    }

    fn ping(&self, id: TransactionId) {
        let (controller, stream, lease) =
            (Arc::clone(&self.controller), self.stream.clone(), self.lease);
        // One that hangs must leave time for others within the lease.
        let limit = interval(lease) / 2;
        let pinging = async move {
            let answer = timeout(limit, controller.ping_transaction(&stream, id, lease)).await;
            let answer = match answer {
                Ok(answer) => answer.map_err(|error| error.kind()),
                Err(_) => Err(pravega_sdk_types::ErrorKind::Timeout),
            };
            Done::Pinged(id, answer)
        };
        self.work.push(pinging.boxed());
    }

    fn finish(&mut self, done: Done) {
        let stream = &self.stream;
        match done {
            Done::Pinged(id, answer) => {
                let ended = self.machine.handle(id, answer, self.started.elapsed());
                let failures = self.machine.failures(id);
                if failures > 0 {
                    tracing::warn!(%stream, transaction = %id, failures, ?answer, "a ping failed");
                }
                let Some(ended) = ended else { return };
                tracing::debug!(%stream, transaction = %id, ?ended, "the transaction ended");
                let state = match ended {
                    Ended::Known(state) => Some(state),
                    Ended::TooOld => Some(TransactionState::Aborting),
                    Ended::Unknown => None,
                };
                if let Some(told) = self.ended.remove(&id) {
                    told.set(state).ok();
                }
            }
            Done::Aborted(id, Err(error)) => {
                tracing::warn!(
                    %stream,
                    transaction = %id,
                    %error,
                    "not aborted; its lease will end it"
                );
            }
            Done::Aborted(_, Ok(())) => {}
        }
    }
}
