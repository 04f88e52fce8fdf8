//! The calls of a handle that begin its group again.

use pravega_sdk_types::{
    BoundedCut, Checkpoint, ErrorKind, GroupStream, Outcome, ReaderGroupConfiguration, StreamCut,
};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    access::Result,
    begin::{check, final_segments, init_of},
    error::ReaderGroupError,
    handle::ReaderGroup,
    machine::reset::{Identity, ResetEffect, ResetEnd, ResetMachine, Updated},
};
use crate::group::{
    deadline::within,
    state::{Adoption, GroupUpdate},
};

impl ReaderGroup {
    /// Begins the group again with a configuration: other streams, starts, ends or settings. All
    /// readers are out of the group then, and learn it at their next look at the state; programs
    /// open new ones. The id and the generation of `configuration` are not used.
    ///
    /// The readers of Java's client follow, too: the change is marked in the state before the
    /// controller is asked for it, so that readers find it there if this client ends in the middle.
    /// Of several clients that reset a group at the same time, the last one wins.
    ///
    /// If the group [holds back truncation](pravega_sdk_types::GroupRetention), a reset does not
    /// bring back what it had released before.
    ///
    /// # Errors
    ///
    /// [`ReaderGroupError`], as of [`create`](Self::create) about the configuration, and
    /// [`NotFound`](ErrorKind::NotFound) if the group was deleted. The outcome is
    /// [`Applied`](Outcome::Applied) once the controller has the configuration: the readers adopt
    /// it by themselves then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the group has the configuration, gets it from its readers later,
    /// or is as before with a mark in its state, which the next reset removes.
    pub async fn reset(&self, configuration: &ReaderGroupConfiguration) -> Result<()> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let done = within(limit, self.begin_again(configuration, &mut effect)).await;
        self.access.finish(RESETTING, limit, effect, done)
    }

    /// Begins the group again where it was at its last complete checkpoint that is not silent, with
    /// the same streams, ends and settings. Streams that were read to their ends at the checkpoint
    /// stay so.
    ///
    /// # Errors
    ///
    /// As [`reset`](Self::reset), and [`ConditionFailed`](ErrorKind::ConditionFailed) if the group
    /// has no complete checkpoint.
    ///
    /// # Cancel safety
    ///
    /// As [`reset`](Self::reset).
    pub async fn reset_to_last_checkpoint(&self) -> Result<()> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let work = async {
            let last = self.access.read(|state| {
                let last = state.checkpoints().last_completed();
                last.map(|last| (last.clone(), state.configuration().clone()))
            });
            let Some((positions, configuration)) = last.await? else {
                let kind = ErrorKind::ConditionFailed;
                let detail = "the group has no complete checkpoint";
                return Err(ReaderGroupError::new(kind, Outcome::NotApplied, detail)
                    .with_hint("reset it to its configuration to begin at the start"));
            };
            let cuts = self.cuts(&positions).await?;
            let configuration = self.moved(configuration, cuts).await?;
            self.begin_again(&configuration, &mut effect).await
        };
        let done = within(limit, work).await;
        self.access.finish(RESETTING, limit, effect, done)
    }

    /// Begins the group again where it was at a checkpoint, with the same streams, ends and
    /// settings. Streams without a cut in the checkpoint were read to their ends, and stay so.
    ///
    /// # Errors
    ///
    /// As [`reset`](Self::reset), and [`InvalidArgument`](ErrorKind::InvalidArgument) if the
    /// checkpoint has a cut of a stream that the group does not read.
    ///
    /// # Cancel safety
    ///
    /// As [`reset`](Self::reset).
    pub async fn reset_to(&self, checkpoint: &Checkpoint) -> Result<()> {
        let mut effect = Outcome::NotApplied;
        let limit = self.access.config.timeout;
        let work = async {
            let configuration = self.access.read(|state| state.configuration().clone()).await?;
            let configuration = self.moved(configuration, checkpoint.cuts().to_vec()).await?;
            self.begin_again(&configuration, &mut effect).await
        };
        let done = within(limit, work).await;
        self.access.finish(RESETTING, limit, effect, done)
    }

    /// Moves the starts of a configuration to the cuts of a checkpoint.
    async fn moved(
        &self,
        configuration: ReaderGroupConfiguration,
        mut cuts: Vec<BoundedCut>,
    ) -> Result<ReaderGroupConfiguration> {
        for GroupStream { stream, to, .. } in configuration.streams() {
            if cuts.iter().any(|cut| cut.stream() == stream) {
                continue;
            }
            if let StreamCut::At(end) = to {
                cuts.push(end.clone());
                continue;
            }
            let ends = final_segments(&self.access.context, stream).await?;
            if ends.is_empty() {
                let detail = format!(
                    "the checkpoint has no cut of {stream}, which has no end that could be read"
                );
                return Err(ReaderGroupError::invalid(detail));
            }
            let cut = BoundedCut::new(stream.clone(), ends);
            cuts.push(cut.map_err(|error| {
                ReaderGroupError::caused_by(error, "the end of a stream is no cut")
            })?);
        }
        configuration.with_starts(cuts).map_err(|error| {
            ReaderGroupError::caused_by(error, "the checkpoint is none of this group")
        })
    }

    async fn begin_again(
        &self,
        configuration: &ReaderGroupConfiguration,
        effect: &mut Outcome,
    ) -> Result<()> {
        check(&self.access.context, configuration).await?;
        let mut machine = ResetMachine::new(configuration.clone());
        loop {
            match machine.poll_effect() {
                ResetEffect::Mark => {
                    let identity = self.mark().await?;
                    machine.handle_marked(identity, Uuid::new_v4());
                }
                ResetEffect::Unmark(identity) => {
                    self.unmark(identity).await?;
                    machine.handle_unmarked();
                }
                ResetEffect::Register(configuration) => {
                    let identity = self.register(&configuration, effect).await?;
                    machine.handle_registered(identity);
                }
                ResetEffect::Update(configuration) => {
                    let updated = self.update(&configuration, effect).await?;
                    machine.handle_updated(updated);
                }
                ResetEffect::FindConfiguration => {
                    let controller = self.access.context.controller();
                    let found = controller.reader_group_configuration(self.group()).await;
                    machine.handle_configuration(found.map_err(|error| {
                        ReaderGroupError::from_controller(error, UNREADABLE).with_outcome(*effect)
                    })?);
                }
                ResetEffect::Adopt(configuration) => {
                    let adopted = self.adopt(&configuration).await;
                    let adopted = adopted.map_err(|error| error.with_outcome(*effect))?;
                    machine.handle_adopted(adopted);
                }
                ResetEffect::Pause(pause) => {
                    sleep(pause).await;
                    machine.handle_paused();
                }
                ResetEffect::End(ResetEnd::Done) => return Ok(()),
                ResetEffect::End(end) => return Err(refused(end).with_outcome(*effect)),
            }
        }
    }

    /// Writes in the state that the configuration changes, and returns its identity.
    async fn mark(&self) -> Result<Identity> {
        // The mark alone changes nothing for a program.
        let mut marked = Outcome::NotApplied;
        let marking = self.access.change(&mut marked, |state, updates| {
            updates.push(GroupUpdate::UpdatingConfig { is_updating: true });
            (state.configuration().id(), state.configuration().generation())
        });
        marking.await.map_err(|error| error.with_outcome(Outcome::NotApplied))
    }

    async fn unmark(&self, identity: Identity) -> Result<()> {
        let mut unmarked = Outcome::NotApplied;
        let unmarking = self.access.change(&mut unmarked, |state, updates| {
            let configuration = state.configuration();
            if (configuration.id(), configuration.generation()) == identity {
                updates.push(GroupUpdate::UpdatingConfig { is_updating: false });
            }
        });
        unmarking.await.map_err(|error| error.with_outcome(Outcome::NotApplied))
    }

    /// Makes the controller know a group that only has a state.
    async fn register(
        &self,
        configuration: &ReaderGroupConfiguration,
        effect: &mut Outcome,
    ) -> Result<Identity> {
        let before = std::mem::replace(effect, Outcome::Unknown);
        let controller = self.access.context.controller();
        match controller.create_reader_group(self.group(), configuration).await {
            Ok(known) => {
                let is_own = known.id() == configuration.id();
                *effect = if is_own { Outcome::Applied } else { before };
                Ok((known.id(), known.generation()))
            }
            Err(error) => {
                let detail = "the controller does not register the group";
                Err(ReaderGroupError::caused_by(error, detail))
            }
        }
    }

    async fn update(
        &self,
        configuration: &ReaderGroupConfiguration,
        effect: &mut Outcome,
    ) -> Result<Updated> {
        let before = std::mem::replace(effect, Outcome::Unknown);
        let controller = self.access.context.controller();
        match controller.update_reader_group(self.group(), configuration).await {
            Ok(generation) => {
                *effect = Outcome::Applied;
                Ok(Updated::Accepted(generation))
            }
            Err(error) if error.kind() == ErrorKind::ConditionFailed => {
                *effect = before;
                Ok(Updated::Refused)
            }
            Err(error) if error.outcome() == Outcome::Unknown => Ok(Updated::InDoubt),
            Err(error) => {
                *effect = before;
                let identity = (configuration.id(), configuration.generation());
                if let Err(error) = self.unmark(identity).await {
                    tracing::debug!(%error, "the mark of a reset is left in the state");
                }
                let detail = "the controller does not change the group";
                Err(ReaderGroupError::from_controller(error, detail))
            }
        }
    }

    /// Begins the group again, unless its state has the configuration or a newer one, or is that of
    /// another group.
    async fn adopt(&self, configuration: &ReaderGroupConfiguration) -> Result<Adoption> {
        let init = init_of(&self.access.context, configuration).await?;
        let mut adopted = Outcome::NotApplied;
        let adopting = self.access.change(&mut adopted, |state, updates| {
            let adoption = state.adoption(configuration);
            if adoption == Adoption::Newer {
                updates.push(GroupUpdate::Init(init.clone()));
            }
            adoption
        });
        adopting.await
    }
}

const RESETTING: &str = "resetting";
const UNREADABLE: &str = "the configuration of the group cannot be read";

fn refused(end: ResetEnd) -> ReaderGroupError {
    let (kind, detail) = match end {
        ResetEnd::Done | ResetEnd::Conflicts => (
            ErrorKind::LimitReached,
            "other clients changed the configuration first, as often as is allowed",
        ),
        ResetEnd::Refused => {
            (ErrorKind::InvalidArgument, "the controller refuses the configuration")
        }
        ResetEnd::Replaced => {
            (ErrorKind::NotFound, "the group was deleted, and another one of the name was created")
        }
    };
    ReaderGroupError::new(kind, Outcome::NotApplied, detail)
}
