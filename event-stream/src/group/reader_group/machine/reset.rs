//! The steps by which a group begins again with another configuration.
//!
//! ```text
//! Mark ──▶ Update ──accepted──▶ FindConfiguration ──▶ Adopt (that one) ──▶ Done
//!   ▲        │ refused, or in doubt
//!   │        ▼
//!   │   FindConfiguration ──ours──────▶ Adopt ──▶ Done
//!   │        ├──newer──▶ Adopt (that one) ──┐
//!   └────────┼──────────────────────────────┘
//!            ├──as before, in doubt──▶ Pause ──▶ Update
//!            └──as before, refused──▶ Unmark ──▶ Refused
//! ```
//!
//! The controller decides which configuration is next, by the generation. What it answers to a
//! change that it accepts may be the generation of a later change of another client, as a 0.13.0
//! server reads it after the change, so the configuration is asked for in any case. The mark in the
//! state makes the readers of both languages ask it, so that they follow also if this client ends
//! in the middle.

use std::time::Duration;

use pravega_sdk_types::ReaderGroupConfiguration;
use uuid::Uuid;

use super::configuration::is_same;
use crate::group::state::Adoption;

/// How often another client may be faster, or a call be in doubt.
const MAX_ROUNDS: u32 = 100;
/// The pause before a call is made again whose effect is not known.
const PAUSE: Duration = Duration::from_millis(200);

/// The id and the generation of a group.
pub(crate) type Identity = (Uuid, Option<i64>);

/// What the owner of the machine does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResetEffect {
    /// Write in the state that the configuration changes: answered by
    /// [`ResetMachine::handle_marked`].
    Mark,
    /// Write that it does not change any more, if the state still has this identity: answered by
    /// [`ResetMachine::handle_unmarked`].
    Unmark(Identity),
    /// Make the controller know a group that is older than the registration of groups: answered by
    /// [`ResetMachine::handle_registered`].
    Register(ReaderGroupConfiguration),
    /// Ask the controller for the change: answered by [`ResetMachine::handle_updated`].
    Update(ReaderGroupConfiguration),
    /// Ask the controller for its configuration: answered by
    /// [`ResetMachine::handle_configuration`].
    FindConfiguration,
    /// Begin the group again with a configuration, if the one of the state is older and of
    /// the same group: answered by [`ResetMachine::handle_adopted`].
    Adopt(ReaderGroupConfiguration),
    /// Wait: answered by [`ResetMachine::handle_paused`].
    Pause(Duration),
    /// The reset has ended.
    End(ResetEnd),
}

/// How a reset ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResetEnd {
    /// The group has the configuration.
    Done,
    /// The controller refuses the configuration, for no reason of its generation.
    Refused,
    /// The group was deleted, and there is another of its name.
    Replaced,
    /// Other clients changed the configuration first, too often.
    Conflicts,
}

/// What the controller answered to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updated {
    /// It has the configuration, with this generation.
    Accepted(i64),
    /// It has not changed anything.
    Refused,
    /// It may have changed the configuration.
    InDoubt,
}

/// The steps of one reset.
#[derive(Debug)]
pub(crate) struct ResetMachine {
    wanted: ReaderGroupConfiguration,
    /// The identity with which the controller was asked last.
    asked: Identity,
    is_refused: bool,
    /// The generation that the controller has reached with or after the change.
    accepted: Option<i64>,
    rounds: u32,
    /// What follows once a configuration was adopted, or the state unmarked.
    end: Option<ResetEnd>,
    next: ResetEffect,
}

impl ResetMachine {
    /// Begins a reset to a configuration, whose identity is not used.
    pub(crate) fn new(wanted: ReaderGroupConfiguration) -> Self {
        Self {
            wanted,
            asked: (Uuid::nil(), None),
            is_refused: false,
            accepted: None,
            rounds: 0,
            end: None,
            next: ResetEffect::Mark,
        }
    }

    /// Returns what is done next; the same until it is answered.
    pub(crate) fn poll_effect(&self) -> ResetEffect {
        self.next.clone()
    }

    /// The state is marked, and had this identity. `id` is a new one, for a group without any.
    pub(crate) fn handle_marked(&mut self, identity: Identity, id: Uuid) {
        if identity == (Uuid::nil(), None) {
            self.asked = (id, Some(0));
            self.next = ResetEffect::Register(self.identified());
        } else {
            self.asked = identity;
            self.next = ResetEffect::Update(self.identified());
        }
    }

    /// The controller knows the group, with this identity.
    pub(crate) fn handle_registered(&mut self, identity: Identity) {
        if identity.0 == self.asked.0 {
            self.accept(identity.1.unwrap_or_default());
        } else {
            // Another client was faster.
            self.asked = identity;
            self.next = ResetEffect::Update(self.identified());
        }
    }

