//! Real Pravega 0.13.0 servers on this machine, for the tests that need one.
//!
//! The jars come from Maven Central once and stay below `target/pravega/lib`. A standalone server
//! keeps everything in memory: after a restart it is empty. The cluster is durable: ZooKeeper,
//! bookies, a controller and two segment stores.

mod cluster;
mod java;
mod keycloak;
mod readiness;
mod standalone;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use self::{
    cluster::Cluster,
    java::jars,
    keycloak::Keycloak,
    readiness::Tool,
    standalone::{Accounts, Ports, Security, Standalone, Tls},
};
use crate::{
    command::{cargo, run},
    listed, on_folder,
    tested::{INTEROP, TestBinary, build_tool},
};

const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A module of a test binary of `integration-tests`.
#[derive(Clone, Copy)]
struct Module {
    binary: &'static str,
    name: &'static str,
}

impl Module {
    const fn suite(name: &'static str) -> Self {
        Self { binary: "suite", name }
    }

    const fn interop(name: &'static str) -> Self {
        Self { binary: INTEROP, name }
    }
}

/// The tests that do not run against a real server: those that create a table of a name again,
/// which it does only after minutes, and readers of groups whose state is in a table. The handles
/// of such groups do.
const EMBEDDED_ONLY: [&str; 2] = ["created_again::", "group_reader_in_tables::"];

/// Whether the output of tests that pass is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Captured,
    Shown,
}

/// The modules that run against each standalone server, one after the other.
///
/// The wire module comes first: it makes the server write everything that other modules create to
/// storage. Modules that write much come last on a server: after tens of megabytes, scales, commits
/// and the creation of groups take up to half a minute for some time.
const SERVERS: [(&str, &[Module]); 3] = [
    (
        "plain",
        &[
            Module::suite("wire"),
            Module::suite("cli::administration"),
            Module::suite("client"),
            Module::suite("controller"),
            Module::interop("differential::segment_store"),
            Module::interop("differential::controller"),
            Module::interop("differential::rest"),
        ],
    ),
    (
        "writers",
        &[
            Module::suite("event_writer"),
            Module::suite("exactly_once"),
            Module::suite("cli::events"),
            Module::suite("writer_faults"),
            Module::suite("states"),
            Module::suite("tables"),
            Module::suite("cli::tables"),
            Module::suite("attributes"),
            Module::suite("group_tables"),
            Module::suite("group_handles_in_tables"),
        ],
    ),
    (
        "readers",
        &[
            Module::interop("java"),
            Module::interop("shared"),
            Module::interop("groups"),
            Module::suite("group_handles"),
            Module::suite("group_reader"),
            Module::suite("time_windows"),
            Module::suite("reader"),
            Module::suite("transactions"),
            Module::suite("bytes"),
            Module::suite("cli::reading"),
            Module::suite("files"),
            Module::suite("index"),
        ],
    ),
];

/// The modules that run once more while the embedded server beside that of Java has a folder.
const ON_FOLDER: [&str; 3] =
    ["differential::segment_store", "differential::controller", "differential::rest"];

/// Those that run once more on an embedded server alone that has one.
const ALONE_ON_FOLDER: [&str; 2] = ["java", "peers"];

/// Servers that demand something of their clients, and the modules that run against each.
const SECURED: [(&str, (Accounts, Tls), &[&str]); 3] = [
    (
        "accounts",
        (Accounts::On, Tls::Off),
        &["secured::expired_tokens", "secured::access", "secured::accounts", "secured::data"],
    ),
    ("tls", (Accounts::Off, Tls::On), &["secured::tls", "secured::data"]),
    (
        "secured",
        (Accounts::On, Tls::On),
        &["secured::accounts", "secured::tls", "secured::data", "secured::jvm"],
    ),
];

/// Returns the required programs that are not installed.
pub(crate) fn missing_tools() -> Vec<&'static str> {
    let runs = |program: &str| {
        let probe = Command::new(program)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    };
    ["java", "mvn"].into_iter().filter(|program| !runs(program)).collect()
}

