//! Requests in every order of events.

use std::time::Duration;

use pravega_sdk_wire_protocol::{WireCommand, codes::TokenFailure, commands::*};

use super::requests::{Incoming, Limits, Pushed, Request, Requests, Unanswered};
use crate::seeded_bugs::Bugs;

const LIMITS: Limits = Limits { requests: 2, bytes: 100 };

fn requests() -> Requests<&'static str> {
    Requests::new(LIMITS, Bugs::default())
}

fn sealed(request_id: i64) -> WireCommand {
    SegmentSealed { request_id, segment: "s".into() }.into()
}

fn seal(request_id: i64) -> WireCommand {
    SealSegment { request_id, segment: "s".into(), delegation_token: "".into() }.into()
}

fn read(id: i64, offset: i64, token: &str) -> WireCommand {
    let (segment, suggested_length, request_id) = ("s".into(), 8, id);
    let delegation_token = token.into();
    ReadSegment { segment, offset, suggested_length, delegation_token, request_id }.into()
}

fn refused(request_id: i64, error_code: TokenFailure) -> WireCommand {
    AuthTokenCheckFailed { request_id, server_stack_trace: "".into(), error_code }.into()
}

impl Requests<&'static str> {
    fn make(&mut self, id: i64, name: &'static str, cost: Option<usize>) {
        let command = seal(id);
        let request = Request { id, command, waiter: name, cost, deadline: None };
        assert_eq!(self.push(request, false), Pushed::Queued);
    }

    fn read(&mut self, id: i64, name: &'static str, offset: i64, token: &str) {
        let command = read(id, offset, token);
        let request = Request { id, command, waiter: name, cost: None, deadline: None };
        assert_eq!(self.push(request, false), Pushed::Queued);
        assert_eq!(self.sendable(), [name]);
    }

    fn make_until(&mut self, id: i64, name: &'static str, deadline: u64) {
        let deadline = Some(Duration::from_secs(deadline));
        let (command, cost) = (seal(id), Some(1));
        let request = Request { id, command, waiter: name, cost, deadline };
        assert_eq!(self.push(request, false), Pushed::Queued);
    }

    fn sendable(&mut self) -> Vec<&'static str> {
        let sent: Vec<i64> = std::iter::from_fn(|| self.poll_send()).map(|(id, _)| id).collect();
        sent.into_iter().map(|id| *self.waiter(id).unwrap()).collect()
    }
}

#[test]
fn replies_reach_their_waiter_in_any_order_and_only_once() {
    let mut requests = Requests::new(Limits { requests: 9, bytes: 9 }, Bugs::default());
    for (id, name) in [(0, "a"), (1, "b"), (2, "c")] {
        requests.make(id, name, Some(1));
    }
    assert_eq!(requests.sendable(), ["a", "b", "c"]);
    for (id, name) in [(2, "c"), (0, "a"), (1, "b")] {
        assert_eq!(requests.handle(sealed(id)), Incoming::Reply(name, sealed(id)));
    }
    assert_eq!(requests.handle(sealed(1)), Incoming::Ignored);
    assert_eq!((requests.unknown(), requests.outstanding()), (1, 0));
}

#[test]
fn an_id_in_use_is_not_taken_over() {
    let mut requests = requests();
    requests.make(1, "first", Some(1));
    let (command, cost) = (seal(1), Some(1));
    let second = Request { id: 1, command, waiter: "second", cost, deadline: None };
    assert_eq!(requests.push(second, true), Pushed::Refused("second"));
    assert_eq!(requests.sendable(), ["first"]);
}

#[test]
fn a_reply_to_a_waiter_that_left_or_to_a_request_that_was_not_sent_is_counted_and_ignored() {
    let mut requests = requests();
    requests.make(1, "left", Some(1));
    assert_eq!(requests.handle(sealed(1)), Incoming::Ignored, "it is not sent yet");
    assert_eq!(requests.sendable(), ["left"]);
    assert_eq!(requests.remove(1).map(|left| left.waiter), Some("left"));
    assert_eq!(requests.handle(sealed(1)), Incoming::Ignored);
    assert_eq!(requests.unknown(), 2);
}

