//! A store without space: what it refuses is not stored, and nothing that follows is stored first.

use pravega_sdk_wire_protocol::{codes::FailureCode, commands::ErrorMessage};

use super::*;

/// The refusal of an append without a condition, which names it.
fn refused(append: &Append) -> ConditionalCheckFailed {
    let Append { writer_id, event_number, request_id, .. } = *append;
    ConditionalCheckFailed { writer_id, event_number, request_id }
}

/// The refusal of any other request.
fn full(request_id: i64) -> ErrorMessage {
    let (segment, message) = ("s/t/0.#epoch.0".into(), "the memory limit is reached".into());
    ErrorMessage { request_id, segment, message, error_code: FailureCode::OutOfSpace }
}

impl Rig {
    #[track_caller]
    fn is_out_of_space(&mut self, refusal: impl Into<WireCommand>) {
        let reply = self.reply(refusal);
        assert!(matches!(reply, Reply::OutOfSpace(_)), "{reply:?}");
    }

    /// Fails everything; returns each event's number with its outcome.
    fn outcomes(&mut self) -> Vec<(u32, Outcome)> {
        let error = WriteError::new(ErrorKind::OutOfSpace, Outcome::NotApplied, "full");
        self.machine.fail_all(&error, &mut self.done);
        let outcome = |done: Completion<u32>| (done.ticket, done.result.unwrap_err().outcome());
        self.done.drain(..).map(outcome).collect()
    }
}

/// Three appends in flight, and an event that waits.
fn three_in_flight() -> (Rig, Vec<Append>) {
    let mut rig = Rig::open();
    let mut appends = Vec::new();
    for _ in 0..3 {
        rig.event(LARGE_BLOCK_BYTES);
        appends.extend(rig.appends());
    }
    rig.event(10);
    assert_eq!(appends.len(), 3);
    (rig, appends)
}

#[test]
fn a_refused_append_and_all_after_it_are_not_stored() {
    let (mut rig, appends) = three_in_flight();
    assert_eq!(rig.ack(&appends[0], EventNumber::NONE.0, 100), Reply::Progress);
    rig.done();
    rig.is_out_of_space(refused(&appends[1]));
    assert_eq!(rig.outcomes(), [1, 2, 3].map(|event| (event, Outcome::NotApplied)));
}

#[test]
fn refused_events_are_sent_again_under_their_numbers_and_before_later_ones() {
    let (mut rig, appends) = three_in_flight();
    rig.ack(&appends[0], EventNumber::NONE.0, 100);
    rig.done();
    rig.is_out_of_space(refused(&appends[1]));
    for _ in 0..3 {
        rig.set_up(1);
        let again = rig.appends();
        let numbers: Vec<i64> = again.iter().map(|append| append.event_number).collect();
        assert_eq!(numbers, [4], "events 2 to 4 are in one append");
        assert_eq!(again[0].data.len(), 2 * (LARGE_BLOCK_BYTES + 8) + 18);
        rig.is_out_of_space(refused(&again[0]));
    }
    rig.set_up(1);
    let again = rig.appends();
    assert_eq!(rig.ack(&again[0], 1, 300), Reply::Progress);
    assert_eq!(rig.done().into_iter().map(|(event, _)| event).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn events_that_were_refused_again_and_again_are_known_not_to_be_stored() {
    let mut rig = Rig::open();
    rig.event(10);
    for _ in 0..3 {
        let append = rig.appends().remove(0);
        rig.is_out_of_space(refused(&append));
        rig.set_up(EventNumber::NONE.0);
    }
    assert_eq!(rig.outcomes(), [(0, Outcome::NotApplied)]);
}

#[test]
fn a_refusal_says_nothing_of_an_append_that_was_sent_on_an_earlier_connection() {
    let mut rig = Rig::open();
    rig.event(10);
    rig.appends();
    // The connection ends; that append may still arrive.
    rig.set_up(EventNumber::NONE.0);
    rig.event(10);
    let again = rig.appends().remove(0);
    rig.is_out_of_space(refused(&again));
    assert_eq!(rig.outcomes(), [(0, Outcome::Unknown), (1, Outcome::NotApplied)]);
}

#[test]
fn a_refusal_that_overtakes_an_answer_says_nothing() {
    let (mut rig, appends) = three_in_flight();
    rig.is_out_of_space(full(appends[1].request_id));
    let outcomes = rig.outcomes();
    assert_eq!(outcomes[..3], [0, 1, 2].map(|event| (event, Outcome::Unknown)));
    assert_eq!(outcomes[3], (3, Outcome::NotApplied));
}

#[test]
fn a_condition_that_does_not_hold_is_no_lack_of_space() {
    let mut rig = Rig::open();
    rig.condition(b"c", 9);
    let append = rig.appends().remove(0);
    assert_eq!(rig.reply(refused(&append)), Reply::Progress);
    let error = rig.done.remove(0).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConditionFailed);
    rig.condition(b"c", 9);
    let append = rig.appends().remove(0);
    rig.is_out_of_space(full(append.request_id));
    assert_eq!(rig.outcomes(), [(1, Outcome::NotApplied)]);
}
