//! Tools that are not part of the compiler: installed below `target/`, each at one version.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::command::{cargo, run};

const DENY_VERSION: &str = "0.20.2";
const FUZZ_VERSION: &str = "0.13.2";

/// Licences, sources and banned crates. Advisories need the network's advisory database: `cargo
/// deny check advisories`.
pub(crate) fn deny(root: &Path) -> Result<()> {
    let tool = install(root, "cargo-deny", DENY_VERSION)?;
    run(Command::new(tool).current_dir(root).args([
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Every fuzz target in turn, for `seconds` each.
pub(crate) fn fuzz(root: &Path, seconds: u32) -> Result<()> {
    let tool = install(root, "cargo-fuzz", FUZZ_VERSION)?;
    for target in ["frames", "appends", "events", "stored_values", "names"] {
        run(Command::new(&tool)
            .current_dir(root.join("fuzz"))
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .args([
                "fuzz",
                "run",
                target,
                "--",
                &format!("-max_total_time={seconds}"),
                "-max_len=65536",
            ]))?;
    }
    Ok(())
}

fn install(root: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let folder = root.join("target/tools");
    let binary = folder.join("bin").join(name);
    let installed = Command::new(&binary).arg("--version").output().is_ok_and(|output| {
        output.status.success()
            && String::from_utf8_lossy(&output.stdout).trim_end().ends_with(version)
    });
    if !installed {
        let build = root.join("target/tools-build");
        // An optimized build takes longer than all runs of it save.
        run(cargo(root)
            .args(["install", "--quiet", "--locked", "--force", "--debug", name])
            .args(["--version", version])
            .arg("--root")
            .arg(&folder)
            .arg("--target-dir")
            .arg(&build))?;
        // The files of the build are larger than the workspace.
        std::fs::remove_dir_all(build).ok();
    }
    Ok(binary)
}