#[test]
fn the_limits_admit_requests_in_their_order_and_reads_at_once() {
    // The number and cost of each request, those that are sent at once, those sent after the reply
    // to the first.
    type Case = (&'static [(i64, Option<usize>)], &'static [&'static str], &'static [&'static str]);
    let cases: [Case; 6] = [
        (&[(0, Some(1)), (1, Some(1)), (2, Some(1))], &["a", "b"], &["c"]),
        (&[(0, Some(60)), (1, Some(60)), (2, Some(1))], &["a"], &["b", "c"]),
        (&[(0, Some(60)), (1, Some(40)), (2, Some(1))], &["a", "b"], &["c"]),
        // A single one is never too long.
        (&[(0, Some(500)), (1, Some(1))], &["a"], &["b"]),
        (&[(0, Some(1)), (1, None), (2, None), (3, Some(1))], &["a", "b", "c", "d"], &[]),
        (&[(0, Some(60)), (1, Some(60)), (2, None)], &["a", "c"], &["b"]),
    ];
    for ((made, at_once, later), may_send) in
        cases.into_iter().flat_map(|case| [(case, false), (case, true)])
    {
        let mut requests = requests();
        let mut sent = Vec::new();
        for ((id, cost), name) in made.iter().zip(["a", "b", "c", "d"]) {
            let (id, cost, command) = (*id, *cost, seal(*id));
            let request = Request { id, command, waiter: name, cost, deadline: None };
            match requests.push(request, may_send) {
                Pushed::Sent(command) => {
                    assert!(may_send && command == seal(id), "{made:?}");
                    sent.push(name);
                }
                pushed => assert_eq!(pushed, Pushed::Queued),
            }
        }
        assert_eq!(sent.is_empty(), !may_send);
        sent.extend(requests.sendable());
        assert_eq!(sent, at_once, "{made:?}");
        assert_eq!(requests.handle(sealed(0)), Incoming::Reply("a", sealed(0)));
        assert_eq!(requests.sendable(), later, "{made:?}");
    }
}

/// Requests, in flight and in the queue, leave in every way there is: the limits are free again.
#[test]
fn every_end_of_a_request_returns_its_share_of_the_limits() {
    let ends: [fn(&mut Requests<&'static str>); 3] = [
        |requests| assert!((0..4).all(|id| requests.remove(id).is_some())),
        |requests| assert_eq!(requests.handle_timeout(Duration::from_secs(9)).len(), 4),
        |requests| assert_eq!(requests.drain().len(), 4),
    ];
    for end in ends {
        let mut requests = requests();
        for (id, name) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
            requests.make_until(id, name, 9);
        }
        assert_eq!(requests.sendable(), ["a", "b"]);
        end(&mut requests);
        assert_eq!((requests.outstanding(), requests.poll_timeout()), (0, None));
        assert_eq!(requests.sendable(), [""; 0], "those that left are skipped");
        for (id, name) in [(4, "e"), (5, "f"), (6, "g")] {
            requests.make(id, name, Some(50));
        }
        assert_eq!(requests.sendable(), ["e", "f"]);
    }
}

#[test]
fn a_request_that_times_out_tells_if_it_was_sent() {
    let mut requests = requests();
    for (id, name, deadline) in [(0, "a", 3), (1, "b", 2), (2, "c", 1), (3, "d", 2)] {
        requests.make_until(id, name, deadline);
    }
    assert_eq!(requests.sendable(), ["a", "b"]);
    let late = |requests: &mut Requests<_>, seconds| {
        let late = requests.handle_timeout(Duration::from_secs(seconds)).into_iter();
        late.map(|Unanswered { waiter, was_sent }| (waiter, was_sent)).collect::<Vec<_>>()
    };
    assert_eq!(requests.poll_timeout(), Some(Duration::from_secs(1)));
    assert_eq!(late(&mut requests, 0), []);
    assert_eq!(late(&mut requests, 1), [("c", false)]);
    assert_eq!(late(&mut requests, 2), [("b", true), ("d", false)]);
    assert_eq!(late(&mut requests, 9), [("a", true)]);
}

#[test]
fn a_refused_token_reaches_every_read_at_its_offset() {
    for code in [TokenFailure::Expired, TokenFailure::CheckFailed] {
        let mut requests = requests();
        requests.read(1, "a", 40, "t");
        requests.read(2, "b", 40, "t");
        requests.read(3, "elsewhere", 41, "t");
        let shared = Incoming::Shared(vec!["a", "b"], refused(40, code));
        assert_eq!(requests.handle(refused(40, code)), shared);
        assert_eq!(requests.handle(refused(40, code)), Incoming::Ignored);
        assert_eq!(requests.outstanding(), 1);
    }
}

/// Only one of the tokens is refused. Its read asks again and gets to know it; the other goes on.
#[test]
fn a_refusal_that_may_be_about_another_token_is_one_that_a_new_token_may_cure() {
    let (expired, failed) = (TokenFailure::Expired, TokenFailure::CheckFailed);
    let mut requests = requests();
    requests.read(1, "a", 40, "one");
    requests.read(2, "b", 40, "two");
    let shared = Incoming::Shared(vec!["a", "b"], refused(40, expired));
    assert_eq!(requests.handle(refused(40, failed)), shared);
    // The store may have refused both.
    requests.read(3, "b again", 40, "three");
    let shared = Incoming::Shared(vec!["b again"], refused(40, expired));
    assert_eq!(requests.handle(refused(40, failed)), shared);
    // Data of all of them arrived: nothing is left to be refused.
    for id in 1..=3 {
        assert_eq!(requests.handle(sealed(id)), Incoming::Ignored);
    }
    requests.read(4, "c", 40, "four");
    let alone = Incoming::Shared(vec!["c"], refused(40, failed));
    assert_eq!(requests.handle(refused(40, failed)), alone);
}

#[test]
fn the_refusal_of_a_read_that_was_dropped_ends_no_other() {
    let mut requests = requests();
    requests.read(1, "dropped", 0, "bad");
    requests.read(2, "innocent", 0, "good");
    assert_eq!(requests.remove(1).map(|left| left.waiter), Some("dropped"));
    let shared = Incoming::Shared(vec!["innocent"], refused(0, TokenFailure::Expired));
    assert_eq!(requests.handle(refused(0, TokenFailure::CheckFailed)), shared);
}

#[test]
fn a_refusal_with_the_id_of_a_request_is_not_taken_for_that_of_a_read() {
    let mut requests = requests();
    requests.make(7, "seal", Some(1));
    assert_eq!(requests.sendable(), ["seal"]);
    requests.read(8, "read", 7, "t");
    // Ids of the handle are negative, so this is only possible with ids of a caller.
    let refusal = refused(7, TokenFailure::Expired);
    assert_eq!(requests.handle(refusal.clone()), Incoming::Reply("seal", refusal.clone()));
    assert_eq!(requests.handle(refusal.clone()), Incoming::Shared(vec!["read"], refusal));
}

#[test]
fn what_only_a_client_sends_is_a_violation() {
    let mut requests = requests();
    assert_eq!(requests.handle(seal(1)), Incoming::Violation);
    assert_eq!(requests.handle(Padding { length: 3 }.into()), Incoming::Violation);
    assert_eq!(requests.handle(KeepAlive {}.into()), Incoming::Ignored);
}
