//! What calls promise, against what the controllers saw.

use std::time::Duration;

use pravega_sdk_types::{ErrorKind, Outcome};

use super::{
    cluster::{Cluster, Health},
    load::{Call, CallKind},
    theme::{Listing, Theme},
};
use crate::history::Violation;

/// The time that a step takes in which nothing waits, and the resolution of timers.
const SLACK: Duration = Duration::from_millis(20);
/// The time that look-up, connect, request and answer take, at most.
const ROUND: Duration = Duration::from_millis(200);
/// The time after which the next address of a name is dialled.
const STAGGER: Duration = Duration::from_millis(250);

/// Checks calls, each by itself.
pub(super) fn check(theme: &Theme, cluster: &Cluster, calls: &[Call]) -> Vec<Violation> {
    let first = calls.iter().map(|call| call.begun).min().unwrap_or_default();
    calls.iter().flat_map(|call| check_call(theme, cluster, call, first)).collect()
}

/// The number of calls that had to reach a healthy controller.
pub(super) fn promised(theme: &Theme, cluster: &Cluster, calls: &[Call]) -> usize {
    let first = calls.iter().map(|call| call.begun).min().unwrap_or_default();
    calls.iter().filter(|call| limit(theme, cluster, call, first).is_some()).count()
}

fn check_call(theme: &Theme, cluster: &Cluster, call: &Call, first: Duration) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |check, detail: String| {
        let said = call.failure.as_ref().map_or("", |failed| &failed.detail);
        let detail = format!("{detail}; {call:?}, {said:?}; {theme:?}");
        violations.push(Violation { check, detail });
    };
    let took = call.ended - call.begun;
    if took > theme.call_timeout + SLACK {
        report("D1", format!("{took:?}, the deadline is {:?}", theme.call_timeout));
    }
    let (received, carried_out) = (cluster.received(&call.name), cluster.carried_out(&call.name));
    if call.kind == CallKind::Scale && carried_out > 1 {
        report("D3", format!("carried out {carried_out} times"));
    }
    match &call.failure {
        None if carried_out == 0 => report("D2", "succeeded, and not carried out".to_owned()),
        None => {}
        Some(failed) => {
            if failed.outcome == Outcome::NotApplied && carried_out > 0 {
                report("D2", "failed for certain, and carried out".to_owned());
            }
            let had_connection = cluster.first_connected().is_some_and(|at| at <= call.ended);
            if failed.outcome == Outcome::Unknown && !had_connection {
                report("D4", "unknown without a connection".to_owned());
            }
            if !is_explained(theme, failed.kind) {
                report("D5", "nothing explains this kind".to_owned());
            }
            let shortest = theme.call_timeout.min(theme.attempt_timeout).min(theme.connect_timeout);
            if failed.kind == ErrorKind::Timeout && took + SLACK < shortest {
                report("D5", format!("a timeout after {took:?}"));
            }
            if received > failed.attempts {
                report("D6", format!("{received} requests were received"));
            }
        }
    }
    if let Some(limit) = limit(theme, cluster, call, first) {
        if call.failure.is_some() {
            report("D7", format!("a healthy controller was not reached in {limit:?}"));
        } else if took > limit {
            report("D7", format!("a healthy controller was reached after {took:?}, not {limit:?}"));
        }
    }
    violations
}

/// Checks the calls of the last phase: what has failed is passed over.
pub(super) fn check_last(theme: &Theme, cluster: &Cluster, calls: &[Call]) -> Vec<Violation> {
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return Vec::new() };
    let Some(credentials) = theme.credentials.longest() else { return Vec::new() };
    let limits = calls.iter().map(|call| limit(theme, cluster, call, first.begun));
    if limits.into_iter().any(|limit| limit.is_none()) {
        return Vec::new();
    }
    let dead: Duration =
        (0..theme.nodes.len()).map(|node| cost(theme, cluster, node, first)).sum::<Duration>()
            + lies(theme) * theme.connect_timeout.min(theme.attempt_timeout);
    let steps = u32::try_from(calls.len()).unwrap_or(u32::MAX);
    let staggers = theme.nodes.iter().map(|node| STAGGER * node.before.len() as u32);
    let each = ROUND + credentials + staggers.max().unwrap_or_default();
    // Each is tried once, or once more after its rest.
    let limit = discovery(theme, credentials) + dead * 2 + each * steps * 2;
    let took = last.ended - first.begun;
    if took > limit {
        let detail = format!("{steps} calls took {took:?}, not {limit:?}; {calls:?}");
        return vec![Violation { check: "D8", detail }];
    }
    Vec::new()
}