    /// The controller answered to the change.
    pub(crate) fn handle_updated(&mut self, updated: Updated) {
        match updated {
            Updated::Accepted(generation) => self.accept(generation),
            Updated::Refused => self.doubt(true),
            Updated::InDoubt => self.doubt(false),
        }
    }

    /// The controller has this configuration.
    pub(crate) fn handle_configuration(&mut self, found: ReaderGroupConfiguration) {
        if found.id() != self.asked.0 {
            self.next = ResetEffect::End(ResetEnd::Replaced);
            return;
        }
        let (known, asked) = (found.generation(), self.asked.1);
        if let Some(accepted) = self.accepted {
            // An instance of the controller that answers with an older one lags.
            let is_found = known >= Some(accepted);
            if is_found {
                self.end = Some(ResetEnd::Done);
            }
            self.next =
                if is_found { ResetEffect::Adopt(found) } else { ResetEffect::Pause(PAUSE) };
            return;
        }
        if known <= asked {
            let is_final = self.is_refused && known == asked;
            // An instance of the controller that answers with an older one lags.
            self.next = if is_final {
                self.end = Some(ResetEnd::Refused);
                ResetEffect::Unmark(self.asked)
            } else {
                ResetEffect::Pause(PAUSE)
            };
            return;
        }
        // An attempt whose reply was lost has changed it, or another client has done the same.
        let is_next = known == asked.map(|asked| asked.saturating_add(1));
        self.end = (is_next && is_same(&found, &self.wanted)).then_some(ResetEnd::Done);
        self.next = ResetEffect::Adopt(found);
    }

    /// The state has the configuration that should be adopted, or a newer one, or is that of
    /// another group.
    pub(crate) fn handle_adopted(&mut self, adoption: Adoption) {
        self.next = match adoption {
            Adoption::OtherGroup => ResetEffect::End(ResetEnd::Replaced),
            Adoption::Newer | Adoption::Known => {
                self.end.map_or(ResetEffect::Mark, ResetEffect::End)
            }
        };
    }

    /// The state is not marked any more.
    pub(crate) fn handle_unmarked(&mut self) {
        self.next = ResetEffect::End(self.end.unwrap_or(ResetEnd::Refused));
    }

    /// The pause is over.
    pub(crate) fn handle_paused(&mut self) {
        self.next = if self.accepted.is_none() {
            ResetEffect::Update(self.identified())
        } else {
            self.find()
        };
    }

    fn accept(&mut self, generation: i64) {
        self.accepted = Some(generation);
        self.next = self.find();
    }

    fn doubt(&mut self, is_refused: bool) {
        self.is_refused = is_refused;
        self.next = self.find();
    }

