//! Answers of a controller that contradict what a store has said.

use super::*;
use crate::machine::CONTROLLER_LAG;

/// A writer whose only segment is sealed, and of which the controller names no successors.
fn without_successors() -> Rig {
    let mut rig = Rig::new(1);
    rig.write(0.5, 0);
    let connection = rig.open(segment(0, 0), 1);
    rig.machine.handle_command(connection, sealed(), rig.now);
    rig.ask_for_segments();
    rig
}

impl Rig {
    fn ask_for_segments(&mut self) {
        assert!(self.effects().contains(&Effect::FindSuccessors(segment(0, 0))));
        self.machine.handle_successors(segment(0, 0), Ok(vec![]), self.now);
        assert_eq!(self.effects(), [Effect::FindSegments(segment(0, 0))]);
    }

    /// The controller names another segment, after some time.
    fn answer_without_it(&mut self, late: Duration) {
        self.now += late;
        self.machine.handle_segments(segment(0, 0), Ok(vec![segment(0, 7)]), self.now);
    }

    fn is_over(&self) -> bool {
        self.machine.outstanding() == 0 || self.machine.has_completions()
    }
}

#[test]
fn a_stream_without_the_segment_is_another_one_if_that_is_said_after_the_longest_lag() {
    let mut rig = without_successors();
    while !rig.is_over() {
        rig.answer_without_it(Duration::from_millis(5));
        if !rig.is_over() {
            rig.wait();
            rig.ask_for_segments();
        }
    }
    assert_eq!(rig.failures(), [(0, ErrorKind::NotFound, Outcome::NotApplied)]);
    assert!((CONTROLLER_LAG..CONTROLLER_LAG * 3).contains(&rig.now), "{:?}", rig.now);
}

#[test]
fn an_answer_that_is_late_knows_no_more_than_the_controller_did_when_it_was_asked() {
    let mut rig = without_successors();
    rig.answer_without_it(Duration::from_millis(5));
    rig.wait();
    rig.ask_for_segments();
    rig.answer_without_it(CONTROLLER_LAG * 2);
    assert!(!rig.is_over(), "the instance may have lagged when it was asked");
    rig.wait();
    rig.ask_for_segments();
    rig.answer_without_it(Duration::from_millis(5));
    assert_eq!(rig.failures(), [(0, ErrorKind::NotFound, Outcome::NotApplied)]);
}
