//! The process that misbehaves: it starts the clients of all kinds, and cleans up after them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use pravega_sdk_proto::ScopeInfo;
use pravega_sdk_wire_protocol::commands::{DeleteSegment, DeleteTableSegment};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    attacker::{Attacker, Made, Tally, Target},
    kinds::{KINDS, Kind},
    wire::Wire,
};

/// The most time for one round of a client.
const ROUND: Duration = Duration::from_secs(90);
/// The pause between the rounds of a client.
const PAUSE: Duration = Duration::from_millis(100);
/// The most time for cleaning up.
const CLEANING: Duration = Duration::from_secs(60);

/// Runs `CONTROLLER-PORT STORE-PORT REST-PORT SECONDS CLIENTS PART_OF_A_KIND` and prints the
/// figures of each kind.
pub(crate) fn attack(arguments: &[&str]) -> Result<()> {
    let [controller, store, rest, seconds, clients, only] = arguments else {
        anyhow::bail!("soak-attack needs six arguments");
    };
    let target =
        Target { controller: controller.parse()?, store: store.parse()?, rest: rest.parse()? };
    let (seconds, clients) = (seconds.parse()?, clients.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let tallies = runtime.block_on(run(target, Duration::from_secs_f64(seconds), clients, only));
    for (kind, clients, tally) in &tallies {
        let figures = tally.figures().map(|figure| figure.to_string()).join(" ");
        println!("{} {clients} {figures}", kind.name);
    }
    runtime.shutdown_background();
    Ok(())
}

type Tallies = Vec<(&'static Kind, usize, Arc<Tally>)>;

async fn run(target: Target, time: Duration, clients: usize, only: &str) -> Tallies {
    let end = Instant::now() + time;
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| kind.name.contains(only)).collect();
    let mut tallies: Tallies = kinds.iter().map(|kind| (*kind, 0, Arc::default())).collect();
    let mut running = JoinSet::new();
    let shares: usize = kinds.iter().map(|kind| kind.share).sum();
    for (kind, count, tally) in &mut tallies {
        *count = (clients * kind.share).div_ceil(shares.max(1)).max(1);
        for number in 0..*count {
            let attacker = Attacker::new(target, kind.name, number, tally);
            running.spawn(misbehave(kind, attacker, Arc::clone(tally), end));
        }
    }
    while running.join_next().await.is_some() {}
    let cleaning = async {
        for (_, _, tally) in &tallies {
            // A server that is gone has nothing to clean.
            clean(target, tally).await.ok();
        }
    };
    timeout(CLEANING, cleaning).await.ok();
    tallies
}

async fn misbehave(kind: &Kind, mut attacker: Attacker, tally: Arc<Tally>, end: Instant) {
    while Instant::now() < end {
        let limit = Instant::now() + ROUND;
        let round = (kind.round)(attacker.fork());
        match timeout_at(limit.min(end), round).await {
            Err(_) if limit < end => {
                tally.hung.fetch_add(1, Ordering::Relaxed);
            }
            // A round that fails has met a refusal or the end of its connection, and counted it.
            Ok(_) | Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

async fn clean(target: Target, tally: &Arc<Tally>) -> Result<()> {
    let attacker = Attacker::new(target, "cleaning", 0, tally);
    let made = tally.take_made();
    let mut wire = Wire::connect(&attacker).await?;
    let mut controller = attacker.controller().await?;
    for made in made {
        match made {
            Made::Segment(segment) => delete(&mut wire, &segment).await?,
            Made::Scope(scope) => {
                controller.delete_scope_recursive(ScopeInfo { scope }).await.context("cleaning")?;
            }
        }
    }
    Ok(())
}

/// Deletes a segment of any kind.
pub(super) async fn delete(wire: &mut Wire, segment: &str) -> Result<()> {
    let deletion =
        DeleteSegment { request_id: 1, segment: segment.into(), delegation_token: "".into() };
    wire.ask(deletion).await?;
    let deletion = DeleteTableSegment {
        request_id: 2,
        segment: segment.into(),
        must_be_empty: false,
        delegation_token: "".into(),
    };
    wire.ask(deletion).await?;
    Ok(())
}
