//! Carries out what the machines decide: reads entries, writes changes, marks compactions.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use pravega_sdk_segment_client::{
    machine::delay,
    runtime::{random_bits, rng},
};
use pravega_sdk_types::{ErrorKind, Offset, Outcome};
use tokio::time::sleep;

use super::{
    config::StateConfig,
    entry::StateEntry,
    error::StateError,
    machine::{ChangeEffect, ChangeMachine, FetchEffect, FetchMachine, Place, Replica, Verdict},
    shared_state::{SharedState, StateSerializer},
};
use crate::revisioned::{Revision, RevisionedEntry, RevisionedStream, RevisionedStreamError};

/// How often the mark is set again after other clients changed it.
const MARK_ATTEMPTS: u32 = 10;

/// A stream, and this client's copy of its state.
#[derive(Debug)]
pub(super) struct Driver<S, C> {
    pub(super) stream: RevisionedStream,
    pub(super) config: StateConfig,
    pub(super) replica: Replica<S>,
    serializer: C,
}

/// What is written in an entry.
pub(super) enum Content<S: SharedState> {
    Initial(S::Initial),
    Updates(Vec<S::Update>),
}

/// A change that ended well.
pub(super) struct Changed<R> {
    /// What the last preparation returned.
    pub(super) result: R,
    /// The revisions before and after the entry; `None` if there was nothing to write.
    pub(super) written: Option<(Revision, Revision)>,
}

/// An entry to be written at the revision of the state.
struct Attempt {
    at: Revision,
    bytes: Bytes,
}

impl<S: SharedState, C: StateSerializer<S>> Driver<S, C> {
    pub(super) fn new(stream: RevisionedStream, serializer: C, config: StateConfig) -> Self {
        Self { stream, config, replica: Replica::new(), serializer }
    }

    /// Reads all entries that this client does not know.
    pub(super) async fn fetch(&mut self) -> Result<(), StateError> {
        self.fetch_past(None).await.map(|_| ())
    }

    /// Reads all entries that this client does not know, and finds out what is at the place of an
    /// attempt.
    async fn fetch_past(&mut self, attempt: Option<&Attempt>) -> Result<Place, StateError> {
        let mut place = Place::Unseen;
        let known = self.replica.revision().cloned();
        let random = random_bits(rng(None));
        let mut machine = FetchMachine::new(known, self.config.backoff, random, self.config.bugs);
        loop {
            match machine.poll_effect() {
                FetchEffect::FindStart => {
                    // A mark may be older than what is left.
                    let oldest = self.stream.oldest_revision().await?;
                    let mark = self.stream.mark().await?;
                    machine.handle_start(mark.filter(|mark| *mark > oldest).unwrap_or(oldest));
                }
                FetchEffect::Read(from) => {
                    match self.read(&from, &mut machine, attempt, &mut place).await {
                        Ok(()) => machine.handle_end(),
                        Err(error) if error.kind() == ErrorKind::Truncated => {
                            machine.handle_truncated();
                        }
                        Err(error) => return Err(error),
                    }
                }
                FetchEffect::Pause(pause) => sleep(pause).await,
                FetchEffect::Done => return Ok(place),
                FetchEffect::Lost => {
                    let detail = "the entries after the known state are truncated, and no initial \
                                  state is after them";
                    return Err(StateError::new(ErrorKind::Truncated, Outcome::NotApplied, detail));
                }
            }
        }
    }

    async fn read(
        &mut self,
        from: &Revision,
        machine: &mut FetchMachine,
        attempt: Option<&Attempt>,
        place: &mut Place,
    ) -> Result<(), StateError> {
        let mut entries = self.stream.entries(from).await?;
        let mut reached = from.offset();
        while let Some(entry) = entries.try_next().await? {
            reached = entry.revision.offset();
            if let Some(attempt) = attempt.filter(|attempt| attempt.at.offset() == entry.start) {
                let is_same = attempt.bytes == entry.value;
                *place = if is_same { Place::Same } else { Place::Other };
            }
            self.take(entry, machine)?;
        }
        if *place == Place::Unseen && attempt.is_some_and(|attempt| attempt.at.offset() == reached)
        {
            *place = Place::Empty;
        }
        Ok(())
    }

