//! Random orders of the steps of several readers, with scales, readers that come and go, and lost
//! replies; and broken variants that the checks must catch.

use std::time::Duration;

use super::{
    super::{super::state::GroupUpdate, HandOver, SegmentAssignment, seeded_bugs::GroupBug},
    world::World,
};

/// What happens in a run besides reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Readers join and leave, where they are or where they were after their last events.
    Graceful,
    /// Readers die, and are taken out at their positions.
    Dies,
    /// Readers die, and are taken out without a position.
    DiesUnknown,
    /// Readers are taken out while they run.
    TakenOut,
}

const THEMES: [Theme; 4] = [Theme::Graceful, Theme::Dies, Theme::DiesUnknown, Theme::TakenOut];
const MAX_STEPS: usize = 60_000;

/// A run of readers as they are by default.
fn run(seed: u64, theme: Theme, bug: Option<GroupBug>) -> World {
    let (at_checkpoints, fair) = (HandOver::AtCheckpoints, SegmentAssignment::Fair);
    run_with(seed, theme, at_checkpoints, fair, bug)
}

/// A run, which ends when all readers have read everything.
fn run_with(
    seed: u64,
    theme: Theme,
    hand_over: HandOver,
    assignment: SegmentAssignment,
    bug: Option<GroupBug>,
) -> World {
    let mut rng = fastrand::Rng::with_seed(seed);
    let lengths: Vec<i64> = (0..rng.usize(1..7)).map(|_| rng.i64(0..40)).collect();
    let mut world = World::new(seed, &lengths, bug);
    world.checks.is_taking_out = theme == Theme::TakenOut;
    world.checks.is_between_events = hand_over == HandOver::BetweenEvents;
    (world.hand_over, world.assignment) = (hand_over, assignment);
    world.losses = rng.bool().then_some(15);
    let (mut current, mut next): (Vec<i64>, i64) = ((0..).take(lengths.len()).collect(), 100);
    for number in 0..rng.usize(1..4) {
        world.start(&format!("r{number}"));
    }
    for step in 0..MAX_STEPS {
        world.now += Duration::from_millis(rng.u64(0..150));
        let busy = step < 4000;
        match rng.u32(0..1000) {
            0..=2 if busy => scale(&mut world, &mut rng, &mut current, &mut next),
            3..=5 if busy => come_and_go(&mut world, &mut rng, theme, step),
            6..=8 if busy => {
                let name = format!("{step}{}", if rng.bool() { "_SILENT_" } else { "" });
                world.append(vec![GroupUpdate::CreateCheckpoint { checkpoint: name.into() }]);
            }
            _ => {}
        }
        if step == 4000 {
            world.seal(&std::mem::take(&mut current), &[]);
        }
        let running: Vec<usize> = (0..world.readers.len())
            .filter(|index| !world.readers[*index].is_gone && !world.readers[*index].is_at_end)
            .collect();
        match rng.choice(&running) {
            Some(index) => drop(world.step(*index)),
            None if step > 4000 && world.head.is_at_end() => break,
            None => drop(world.start(&format!("late{step}"))),
        }
        if !world.checks.violations.is_empty() {
            return world;
        }
    }
    world.checks.finished(&world.segments);
    if !world.head.is_at_end() {
        let head = format!("the run does not end: {:?}", world.head);
        world.checks.report(head);
    }
    world
}

fn scale(world: &mut World, rng: &mut fastrand::Rng, current: &mut Vec<i64>, next: &mut i64) {
    if current.is_empty() {
        return;
    }
    rng.shuffle(current);
    let (sealed, created) = if rng.bool() { (1, 2) } else { (2, 1) };
    let sealed: Vec<i64> = current.drain(..sealed.min(current.len())).collect();
    let created: Vec<(i64, i64)> = (0..created).map(|n| (*next + n, rng.i64(0..30))).collect();
    *next += 2;
    world.seal(&sealed, &created);
    current.extend(created.iter().map(|(number, _)| *number));
}

