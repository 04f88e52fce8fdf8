//! Random orders of the steps of several readers that die, are paused and come again, with lost and
//! late requests; and broken variants that the checks must catch.

use std::time::Duration;

use super::{
    super::{
        LeaseEffect, LeasePhase, LeaseTimes, LeaseValue, ObserverMachine, seeded_bugs::LivenessBug,
    },
    process::Membership,
    world::{LEASE, World},
};

/// What happens in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Nothing: all readers live.
    Calm,
    /// Readers die, and some start again under their names.
    Dies,
    /// Several readers die at once.
    DieTogether,
    /// Readers die while they take others out.
    MarkersDie,
    /// Readers start under the names of others that live.
    SameName,
    /// Readers are paused.
    Pauses,
    /// A reader reaches no server for a while.
    Cut,
    /// No reader reaches the servers for a while.
    Outage,
    /// Another client takes readers out, also while they are paused.
    TakenOut,
    /// A handle takes readers out, and readers without a lease join under their names.
    Followed,
}

const THEMES: [Theme; 10] = [
    Theme::Calm,
    Theme::Dies,
    Theme::DieTogether,
    Theme::MarkersDie,
    Theme::SameName,
    Theme::Pauses,
    Theme::Cut,
    Theme::Outage,
    Theme::TakenOut,
    Theme::Followed,
];

/// The first reader is never disturbed.
fn run(seed: u64, theme: Theme, has_losses: bool, bug: Option<LivenessBug>) -> World {
    let mut world = World::new(seed, bug);
    let mut rng = fastrand::Rng::with_seed(seed);
    world.losses = has_losses.then_some(24);
    world.kills_markers = theme == Theme::MarkersDie;
    let count = rng.usize(3..7);
    for number in 0..count {
        let letter = char::from(b'a' + u8::try_from((number * 5) % 7).unwrap());
        world.start(&format!("{letter}{number}"));
        let wait = Duration::from_millis(rng.u64(0..4000));
        world.run_until(world.now + wait);
    }
    world.join_without_lease("b-java");
    world.run_until(Duration::from_secs(60));
    let disturbed_until = world.now + LEASE * 5;
    while world.now < disturbed_until && world.violations.is_empty() {
        world.run_until(world.now + Duration::from_millis(rng.u64(0..2000)));
        for index in 0..world.processes.len() {
            world.deliver(index);
        }
        world.report();
        if rng.u32(..25) == 0 {
            disturb(&mut world, &mut rng, theme);
        }
    }
    world.outage = None;
    world.losses = None;
    let longest = LEASE * 2 + LEASE * 3 / 2 + Duration::from_secs(8);
    world.run_until(world.now + longest);
    check_end(&mut world, theme, has_losses);
    world
}

fn disturb(world: &mut World, rng: &mut fastrand::Rng, theme: Theme) {
    let victims: Vec<usize> = (1..world.processes.len())
        .filter(|index| world.is_running(*index) && world.processes[*index].is_member())
        .collect();
    let Some(victim) = rng.choice(&victims).copied() else { return };
    let name = world.processes[victim].name.clone();
    match theme {
        Theme::Calm => {}
        Theme::SameName => drop(world.start(&name)),
        Theme::Dies | Theme::MarkersDie => {
            world.kill(victim);
            if rng.bool() {
                world.start(&name);
            }
        }
        Theme::DieTogether => {
            for victim in victims {
                world.kill(victim);
                if rng.u32(..4) == 0 {
                    world.start(&world.processes[victim].name.clone());
                }
            }
        }
        Theme::Pauses => world.pause(victim, LEASE.mul_f64(rng.f64() * 2.0)),
        Theme::Cut => {
            world.truths[victim].cut_until = world.now + LEASE.mul_f64(rng.f64() * 1.5);
        }
        Theme::Outage => {
            let until = world.now + LEASE.mul_f64(rng.f64() * 1.5);
            world.outage = Some((world.now, until));
        }
        Theme::Followed => {
            if world.group.get(&name) != Some(&victim) {
                return;
            }
            match rng.u32(..3) {
                0 => world.kill(victim),
                1 => world.pause(victim, LEASE.mul_f64(rng.f64() * 2.0)),
                _ => {}
            }
            world.run_until(world.now + LEASE.mul_f64(rng.f64()));
            world.take_offline(&name);
            world.join_without_lease(&name);
        }
        Theme::TakenOut => {
            if rng.bool() {
                world.pause(victim, LEASE.mul_f64(1.0 + rng.f64()));
            }
            world.take_out(&name);
            if rng.bool() {
                world.start(&name);
            }
        }
    }
}

fn check_end(world: &mut World, theme: Theme, has_losses: bool) {
    let dead = world
        .group
        .iter()
        .filter(|(_, index)| world.truths.get(**index).is_some_and(|truth| truth.is_dead));
    let dead: Vec<_> = dead.map(|(name, _)| name.clone()).collect();
    if !dead.is_empty() {
        world.violations.insert(format!("{dead:?} are dead and in the group"));
    }
    if !world.group.contains_key("b-java") {
        world.violations.insert("the reader of another client was taken out".to_owned());
    }
    let marked = world.leases.values().filter(|value| value.phase() == LeasePhase::Dead).count();
    if marked > 0 && theme == Theme::Pauses && !has_losses {
        world.violations.insert(format!("{marked} marks are left"));
    }
    let is_disturbed = matches!(
        theme,
        Theme::Pauses | Theme::Cut | Theme::Outage | Theme::TakenOut | Theme::Followed
    );
    for (index, process) in world.processes.iter().enumerate() {
        let truth = world.truths[index];
        let is_in = world.group.get(&process.name) == Some(&index);
        if truth.is_dead || is_disturbed || has_losses {
            continue;
        }
        // Of two that started under one name one is refused.
        let rival = world.group.get(&process.name).is_some_and(|other| *other != index);
        if !is_in && (!rival || process.membership == Membership::Member) {
            let name = &process.name;
            world.violations.insert(format!("{name} is alive and not in the group"));
        }
    }
    if theme == Theme::Calm && !has_losses && world.counts.marks > 0 {
        world.violations.insert("a reader that renews in time was marked".to_owned());
    }
}

