//! A seed as calls of several controllers, by the client for gRPC itself, over a network in memory.
//!
//! | check | holds |
//! |---|---|
//! | D1 | a call ends by its deadline, whatever hangs: look-up, connect, credentials, discovery, answer |
//! | D2 | a call that failed for certain was not carried out, one that succeeded was |
//! | D3 | a call that has a double effect is carried out at most once |
//! | D4 | without a connection the outcome is known |
//! | D5 | the kind of a failure is one that the faults explain, and timeouts are no shorter than set |
//! | D6 | every request that a controller received is an attempt of its call |
//! | D7 | a healthy controller is reached once the others are given up, each after its timeout |
//! | D8 | a controller that has just failed holds up no other calls |
//!
//! ```text
//! theme      what a seed draws
//! load       the calls          checks  what they promise
//! cluster    the controllers, their addresses and connections
//!   service  what they answer
//! ```

mod checks;
mod cluster;
mod load;
mod service;
mod theme;

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    time::Duration,
};

use pravega_sdk_controller_client::{ControllerBug, ControllerClient, ControllerConfig};
use tokio::time::sleep;

use self::{
    cluster::{Cluster, Health},
    load::{Call, Load},
    theme::Theme,
};
use crate::report::Report;

/// The calls of the last phase, in which one controller is in trouble, alone.
const LAST_CALLS: u32 = 12;

/// Runs a seed.
///
/// # Panics
///
/// If the runtime cannot be built, or the SDK panics.
#[must_use]
pub fn run(seed: u64, bug: Option<ControllerBug>) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scenario(seed, bug))
}

async fn scenario(seed: u64, bug: Option<ControllerBug>) -> Report {
    // The waits between rounds draw from here.
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let theme = Theme::draw(&mut random);
    let (cluster, servers) = Cluster::new(&theme, &mut random);
    for (node, accepted) in servers.into_iter().enumerate() {
        tokio::spawn(service::serve(cluster.clone(), node, accepted));
    }
    let client = client_of(&theme, &cluster, &mut random, bug);
    let faults = tokio::spawn(make_faults(cluster.clone(), theme.clone(), random.fork()));
    let callers = (0..theme.callers).map(|_| {
        let load = Load {
            client: client.clone(),
            cluster: cluster.clone(),
            random: random.fork(),
            max_pause: theme.max_pause,
        };
        tokio::spawn(load.run(theme.calls))
    });
    let callers: Vec<_> = callers.collect();
    let mut calls: Vec<Call> = Vec::new();
    for caller in callers {
        calls.extend(caller.await.expect("a caller does not panic"));
    }
    faults.await.expect("faults do not panic");
    let last = last_calls(&theme, &cluster, &client, &mut random).await;
    let counters = counters(&cluster, &theme, &calls);
    let mut hasher = std::hash::DefaultHasher::new();
    format!("{calls:?}{last:?}{counters:?}").hash(&mut hasher);
    let mut violations = checks::check(&theme, &cluster, &calls);
    violations.extend(checks::check(&theme, &cluster, &last));
    violations.extend(checks::check_last(&theme, &cluster, &last));
    let acknowledged = calls.iter().filter(|call| call.failure.is_none()).count();
    Report { violations, digest: hasher.finish(), counters, acknowledged }
}

fn client_of(
    theme: &Theme,
    cluster: &Cluster,
    random: &mut fastrand::Rng,
    bug: Option<ControllerBug>,
) -> ControllerClient {
    let mut config = ControllerConfig::new(theme.uri())
        .with_credentials(theme.credentials.create(random.u64(..)))
        .with_connect_timeout(theme.connect_timeout)
        .with_attempt_timeout(theme.attempt_timeout)
        .with_call_timeout(theme.call_timeout);
    if let Some(bug) = bug {
        config = config.with_seeded_bug(bug);
    }
    let network = std::sync::Arc::new(cluster.clone());
    ControllerClient::with_network(config, network).expect("a valid configuration")
}

/// Changes the health of the controllers, at random times.
async fn make_faults(cluster: Cluster, theme: Theme, mut random: fastrand::Rng) {
    for _ in 0..theme.changes {
        sleep(Duration::from_millis(random.u64(0..20_000))).await;
        let node = random.usize(0..theme.nodes.len());
        if random.u32(0..4) == 0 {
            cluster.silence(node);
        } else {
            cluster.set_health(node, Health::draw(&mut random));
        }
    }
}

/// Repairs everything, lets one controller get into trouble, and makes some more calls.
async fn last_calls(
    theme: &Theme,
    cluster: &Cluster,
    client: &ControllerClient,
    random: &mut fastrand::Rng,
) -> Vec<Call> {
    for node in 0..theme.nodes.len() {
        cluster.set_health(node, Health::Healthy);
        cluster.reset(node);
    }
    // What failed before has had its rest.
    sleep(theme.call_timeout + Duration::from_secs(30)).await;
    if theme.nodes.len() > 1 {
        let trouble = [Health::Unanswered, Health::Silent, Health::NoNameServer];
        let node = random.usize(0..theme.nodes.len());
        cluster.set_health(node, trouble[random.usize(0..trouble.len())]);
    }
    let load = Load {
        client: client.clone(),
        cluster: cluster.clone(),
        random: random.fork(),
        max_pause: Duration::from_millis(1),
    };
    load.run(LAST_CALLS).await
}

fn counters(cluster: &Cluster, theme: &Theme, calls: &[Call]) -> BTreeMap<&'static str, u64> {
    let mut counters = cluster.counters();
    let mut count = |what, times: usize| *counters.entry(what).or_default() += times as u64;
    let failed = |outcome| {
        let failures = calls.iter().filter_map(|call| call.failure.as_ref());
        failures.filter(|failure| failure.outcome == outcome).count()
    };
    count("call failed, not applied", failed(pravega_sdk_types::Outcome::NotApplied));
    count("call failed, unknown", failed(pravega_sdk_types::Outcome::Unknown));
    count("call succeeded", calls.iter().filter(|call| call.failure.is_none()).count());
    count("call reached a healthy controller in time", checks::promised(theme, cluster, calls));
    count(theme.credentials.counter(), 1);
    count(theme.listing.map_or("seed without discovery", |listing| listing.counter()), 1);
    counters
}