/// Runs the tests that need other clients or a Keycloak, then those that need a real server: a
/// plain one, then those with accounts, TLS and both.
pub(crate) fn interop(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    build_tool(root)?;
    let binaries = Binaries::build(root)?;
    run(cargo(root).args([
        "build",
        "--quiet",
        "--manifest-path",
        "integration-tests/rust-peer/Cargo.toml",
    ]))?;

    // It starts while the next tests wait for programs of their own.
    let mut keycloak = Keycloak::launch(root, &work_folder(root, "keycloak"))?;
    // The other clients on an embedded server, which the tests start themselves.
    for module in ["java", "shared", "groups", "peers"].map(Module::interop) {
        binaries.test(Vec::new(), module, Output::Shown)?;
    }
    for module in ALONE_ON_FOLDER.map(Module::interop) {
        binaries.test(vec![on_folder()], module, Output::Shown)?;
    }
    keycloak.wait()?;
    binaries.test(keycloak.variables(), Module::interop("keycloak"), Output::Captured)?;
    // The servers that follow should have the machine for themselves.
    keycloak.stop();

    for (name, modules) in SERVERS {
        let mut server = Standalone::start(&lib, &work_folder(root, name), None)?;
        let tested = test_on(&binaries, &server, modules);
        server.stop();
        tested?;
    }

    for (name, demands, modules) in SECURED {
        let folder = work_folder(root, name);
        let security = Security::prepare(root, &lib, &folder, demands)?;
        let mut server = Standalone::start(&lib, &folder, Some(&security))?;
        let tested = modules.iter().try_for_each(|module| {
            binaries.test(server.variables(), Module::interop(module), Output::Captured)
        });
        server.stop();
        tested?;
    }
    Ok(())
}

/// Runs modules against a server, some of them with a second one on a folder as well.
fn test_on(binaries: &Binaries<'_>, server: &Standalone, modules: &[Module]) -> Result<()> {
    for module in modules {
        binaries.test(server.variables(), *module, Output::Captured)?;
    }
    for module in modules.iter().filter(|module| ON_FOLDER.contains(&module.name)) {
        let variables = [server.variables(), vec![on_folder()]].concat();
        binaries.test(variables, *module, Output::Captured)?;
    }
    Ok(())
}

/// Runs the tests that need several segment stores, against a durable cluster on separate ports.
pub(crate) fn interop_cluster(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/cluster");
    refuse_second(&folder)?;
    build_tool(root)?;
    let binaries = Binaries::build(root)?;
    Cluster { lib, folder: folder.clone() }.start()?;
    readiness::wait(&cluster_tool()?)?;
    let stores: Vec<String> =
        cluster::STORES.iter().map(|port| format!("localhost:{port}")).collect();
    let variables = vec![
        ("PRAVEGA_TEST_CONTROLLER", format!("tcp://localhost:{}", cluster::CONTROLLER)),
        ("PRAVEGA_TEST_STORES", stores.join(",")),
    ];
    // A store dies in the second suite.
    let pid = folder.join("pids").join(format!("store-{}", cluster::STORES[0]));
    let failover =
        [variables.clone(), vec![("PRAVEGA_TEST_STORE_PID", fs::read_to_string(pid)?)]].concat();
    let tested = binaries
        .test(variables, Module::interop("cluster"), Output::Captured)
        .and_then(|()| binaries.test(failover, Module::interop("cluster_failover"), Output::Shown));
    stop(root)?;
    tested
}

/// What tells tests to have servers with folders.
fn on_folder() -> (&'static str, String) {
    let (name, value) = on_folder::VARIABLE;
    (name, value.to_owned())
}

fn cluster_tool() -> Result<Tool> {
    let url = format!("tcp://localhost:{}", cluster::CONTROLLER);
    Tool::new(vec![("PRAVEGA_CONTROLLER_URI", url)])
}

/// The test binaries, which need not be built again for each module.
struct Binaries<'a> {
    root: &'a Path,
    suite: TestBinary,
    interop: TestBinary,
}

impl<'a> Binaries<'a> {
    fn build(root: &'a Path) -> Result<Self> {
        let (suite, interop) =
            (TestBinary::build(root, "suite")?, TestBinary::build(root, INTEROP)?);
        Ok(Self { root, suite, interop })
    }