fn come_and_go(world: &mut World, rng: &mut fastrand::Rng, theme: Theme, step: usize) {
    let running: Vec<usize> =
        (0..world.readers.len()).filter(|index| !world.readers[*index].is_gone).collect();
    if running.len() < 2 || rng.bool() {
        world.start(&format!("r{step}"));
        return;
    }
    let Some(index) = rng.choice(&running).copied() else { return };
    let name = world.readers[index].name.clone();
    match theme {
        Theme::Graceful => {
            let reader = &mut world.readers[index];
            reader.machine.leave(rng.bool().then(|| reader.last.clone()));
        }
        Theme::Dies | Theme::DiesUnknown if world.head.is_online(&name) => {
            // A change of which it is not known if it was made is settled by the next reading.
            world.readers[index].is_gone = true;
            world.take_out(index, theme == Theme::Dies);
        }
        Theme::TakenOut => world.take_out(index, false),
        Theme::Dies | Theme::DiesUnknown => {}
    }
}

#[test]
fn each_segment_has_one_reader_each_event_is_returned_once_and_checkpoints_split_exactly() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..60 {
        for theme in THEMES {
            let world = run(seed, theme, None);
            let violations = &world.checks.violations;
            assert!(violations.is_empty(), "seed {seed}, {theme:?}: {violations:#?}");
            for (what, count) in world.checks.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    }
    for what in ["ReleaseSegment", "SegmentCompleted", "RemoveReader", "shown", "cuts"] {
        let count = counts.get(what).copied().unwrap_or_default();
        assert!(count > 100, "{what} happened {count} times: {counts:?}");
    }
}

#[test]
fn segments_that_change_between_events_have_one_reader_and_checkpoints_still_split_exactly() {
    let mut counts = std::collections::BTreeMap::new();
    for (seed, assignment) in
        (0..40).zip([SegmentAssignment::Fair, SegmentAssignment::Sticky].iter().cycle())
    {
        for theme in THEMES {
            let world = run_with(seed, theme, HandOver::BetweenEvents, *assignment, None);
            let violations = &world.checks.violations;
            assert!(violations.is_empty(), "seed {seed}, {theme:?}: {violations:#?}");
            for (what, count) in world.checks.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    }
    for what in ["ReleaseSegment", "SegmentCompleted", "RemoveReader", "cuts"] {
        let count = counts.get(what).copied().unwrap_or_default();
        assert!(count > 100, "{what} happened {count} times: {counts:?}");
    }
}

#[test]
fn between_events_too_a_reader_that_changes_segments_amid_a_checkpoint_is_caught() {
    let caught = (0..40).any(|seed| {
        let (between, fair) = (HandOver::BetweenEvents, SegmentAssignment::Fair);
        let bug = Some(GroupBug::AcquiresAtCheckpoints);
        let run = |theme: &Theme| run_with(seed, *theme, between, fair, bug);
        THEMES.iter().any(|theme| !run(theme).checks.violations.is_empty())
    });
    assert!(caught);
}

#[test]
fn every_broken_variant_is_caught() {
    for bug in [
        GroupBug::AcquiresAtCheckpoints,
        GroupBug::ReleasesAtAnyTime,
        GroupBug::ReleasesAtOldOffset,
        GroupBug::CompletesAtOnce,
        GroupBug::AnswersBeforeShowing,
        GroupBug::ForgetsEndedSegments,
        GroupBug::ReadsAfterRelease,
        GroupBug::IgnoresRemoval,
        GroupBug::ReadsFromHead,
        GroupBug::ShowsSilent,
        GroupBug::ReportsAhead,
    ] {
        let caught = (0..40).any(|seed| {
            THEMES.iter().any(|theme| !run(seed, *theme, Some(bug)).checks.violations.is_empty())
        });
        assert!(caught, "{bug:?} is not caught");
    }
}