    fn find(&mut self) -> ResetEffect {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            ResetEffect::End(ResetEnd::Conflicts)
        } else {
            ResetEffect::FindConfiguration
        }
    }

    /// The configuration with the identity that the controller is asked with.
    fn identified(&self) -> ReaderGroupConfiguration {
        let (id, generation) = self.asked;
        self.wanted.clone().with_identity(id, generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(1);

    fn wanted() -> ReaderGroupConfiguration {
        let configuration = ReaderGroupConfiguration::new(["a/b".parse().unwrap()]).unwrap();
        configuration.with_refresh_interval(Duration::from_secs(1))
    }

    fn ours(generation: i64) -> ReaderGroupConfiguration {
        wanted().with_identity(ID, Some(generation))
    }

    fn foreign(generation: i64) -> ReaderGroupConfiguration {
        ours(generation).with_refresh_interval(Duration::from_secs(9))
    }

    /// A machine that has asked the controller for the change from generation 4.
    fn asked() -> ResetMachine {
        let mut machine = ResetMachine::new(wanted().with_identity(Uuid::from_u128(9), Some(9)));
        assert_eq!(machine.poll_effect(), ResetEffect::Mark);
        machine.handle_marked((ID, Some(4)), Uuid::from_u128(2));
        assert_eq!(machine.poll_effect(), ResetEffect::Update(ours(4)));
        machine
    }

    fn end(mut machine: ResetMachine) -> ResetEnd {
        machine.handle_adopted(Adoption::Newer);
        match machine.poll_effect() {
            ResetEffect::End(end) => end,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_accepted_change_is_adopted_as_the_controller_has_it() {
        // Its generation, or that of a later change, is answered; only the last one counts.
        for (answered, found) in
            [(5, ours(5)), (5, foreign(6)), (6, foreign(6)), (6, ours(6)), (6, foreign(7))]
        {
            let mut machine = asked();
            machine.handle_updated(Updated::Accepted(answered));
            assert_eq!(machine.poll_effect(), ResetEffect::FindConfiguration);
            machine.handle_configuration(found.clone());
            assert_eq!(machine.poll_effect(), ResetEffect::Adopt(found));
            assert_eq!(end(machine), ResetEnd::Done);
        }
    }

    #[test]
    fn a_controller_that_lags_is_asked_again_and_the_change_is_not_made_again() {
        let mut machine = asked();
        machine.handle_updated(Updated::Accepted(6));
        for lagging in [foreign(4), ours(5)] {
            machine.handle_configuration(lagging);
            assert_eq!(machine.poll_effect(), ResetEffect::Pause(PAUSE));
            machine.handle_paused();
            assert_eq!(machine.poll_effect(), ResetEffect::FindConfiguration);
        }
        machine.handle_configuration(foreign(6));
        assert_eq!(machine.poll_effect(), ResetEffect::Adopt(foreign(6)));
        assert_eq!(end(machine), ResetEnd::Done);
    }

    #[test]
    fn a_change_of_another_client_is_adopted_and_then_replaced() {
        for found in [foreign(5), foreign(6), ours(6)] {
            let mut machine = asked();
            machine.handle_updated(Updated::Refused);
            assert_eq!(machine.poll_effect(), ResetEffect::FindConfiguration);
            machine.handle_configuration(found.clone());
            assert_eq!(machine.poll_effect(), ResetEffect::Adopt(found));
            machine.handle_adopted(Adoption::Newer);
            assert_eq!(machine.poll_effect(), ResetEffect::Mark);
        }
    }

    #[test]
    fn a_change_whose_reply_was_lost_is_found_and_not_made_twice() {
        for updated in [Updated::InDoubt, Updated::Refused] {
            let mut machine = asked();
            machine.handle_updated(updated);
            machine.handle_configuration(ours(5));
            assert_eq!(machine.poll_effect(), ResetEffect::Adopt(ours(5)));
            assert_eq!(end(machine), ResetEnd::Done);
        }
    }

    #[test]
    fn a_change_in_doubt_that_was_not_made_is_made_again() {
        for (updated, generation) in
            [(Updated::InDoubt, 4), (Updated::InDoubt, 3), (Updated::Refused, 3)]
        {
            let mut machine = asked();
            machine.handle_updated(updated);
            machine.handle_configuration(foreign(generation));
            assert_eq!(machine.poll_effect(), ResetEffect::Pause(PAUSE));
            machine.handle_paused();
            assert_eq!(machine.poll_effect(), ResetEffect::Update(ours(4)));
        }
    }

    #[test]
    fn a_configuration_that_is_refused_for_itself_leaves_no_mark() {
        let mut machine = asked();
        machine.handle_updated(Updated::Refused);
        machine.handle_configuration(foreign(4));
        assert_eq!(machine.poll_effect(), ResetEffect::Unmark((ID, Some(4))));
        machine.handle_unmarked();
        assert_eq!(machine.poll_effect(), ResetEffect::End(ResetEnd::Refused));
    }

    #[test]
    fn a_group_that_was_created_again_is_not_changed() {
        let mut machine = asked();
        machine.handle_updated(Updated::Refused);
        machine.handle_configuration(foreign(5).with_identity(Uuid::from_u128(3), Some(5)));
        assert_eq!(machine.poll_effect(), ResetEffect::End(ResetEnd::Replaced));
    }

    #[test]
    fn a_group_that_was_created_again_before_its_state_was_changed_is_left() {
        let mut machine = asked();
        machine.handle_updated(Updated::Accepted(5));
        machine.handle_configuration(ours(5));
        machine.handle_adopted(Adoption::OtherGroup);
        assert_eq!(machine.poll_effect(), ResetEffect::End(ResetEnd::Replaced));
    }

    #[test]
    fn a_group_that_the_controller_does_not_know_is_registered_first() {
        let (new, other) = (Uuid::from_u128(2), Uuid::from_u128(3));
        let begun = || {
            let mut machine = ResetMachine::new(wanted());
            machine.handle_marked((Uuid::nil(), None), new);
            let sent = wanted().with_identity(new, Some(0));
            assert_eq!(machine.poll_effect(), ResetEffect::Register(sent));
            machine
        };
        let mut machine = begun();
        machine.handle_registered((new, Some(0)));
        let adopted = wanted().with_identity(new, Some(0));
        machine.handle_configuration(adopted.clone());
        assert_eq!(machine.poll_effect(), ResetEffect::Adopt(adopted));
        let mut machine = begun();
        machine.handle_registered((other, Some(2)));
        let sent = wanted().with_identity(other, Some(2));
        assert_eq!(machine.poll_effect(), ResetEffect::Update(sent));
    }

    #[test]
    fn a_reset_ends_whatever_the_controller_answers() {
        let mut machine = asked();
        let mut steps = 0;
        while !matches!(machine.poll_effect(), ResetEffect::End(_)) {
            steps += 1;
            assert!(steps < 1000, "{machine:?}");
            match machine.poll_effect() {
                ResetEffect::Update(_) => machine.handle_updated(Updated::InDoubt),
                ResetEffect::FindConfiguration => machine.handle_configuration(foreign(4)),
                ResetEffect::Pause(_) => machine.handle_paused(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(machine.poll_effect(), ResetEffect::End(ResetEnd::Conflicts));
    }
}