/// Returns true if the faults of a seed lead to such failures.
fn is_explained(theme: &Theme, kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Timeout
        | ErrorKind::Unreachable
        | ErrorKind::Unavailable
        | ErrorKind::ServerFailure => true,
        ErrorKind::Unauthenticated => theme.credentials.longest().is_none(),
        _ => false,
    }
}

/// The time within which a call has to reach a healthy controller; `None` if it need not: no
/// controller is healthy all the time, or the call ends before.
fn limit(theme: &Theme, cluster: &Cluster, call: &Call, first: Duration) -> Option<Duration> {
    let credentials = theme.credentials.longest()?;
    let healths = |node| cluster.health_between(node, call.begun, call.ended);
    let nodes = || 0..theme.nodes.len();
    let is_healthy = |node: &usize| healths(*node) == [Health::Healthy];
    // After such a failure a call waits before it tries any other.
    if nodes().any(|node| healths(node).contains(&Health::Broken)) {
        return None;
    }
    let healthy = nodes().find(is_healthy)?;
    let silences: u32 = nodes().map(|node| cluster.silences(node, call.ended)).sum();
    if call.kind == CallKind::Scale && (silences > 0 || !nodes().all(|node| is_healthy(&node))) {
        return None;
    }
    let staggers = |node: usize| STAGGER * theme.nodes[node].before.len() as u32;
    let own = staggers(healthy) + ROUND;
    if own > theme.connect_timeout || own + credentials > theme.attempt_timeout {
        return None;
    }
    let others = nodes().filter(|node| *node != healthy);
    let others = others.map(|node| cost(theme, cluster, node, call) + credentials);
    let lies = lies(theme) * (theme.connect_timeout.min(theme.attempt_timeout) + credentials);
    let mut limit = others.sum::<Duration>() + lies + own + credentials + ROUND;
    if silences > 0 {
        // A connection may be silent, which shows when a request is not answered.
        limit = (limit + theme.attempt_timeout + ROUND) * (silences + 1);
    }
    if joins_old_dial(theme, cluster, healthy, call) {
        limit = limit * 2 + theme.connect_timeout.min(theme.attempt_timeout);
    }
    if call.begun <= first + SLACK && theme.listing.is_some() {
        limit += discovery(theme, credentials);
    }
    (limit + SLACK < theme.call_timeout).then_some(limit)
}

/// Returns true if a call may share a dial that has begun before its controller was healthy. It
/// goes on while a silent address of the name may answer.
fn joins_old_dial(theme: &Theme, cluster: &Cluster, node: usize, call: &Call) -> bool {
    let before = call.begun.saturating_sub(theme.connect_timeout);
    let was_ill = cluster.health_between(node, before, call.begun) != [Health::Healthy];
    was_ill && has_silent(theme, node)
}

/// Returns true if connects to one of the addresses of a controller hang.
fn has_silent(theme: &Theme, node: usize) -> bool {
    let addresses = &theme.nodes[node];
    addresses.before.iter().chain(&addresses.after).any(|is_silent| *is_silent)
}

/// The longest time that the first call waits for a discovery.
fn discovery(theme: &Theme, credentials: Duration) -> Duration {
    match theme.listing {
        None => Duration::ZERO,
        Some(_) => {
            let nodes = u32::try_from(theme.nodes.len()).unwrap_or(u32::MAX);
            let whole = (theme.connect_timeout + credentials + ROUND) * nodes;
            whole.min(theme.call_timeout / 2)
        }
    }
}

fn lies(theme: &Theme) -> u32 {
    match theme.listing {
        Some(Listing::Lies) => 2,
        Some(Listing::Mixed) => 1,
        _ => 0,
    }
}

/// The longest time that a call spends on a controller before it gives it up.
fn cost(theme: &Theme, cluster: &Cluster, node: usize, call: &Call) -> Duration {
    let (connect, attempt) = (theme.connect_timeout, theme.attempt_timeout);
    let healths = cluster.health_between(node, call.begun, call.ended);
    let has_silent = has_silent(theme, node);
    let cost = |health: &Health| match health {
        Health::Healthy | Health::Unavailable | Health::Broken => connect,
        // The dial goes on while an address of the name may answer.
        Health::Refuses if has_silent => connect,
        Health::Refuses => STAGGER,
        Health::NoNameServer => connect,
        Health::Unanswered | Health::Silent | Health::LosesAnswers => attempt.max(connect),
    };
    let longest = healths.iter().map(cost).max().unwrap_or_default();
    longest.min(attempt) + ROUND
}