#[test]
fn the_dead_are_taken_out_the_living_are_not_and_none_returns_events_that_moved() {
    let (mut marks, mut removals, mut deliveries) = (0, 0, 0);
    for seed in 0..4 {
        for theme in THEMES {
            for has_losses in [false, true] {
                let world = run(seed, theme, has_losses, None);
                let violations = &world.violations;
                assert!(violations.is_empty(), "{seed}, {theme:?}, {has_losses}: {violations:#?}");
                marks += world.counts.marks;
                removals += world.counts.removals;
                deliveries += world.counts.deliveries;
            }
        }
    }
    assert!(marks > 80 && removals > 80, "{marks} marks, {removals} removals");
    assert!(deliveries > 5_000, "{deliveries} events were returned");
}

#[test]
fn every_broken_variant_is_caught() {
    for (bug, theme, has_losses) in [
        (LivenessBug::CountsFromReply, Theme::Cut, true),
        (LivenessBug::TrustsLostRenewals, Theme::Cut, true),
        (LivenessBug::CountsFromFinding, Theme::Cut, true),
        (LivenessBug::RevivesItself, Theme::Cut, false),
        (LivenessBug::SkipsState, Theme::TakenOut, false),
        (LivenessBug::CountsFromRequest, Theme::Cut, true),
        (LivenessBug::IgnoresDrift, Theme::Cut, false),
        (LivenessBug::RemovesUnmarked, Theme::Dies, false),
        (LivenessBug::LeavesMarked, Theme::MarkersDie, false),
        (LivenessBug::RemovesFromAnyState, Theme::Dies, true),
        (LivenessBug::ClaimsAtOnce, Theme::SameName, false),
        (LivenessBug::MistakesSuccessors, Theme::Followed, false),
    ] {
        let mut seeds = 0..400;
        let caught =
            seeds.any(|seed| !run(seed, theme, has_losses, Some(bug)).violations.is_empty());
        assert!(caught, "{bug:?} is not caught");
    }
    assert!(left_of(7, LEASE * 3 / 2, Some(LivenessBug::WatchesNeighbourOnly)) > 0);
    let late = LEASE * 3 / 20;
    assert_eq!(marked_after(late, Some(LivenessBug::WaitsForLateAnswers)), None);
}

/// Returns after how long a dead reader is marked if each answer takes so long; `None` if it never
/// is.
fn marked_after(delay: Duration, bug: Option<LivenessBug>) -> Option<Duration> {
    let mut times = LeaseTimes::new(LEASE);
    times.bugs.on = bug;
    let lease = LeaseValue::claimed(times, 1).member();
    let (mut observer, mut now) = (ObserverMachine::new(None, times), Duration::ZERO);
    observer.handle_readers(["dead".into()], now);
    for _ in 0..200 {
        now = now.max(observer.poll_timeout()?);
        let (reader, effect) = observer.poll_effect(now)?;
        if effect != LeaseEffect::Read {
            assert!(matches!(effect, LeaseEffect::Swap { .. }), "{effect:?}");
            return Some(now);
        }
        let patience = observer.patience(&reader);
        now += delay.min(patience);
        if delay <= patience {
            observer.handle_read(&reader, Some(lease), now);
        } else {
            observer.handle_failed(&reader, now);
        }
    }
    None
}

#[test]
fn a_dead_reader_is_found_although_every_answer_is_late() {
    let delays = [0.01, 0.1, 0.15, 0.3, 0.6, 1.2, 1.9];
    for delay in delays.map(|part| LEASE.mul_f64(part)) {
        let found = marked_after(delay, None);
        let longest = LEASE + delay * 20;
        assert!(found.is_some_and(|found| found < longest), "{delay:?}: {found:?}");
    }
}

/// Returns how many of so many readers that died together are in the group after a time.
fn left_of(deaths: usize, time: Duration, bug: Option<LivenessBug>) -> usize {
    let mut world = World::new(1, bug);
    for number in 0..=deaths {
        world.start(&format!("r{number}"));
        world.run_until(world.now + Duration::from_secs(3));
    }
    world.run_until(Duration::from_secs(100));
    assert_eq!(world.group.len(), deaths + 1);
    for index in 1..=deaths {
        world.kill(index);
    }
    world.run_until(world.now + time);
    world.group.len() - 1
}

#[test]
fn one_that_dies_is_taken_out_within_the_lease_and_several_within_one_and_a_half() {
    assert_eq!(left_of(1, LEASE, None), 0);
    for deaths in 2..8 {
        assert_eq!(left_of(deaths, LEASE * 3 / 2, None), 0, "{deaths} deaths");
    }
}

#[test]
fn an_idle_reader_renews_three_times_a_lease_and_reads_one_other_about_as_often() {
    let mut world = World::new(3, None);
    for number in 0..10 {
        world.start(&format!("r{number}"));
    }
    world.run_until(LEASE);
    world.counts.requests.clear();
    world.run_until(LEASE * 11);
    for index in 0..10 {
        let of = |kind| world.counts.requests.get(&(index, kind)).copied().unwrap_or_default();
        assert!((29..=31).contains(&of("own")), "{} renewals", of("own"));
        assert!((28..=45).contains(&of("read")), "{} reads", of("read"));
    }
}