    /// Handles an entry. It is decoded as a whole before anything of it is applied.
    fn take(
        &mut self,
        entry: RevisionedEntry,
        machine: &mut FetchMachine,
    ) -> Result<(), StateError> {
        let RevisionedEntry { revision, start, value, .. } = entry;
        let corrupt = |detail, source: Box<dyn std::error::Error + Send + Sync>| {
            StateError::corrupt(start, detail, source)
        };
        let parsed = StateEntry::parse(value)
            .map_err(|error| corrupt("the entry is not one of a state", error.into()))?;
        if !machine.counts(matches!(parsed, StateEntry::Initial(_))) {
            return Ok(());
        }
        match parsed {
            StateEntry::Initial(bytes) => {
                let initial = self.serializer.decode_initial(bytes).map_err(|error| {
                    corrupt("the initial state in the entry cannot be decoded", error)
                })?;
                self.replica.adopt(initial, &revision);
            }
            StateEntry::Updates(updates) => {
                let updates: Result<Vec<S::Update>, _> =
                    updates.map(|bytes| self.serializer.decode_update(bytes)).collect();
                let updates = updates
                    .map_err(|error| corrupt("an update in the entry cannot be decoded", error))?;
                self.apply(updates, start, &revision)?;
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        updates: Vec<S::Update>,
        start: Offset,
        revision: &Revision,
    ) -> Result<(), StateError> {
        self.replica.apply(updates, revision).map_err(|refused| {
            let detail = format_args!(
                "update {} in the entry does not fit the state; it and those after it in the entry \
                 are left out",
                refused.index
            );
            StateError::corrupt(start, detail, refused.source)
        })
    }

    /// Makes a change of the latest state. `in_doubt` tells the caller, if it drops the future, if
    /// an entry may be stored.
    pub(super) async fn change<R>(
        &mut self,
        in_doubt: &mut bool,
        mut prepare: impl FnMut(&S) -> (Option<Content<S>>, R),
    ) -> Result<Changed<R>, StateError> {
        let (has_state, random) = (self.replica.state().is_some(), random_bits(rng(None)));
        let (limit, backoff) = (self.config.max_conflicts, self.config.backoff);
        let mut machine = ChangeMachine::new(has_state, limit, backoff, random, self.config.bugs);
        let mut prepared: Option<(Content<S>, Attempt)> = None;
        let (mut result, mut after, mut last) = (None, None, None);
        loop {
            match machine.poll_effect() {
                ChangeEffect::Pause(pause) => sleep(pause).await,
                ChangeEffect::Fetch => {
                    let attempt = prepared.as_ref().map(|(_, attempt)| attempt);
                    let place = self.fetch_past(attempt).await.map_err(|error| {
                        if machine.is_in_doubt() {
                            error.with_outcome(Outcome::Unknown)
                        } else {
                            error
                        }
                    })?;
                    machine.handle_fetched(self.replica.state().is_some(), place);
                    *in_doubt = machine.is_in_doubt();
                }
                ChangeEffect::Prepare => {
                    let (state, at) = match (self.replica.state(), self.replica.revision()) {
                        (Some(state), Some(at)) => (state, at.clone()),
                        _ => return Err(StateError::uninitialized()),
                    };
                    let (content, returned) = prepare(state);
                    result = Some(returned);
                    prepared = match content {
                        None => None,
                        Some(content) => {
                            let bytes = self.encode(&content)?;
                            Some((content, Attempt { at, bytes }))
                        }
                    };
                    machine.handle_prepared(prepared.is_some());
                }
                ChangeEffect::Write => {
                    let Some((_, attempt)) = &prepared else { continue };
                    *in_doubt = true;
                    match self.stream.write_at(&attempt.at, attempt.bytes.clone()).await {
                        Ok(revision) => {
                            after = Some(revision);
                            machine.handle_written();
                        }
                        Err(error) => {
                            machine.handle_failed(error.kind(), error.outcome());
                            last = Some(error);
                        }
                    }
                    *in_doubt = machine.is_in_doubt();
                }
                ChangeEffect::End(verdict) => {
                    let written = prepared.zip(after);
                    return self.ended(verdict, last, result, written);
                }
            }
        }
    }

    /// The end of a change.
    fn ended<R>(
        &mut self,
        verdict: Verdict,
        last: Option<RevisionedStreamError>,
        result: Option<R>,
        written: Option<((Content<S>, Attempt), Revision)>,
    ) -> Result<Changed<R>, StateError> {
        let failed = |outcome| {
            last.map_or_else(
                || {
                    StateError::new(
                        ErrorKind::Protocol,
                        outcome,
                        "the change ended without a result",
                    )
                },
                |last| StateError::from(last).with_outcome(outcome),
            )
        };
        match (verdict, result, written) {
            (Verdict::Nothing, Some(result), _) => Ok(Changed { result, written: None }),
            (Verdict::Written, Some(result), Some(((content, attempt), revision))) => {
                let applied = self.know(content, &attempt.at, &revision);
                applied.map_err(|error| error.with_outcome(Outcome::Applied))?;
                Ok(Changed { result, written: Some((attempt.at, revision)) })
            }
            (Verdict::Conflicts(conflicts), ..) => Err(StateError::new(
                ErrorKind::LimitReached,
                Outcome::NotApplied,
                format_args!("other clients changed the state first, {conflicts} times in a row"),
            )),
            (Verdict::Uninitialized, ..) => Err(StateError::uninitialized()),
            (Verdict::Failed(outcome), ..) => Err(failed(outcome)),
            (Verdict::Nothing, None, _) => Err(failed(Outcome::NotApplied)),
            (Verdict::Written, ..) => Err(failed(Outcome::Applied)),
        }
    }

    /// Applies an entry that this client wrote.
    fn know(
        &mut self,
        content: Content<S>,
        at: &Revision,
        revision: &Revision,
    ) -> Result<(), StateError> {
        match content {
            Content::Initial(initial) => {
                self.replica.adopt(initial, revision);
                Ok(())
            }
            Content::Updates(updates) => self.apply(updates, at.offset(), revision),
        }
    }

    /// Writes the initial state at the oldest revision, if the stream is empty. Returns false if it
    /// is not; all entries are read then.
    pub(super) async fn initialize(
        &mut self,
        in_doubt: &mut bool,
        initial: S::Initial,
    ) -> Result<bool, StateError> {
        let content = Content::Initial(initial);
        let bytes = self.encode(&content)?;
        let oldest = self.stream.oldest_revision().await?;
        *in_doubt = true;
        let written = self.stream.write_at(&oldest, bytes).await;
        *in_doubt = written.as_ref().is_err_and(|error| error.outcome() != Outcome::NotApplied);
        let error = match written {
            Ok(revision) => {
                self.know(content, &oldest, &revision)?;
                return Ok(true);
            }
            Err(error) => error,
        };
        if error.kind() != ErrorKind::ConditionFailed && !*in_doubt {
            return Err(error.into());
        }
        // A store refuses a write at the place of one that is not durable yet, and shows that one
        // only then. The caller limits the time.
        let (mut random, mut looks) = (random_bits(rng(None)), 0);
        loop {
            let has_entries = self.look(&oldest).await.map_err(|looking| {
                if *in_doubt { looking.with_outcome(Outcome::Unknown) } else { looking }
            })?;
            if self.replica.state().is_some() {
                return Ok(false);
            }
            if *in_doubt {
                return Err(error.into());
            }
            if has_entries {
                break;
            }
            looks += 1;
            sleep(delay(&self.config.backoff, looks, &mut random)).await;
        }
        let detail = "the stream has entries, and none of them is an initial state";
        Err(StateError::new(ErrorKind::ConditionFailed, Outcome::NotApplied, detail))
    }

    /// Reads all entries. Returns true if there were any before.
    async fn look(&mut self, oldest: &Revision) -> Result<bool, StateError> {
        let has_entries = self.stream.latest_revision().await? != *oldest;
        self.fetch().await?;
        Ok(has_entries)
    }

    /// Sets the mark to the revision before a compaction, and truncates up to the mark before. So
    /// the entries before a compaction are kept until the next one, for clients that still read
    /// them.
    pub(super) async fn mark(&self, compaction: &Revision) -> Result<(), StateError> {
        // The mark before one that may have been set.
        let mut replaced: Option<Revision> = None;
        for _ in 0..MARK_ATTEMPTS {
            let present = self.stream.mark().await?;
            let offset = present.as_ref().map(Revision::offset);
            if offset.is_some_and(|offset| offset >= compaction.offset()) {
                // One entry is at a place, so this mark is of this compaction, whose reply was
                // lost. A later one is of another client, which truncates.
                let is_own = offset == Some(compaction.offset());
                return match replaced.filter(|_| is_own) {
                    Some(before) => Ok(self.stream.truncate(&before).await?),
                    None => Ok(()),
                };
            }
            match self.stream.set_mark(present.as_ref(), Some(compaction)).await {
                Ok(()) => {
                    return match present {
                        Some(before) => Ok(self.stream.truncate(&before).await?),
                        None => Ok(()),
                    };
                }
                Err(error) if error.outcome() != Outcome::NotApplied => replaced = present,
                Err(error) if error.kind() == ErrorKind::ConditionFailed => {}
                Err(error) => return Err(error.into()),
            }
        }
        let detail = "the mark was changed by other clients all the time";
        Err(StateError::new(ErrorKind::LimitReached, Outcome::NotApplied, detail))
    }

    pub(super) fn encode(&self, content: &Content<S>) -> Result<Bytes, StateError> {
        match content {
            Content::Initial(initial) => {
                let bytes = self.serializer.encode_initial(initial);
                Ok(StateEntry::initial(&bytes.map_err(StateError::unencodable)?))
            }
            Content::Updates(updates) => {
                let updates: Result<Vec<Bytes>, _> =
                    updates.iter().map(|update| self.serializer.encode_update(update)).collect();
                let updates = updates.map_err(StateError::unencodable)?;
                StateEntry::updates(updates).map_err(StateError::unencodable)
            }
        }
    }
}
