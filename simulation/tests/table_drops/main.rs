//! Every call of tables, synchronizers, recipes, revisioned streams, states and attributes, dropped
//! after each of its polls: what is stored has all of the call or nothing of it, its handle goes on
//! as if the call had ended, and nothing is left running.

mod calls;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../tests/calls/listed.rs"]
mod listed;
mod reading;
mod streams;
mod subject;
#[path = "../common/sum.rs"]
mod sum;
mod tables;

use std::collections::BTreeSet;

use calls::{CALLS, Call, Effect};
use subject::Run;

/// The parts of the list of public calls that are not made here; `cancel` drops those of writers,
/// readers and transactions.
const OTHERS: [&str; 14] = [
    "batch",
    "bytes",
    "controller",
    "embedded",
    "event_reader",
    "event_writer",
    "factory",
    "group_readers",
    "index",
    "keyed_event_writer",
    "pool",
    "reader_groups",
    "store_connections",
    "transactions",
];

/// No call needs as many polls.
const ENOUGH: usize = 500;

/// Checks the runs of a call, of which the first one has not polled it, and the last one has polled
/// it to its end.
fn check(call: &Call, runs: &[Run]) {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { panic!("there are none") };
    let name = call.name;
    assert!(runs.len() > 2, "{name} had nothing to wait for");
    let is_change = first.stored != last.stored;
    assert_eq!(is_change, call.effect == Effect::Changes, "{name}: {first:?}, {last:?}");
    for (polls, run) in runs.iter().enumerate() {
        let right = [first, last].into_iter().find(|right| right.stored == run.stored);
        let Some(right) = right else {
            panic!("{name} dropped after {polls} polls: neither {first:?} nor {last:?}: {run:?}")
        };
        assert_eq!(run.later, right.later, "{name} dropped after {polls} polls");
        let links = first.links.max(last.links) + 1;
        assert!(run.links <= links, "{name} dropped after {polls} polls: {run:?}, {last:?}");
    }
}

fn drop_everywhere(sections: &[&str]) {
    let mut drops = 0;
    let is_here = |call: &&Call| sections.contains(&section(call.name));
    for call in CALLS.iter().filter(is_here) {
        let mut runs: Vec<Run> = Vec::new();
        while runs.last().is_none_or(|run| !run.has_ended) {
            // For one that fails.
            println!("{} dropped after {} polls", call.name, runs.len());
            assert!(runs.len() < ENOUGH, "it does not end");
            runs.push((call.run)(runs.len()));
        }
        check(call, &runs);
        drops += runs.len();
    }
    println!("{drops} drops");
    assert!(drops > 10, "{sections:?}");
}

fn section(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

#[test]
fn calls_of_table_segments_that_are_dropped_are_made_as_a_whole_or_not_at_all() {
    drop_everywhere(&["tables", "segment_attributes"]);
}

#[test]
fn calls_of_key_value_tables_that_are_dropped_are_made_as_a_whole_or_not_at_all() {
    drop_everywhere(&["key_value_tables", "typed_tables"]);
}

#[test]
fn calls_of_synchronizers_that_are_dropped_are_made_as_a_whole_or_not_at_all() {
    drop_everywhere(&["synchronizers"]);
}

#[test]
fn calls_of_recipes_that_are_dropped_are_made_as_a_whole_or_not_at_all() {
    drop_everywhere(&["recipes", "groups"]);
}

#[test]
fn calls_of_revisioned_streams_and_states_that_are_dropped_are_made_as_a_whole_or_not_at_all() {
    drop_everywhere(&["revisioned_streams", "states"]);
}

#[test]
fn no_call_of_tables_and_states_is_missing() {
    let made: BTreeSet<&str> = CALLS.iter().map(|call| call.name).collect();
    let listed = listed::listed();
    let missing: Vec<_> = listed
        .iter()
        .filter(|name| !OTHERS.contains(&section(name)) && !made.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(made.iter().all(|name| listed.contains(*name)), "the list has no such call");
}
