//! Clients that misbehave in every way known, beside a few that do not: these must hardly notice,
//! the server must stay within its memory, and nothing acknowledged may be lost.

mod attack;
mod attacker;
mod echo;
mod full;
mod good;
mod http2;
mod kinds;
mod ledger;
mod memory;
mod options;
mod phase;
mod report;
mod wire;

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use pravega_sdk::{ClientFactory, types::ScopedSegment};
use tokio::time::sleep;

pub(crate) use self::{attack::attack, echo::echo, options::Options};
use self::{
    attacker::Target,
    echo::Echo,
    full::Filling,
    good::Good,
    memory::Memory,
    phase::{Phase, Watch},
    report::Report,
};
use crate::tool_server::{Launch, ToolServer};

/// The usual limit of a process on Linux. Some clients open more connections.
const DESCRIPTORS: u32 = 1024;
const WARM_UP: Duration = Duration::from_secs(3);
/// How long after the attack the server has to come to rest.
const SETTLING: Duration = Duration::from_secs(3);
/// How long beyond its time the process that misbehaves may clean up.
const CLEANING: Duration = Duration::from_secs(180);

/// Runs a soak; fails if a bound is broken.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = options.clone();
    let broken = runtime.block_on(async { tokio::spawn(soak(options)).await? })?;
    if !broken.is_empty() {
        bail!("{} bounds are broken", broken.len());
    }
    Ok(())
}

async fn soak(options: Options) -> Result<Vec<String>> {
    options.raise_own_priority()?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let launch = Launch {
        memory: options.memory.clone(),
        folder: options.durable.then(|| data.clone()),
        descriptors: Some(DESCRIPTORS),
        log: Some(log.clone()),
        priority: options.server_priority(),
    };
    let mut server = ToolServer::start(&launch)?;
    let target = target_of(&server).await?;
    let watch = Arc::new(Watch::default());
    let memory = Memory::of(server.id(), Arc::clone(&watch));
    let echo = Echo::start(&watch)?;
    let mut good = Good::start(server.url(), &watch).await?;
    let mut failures = Vec::new();
    sleep(WARM_UP).await;
    watch.begin(Phase::Quiet);
    sleep(options.quiet).await;
    watch.begin(Phase::Attack);
    let kinds = misbehave(&options, target).await?;
    sleep(SETTLING).await;
    watch.begin(Phase::After);
    sleep(options.quiet.min(Duration::from_secs(10))).await;
    if !options.full.is_zero()
        && let Err(error) = fill(&options, target, &watch).await
    {
        failures.push(format!("the server cannot be filled: {error:#}"));
    }
    good.finish().await?;
    drop(echo);
    if let Some(status) = server.ended() {
        failures.push(format!("the server ended with {status}"));
    }
    if options.durable {
        println!("the folder holds {} MiB", size_of(&data)? >> 20);
        // Killed, as in a crash.
        drop(server);
        server = ToolServer::start(&launch)?;
    }
    let (read_back, read) = good.read_back(server.url()).await?;
    let report = Report {
        options: &options,
        watch: good.watch(),
        memory: &memory,
        kinds,
        fates: good.fates(),
        followed: good.followed(),
        read_back,
        read,
        errors: good.errors(),
        log: std::fs::read_to_string(&log).unwrap_or_default(),
        failures,
    };
    Ok(report.print())
}

async fn fill(options: &Options, target: Target, watch: &Watch) -> Result<()> {
    watch.begin(Phase::Filling);
    let filling = Filling::fill(target).await?;
    watch.begin(Phase::Full);
    let held = filling.hold(options.full).await;
    watch.begin(Phase::Relieved);
    filling.relieve().await?;
    sleep(Duration::from_secs(5)).await;
    held
}

async fn target_of(server: &ToolServer) -> Result<Target> {
    let factory = ClientFactory::connect(server.url()).await?;
    let segment: ScopedSegment = "behave/client-0/0.#epoch.0".parse()?;
    let store = factory.controller().segment_endpoint(&segment).await?;
    let controller = server.url().rsplit(':').next().unwrap_or_default().parse()?;
    Ok(Target { controller, store: store.port(), rest: server.rest_port() })
}

/// Runs the clients that misbehave in a process of their own, and returns its figures.
///
/// It has the lowest priority: on a machine with few cores, clients that keep them all busy would
/// slow the others down whatever the server did.
async fn misbehave(options: &Options, target: Target) -> Result<String> {
    let seconds = options.attack.as_secs_f64().to_string();
    let clients = options.clients.to_string();
    let ports = [target.controller, target.store, target.rest].map(|port| port.to_string());
    let mut command = options.attack_command();
    command.arg(std::env::current_exe()?).arg("soak-attack");
    command.args(ports).args([&seconds, &clients, &options.only]);
    let process = command.stdout(Stdio::piped()).spawn().context("the attack cannot be started")?;
    let mut process = Attack(process);
    let mut stdout = process.0.stdout.take().context("no stdout")?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut figures = String::new();
        stdout.read_to_string(&mut figures).map(|_| figures)
    });
    let figures = tokio::time::timeout(options.attack + CLEANING, reading).await;
    Ok(figures.context("the attack does not end")???)
}

/// The process that misbehaves, which ends with this value.
struct Attack(Child);

impl Drop for Attack {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the length of all files in a folder.
fn size_of(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for file in std::fs::read_dir(folder)? {
        size += file?.metadata()?.len();
    }
    Ok(size)
}