    /// Runs the tests of one module; fails if the module has no test.
    fn test(
        &self,
        variables: Vec<(&'static str, String)>,
        Module { binary: name, name: module }: Module,
        output: Output,
    ) -> Result<()> {
        let is_real = variables.iter().any(|(name, _)| *name == "PRAVEGA_TEST_CONTROLLER");
        let binary = if name == INTEROP { &self.interop } else { &self.suite };
        let skipped: &[_] = if is_real { &EMBEDDED_ONLY } else { &[] };
        let skipped: Vec<&str> = skipped.iter().flat_map(|name| ["--skip", name]).collect();
        let listed = binary.list(&skipped)?;
        let tests = listed::tests_in(module, &listed);
        // No filter is all tests, so a renamed module would go unnoticed.
        if tests.is_empty() {
            bail!("{name} has no tests in a module {module}");
        }
        let mut command = binary.command();
        command.arg("--exact").args(tests);
        if output == Output::Shown {
            command.arg("--nocapture");
        }
        // The Java client is among the server's jars.
        command.env("PRAVEGA_TEST_JARS", self.root.join("target/pravega/lib"));
        command.env(
            "PRAVEGA_TEST_RUST_PEER",
            self.root.join("integration-tests/rust-peer/target/debug/rust-peer"),
        );
        run(command.envs(variables))
    }
}

/// Starts a standalone on the usual ports and leaves it running.
pub(crate) fn start_standalone(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/standalone");
    refuse_second(&folder)?;
    build_tool(root)?;
    let mut server = Standalone::start_on(&lib, &folder, None, || Ok(Ports::USUAL))?;
    server.keep();
    println!(
        "ready: tcp://localhost:{} (in memory; stop it with `cargo xtask pravega stop`)",
        Ports::USUAL.controller
    );
    Ok(())
}

/// Starts a durable cluster of several processes and leaves it running.
pub(crate) fn start_cluster(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/cluster");
    refuse_second(&folder)?;
    build_tool(root)?;
    Cluster { lib, folder }.start()?;
    readiness::wait(&cluster_tool()?)?;
    println!(
        "ready: tcp://localhost:{} (durable; stop it with `cargo xtask pravega stop`)",
        cluster::CONTROLLER
    );
    Ok(())
}

/// Ends every process that the two commands above started.
pub(crate) fn stop(root: &Path) -> Result<()> {
    let mut running = Vec::new();
    for name in ["standalone", "cluster"] {
        let pids = root.join("target/pravega").join(name).join("pids");
        for entry in fs::read_dir(&pids).into_iter().flatten() {
            let path = entry?.path();
            running.push((fs::read_to_string(&path)?.trim().to_owned(), path));
        }
    }
    for (pid, path) in &running {
        if is_ours(pid, path) {
            run(Command::new("kill").arg(pid))?;
        }
    }
    // A store that loses its ZooKeeper waits for it for minutes.
    let deadline = Instant::now() + STOP_LIMIT;
    while running.iter().any(|(pid, path)| is_ours(pid, path)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(200));
    }
    for (pid, path) in &running {
        if is_ours(pid, path) {
            run(Command::new("kill").args(["-9", pid]))?;
        }
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Returns true if this program started the process: the id may belong to another process now.
fn is_ours(pid: &str, pid_file: &Path) -> bool {
    let folder =
        pid_file.parent().and_then(Path::parent).map(|folder| folder.display().to_string());
    let command = fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
    folder.is_some_and(|folder| String::from_utf8_lossy(&command).contains(&folder))
}

fn refuse_second(folder: &Path) -> Result<()> {
    let running = fs::read_dir(folder.join("pids")).is_ok_and(|mut pids| pids.next().is_some());
    if running {
        bail!("it is already running; end it with `cargo xtask pravega stop`");
    }
    fs::remove_dir_all(folder).ok();
    Ok(())
}

fn work_folder(root: &Path, name: &str) -> PathBuf {
    root.join("target/pravega").join(format!("{name}-{}", std::process::id()))
}
