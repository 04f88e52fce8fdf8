//! The project's own commands; `cargo xtask help` lists them.

#[cfg(feature = "codegen")]
mod codegen;
mod command;
mod listed;
mod measured;
mod on_folder;
mod pravega;
mod tested;
mod tidy;
mod tools;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{cargo, run},
    tested::{program, workspace},
};

const HELP: &str = "\
cargo xtask ci        check, test and, if Java and Maven are installed, interop
cargo xtask check     formatting, clippy, docs, generated code, dependencies, tidy
cargo xtask test      everything that needs only Rust
cargo xtask interop   everything against real Pravega servers (needs Java 17 or newer, and Maven);
                      with `cluster` the tests that need several segment stores; they take 2 GB of
                      memory and a minute
cargo xtask proto     generates the Rust code of Controller.proto; with --check compares it
cargo xtask tidy      rules of the source: imports, words, sizes
cargo xtask fuzz [S]  every fuzz target for S seconds, 20 by default (needs a nightly compiler)
cargo xtask pravega start | stop | cluster
                      a real Pravega on this machine: one process in memory on port 9090 (with
                      PRAVEGA_BENCH=1 it takes 18 GB, for benchmarks), or a durable cluster on
                      port 19090";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> Result<()> {
    let root = root()?;
    match arguments {
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        ["ci"] => ci(&root),
        ["check"] => check(&root),
        ["test"] => test(&root),
        ["interop"] => interop(&root, pravega::interop),
        ["interop", "cluster"] => interop(&root, pravega::interop_cluster),
        ["tidy"] => tidy::run(&root),
        ["fuzz"] => tools::fuzz(&root, 20),
        ["fuzz", seconds] => {
            tools::fuzz(&root, seconds.parse().context("fuzz takes a number of seconds")?)
        }
        ["proto"] => proto(&root, false),
        ["proto", "--check"] => proto(&root, true),
        #[cfg(feature = "codegen")]
        ["generate"] => codegen::run(&root, false),
        #[cfg(feature = "codegen")]
        ["generate", "--check"] => codegen::run(&root, true),
        ["pravega", "start"] => pravega::start_standalone(&root),
        ["pravega", "cluster"] => pravega::start_cluster(&root),
        ["pravega", "stop"] => pravega::stop(&root),
        other => bail!("no such command: {}\n{HELP}", other.join(" ")),
    }
}

fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).context("xtask is not in the workspace")
}

/// Runs the test command of the README.
fn ci(root: &Path) -> Result<()> {
    step("check", || check(root))?;
    step("test", || test(root))?;
    match pravega::missing_tools() {
        missing if missing.is_empty() => step("interop", || interop(root, pravega::interop)),
        missing => {
            let note = format!("interop was not run: {} not found", missing.join(" and "));
            if env::var_os("CI").is_some_and(|value| value == "true") {
                bail!("{note}");
            }
            println!("\n{note}. Everything that needs only Rust has passed.");
            Ok(())
        }
    }
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    work().with_context(|| format!("{name} failed"))?;
    println!("== {name} took {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn check(root: &Path) -> Result<()> {
    tidy::run(root)?;
    measured::check(root)?;
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    run(cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    // The build without TLS, which no other command makes.
    run(cargo(root).args(["check", "-p", "pravega-sdk", "--no-default-features"]))?;
    // The build of a program that has the SDK, and the tool: tests have more features.
    run(cargo(root).args(["check", "--bins", "--examples", "--features", "embedded,json"]))?;
    run(cargo(root)
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    proto(root, true)?;
    tools::deny(root)
}

fn test(root: &Path) -> Result<()> {
    run(&mut workspace(root, "test"))?;
    step("test on a folder", || on_folder::test(root))?;
    // What asks for TLS in a build without it.
    run(cargo(root).args(["test", "-p", "pravega-sdk-tls", "--no-default-features", "--lib"]))?;
    step("examples", || examples(root))?;
    run(Command::new(program("vectors")?).current_dir(root).arg("integration-tests/vectors"))
}

/// Runs every example on an embedded server; each checks its results.
fn examples(root: &Path) -> Result<()> {
    run(workspace(root, "build").arg("--examples"))?;
    let mut names: Vec<_> = std::fs::read_dir(root.join("examples"))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    let example = |name: &str| Ok::<_, anyhow::Error>(program("examples")?.join(name));
    for name in names {
        run(Command::new(example(&name)?).current_dir(root))?;
    }
    // It checks every echo, while servers die and return under the same name.
    run(Command::new(example("echo_pool")?).current_dir(root).arg("7"))
}

fn interop(root: &Path, suite: fn(&Path) -> Result<()>) -> Result<()> {
    let missing = pravega::missing_tools();
    if !missing.is_empty() {
        bail!("{} not found; interop needs Java 17 or newer, and Maven", missing.join(" and "));
    }
    suite(root)
}

fn proto(root: &Path, check: bool) -> Result<()> {
    let mut generate = cargo(root);
    generate.args(["run", "--quiet", "-p", "xtask", "--features", "codegen", "--", "generate"]);
    if check {
        generate.arg("--check");
    }
    run(&mut generate)
}
