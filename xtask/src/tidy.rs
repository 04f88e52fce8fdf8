//! Rules about the workspace that the compiler cannot hold.
//!
//! - Import directions: a crate depends only on what stands below it.
//! - Pure crates have no runtime among their dependencies, not even an optional one; machines
//!   import no driver.
//! - Every source file opens with what it is for.
//! - No file grows beyond what one idea needs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// Which of our crates each crate may use. A crate that is not listed here is refused.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("proto", &[]),
    ("probes", &[]),
    ("wire-protocol", &["types"]),
    ("controller-client", &["types", "proto"]),
    ("connection-pool", &["types", "probes"]),
    ("segment-client", &["types", "wire-protocol", "controller-client", "connection-pool"]),
    ("event-stream", &["types", "wire-protocol", "controller-client", "segment-client"]),
    (
        "simulation",
        &["types", "wire-protocol", "controller-client", "segment-client", "event-stream"],
    ),
    ("server", &["types", "proto", "wire-protocol"]),
    (
        "client-factory",
        &[
            "types",
            "proto",
            "wire-protocol",
            "controller-client",
            "connection-pool",
            "segment-client",
            "event-stream",
        ],
    ),
    (".", &["client-factory", "server"]),
    (
        "cli",
        &[
            "types",
            "wire-protocol",
            "controller-client",
            "connection-pool",
            "segment-client",
            "client-factory",
            "server",
            ".",
        ],
    ),
    (
        "integration-tests",
        &[
            "types",
            "proto",
            "wire-protocol",
            "controller-client",
            "connection-pool",
            "segment-client",
            "event-stream",
            "simulation",
            "client-factory",
            "server",
            "cli",
            ".",
        ],
    ),
    (
        "bench",
        &[
            "types",
            "proto",
            "wire-protocol",
            "controller-client",
            "connection-pool",
            "segment-client",
            "event-stream",
            "simulation",
            "client-factory",
            "server",
            ".",
        ],
    ),
    ("xtask", &[]),
];

/// What the pure crates must not have, nor take from anyone.
const RUNTIMES: &[&str] =
    &["tokio", "tokio-util", "futures-util", "async-std", "smol", "rand", "fastrand"];
const PURE: &[&str] = &["types", "wire-protocol"];

/// Words that a machine's source must not hold: it gets time and chance as arguments, and does no
/// work of a driver.
const NOT_IN_MACHINES: &[&str] =
    &["tokio", "Instant::now", "SystemTime", "fastrand", "async fn", ".await", "std::thread"];

const MAX_LINES: usize = 900;
/// The protocol's table reads as one.
const LONG_FILES: &[&str] = &["wire-protocol/src/commands.rs", "proto/src/generated.rs"];

/// Checks every rule, and names every place that breaks one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for (folder, allowed) in MAY_USE {
        check_imports(root, folder, allowed, &mut broken)?;
    }
    check_all_crates_are_listed(root, &mut broken)?;
    for folder in MAY_USE.iter().map(|(folder, _)| folder) {
        for part in ["src", "tests", "examples", "benches"] {
            for file in rust_files(&root.join(folder).join(part))? {
                check_file(root, &file, &mut broken)?;
            }
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("tidy found {} places:\n  {}", broken.len(), broken.join("\n  "));
}

fn check_imports(
    root: &Path,
    folder: &str,
    allowed: &[&str],
    broken: &mut Vec<String>,
) -> Result<()> {
    let manifest = root.join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("{} cannot be read", manifest.display()))?;
    for dependency in normal_dependencies(&text) {
        if let Some(ours) = our_folder(&dependency) {
            if !allowed.contains(&ours) {
                broken.push(format!("{folder}/Cargo.toml: {folder} must not use {ours}"));
            }
        } else if PURE.contains(&folder) && RUNTIMES.contains(&dependency.as_str()) {
            broken.push(format!(
                "{folder}/Cargo.toml: {folder} is pure and must not use {dependency}"
            ));
        }
    }
    Ok(())
}

/// The folder of one of our packages.
fn our_folder(package: &str) -> Option<&str> {
    match package {
        "pravega-sdk" => Some("."),
        other => other.strip_prefix("pravega-sdk-"),
    }
}

/// The keys of the `[dependencies]` tables of a manifest. Tests may use what they like.
fn normal_dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]"
                || (line.starts_with("[target.") && line.ends_with(".dependencies]"));
        } else if inside && let Some((key, _)) = line.split_once('=') {
            let key = key.trim().split('.').next().unwrap_or_default();
            if !key.is_empty() && !key.starts_with('#') {
                found.push(key.to_owned());
            }
        }
    }
    found
}

fn check_all_crates_are_listed(root: &Path, broken: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_crate = entry.path().join("Cargo.toml").exists() && name != "fuzz";
        if is_crate && !MAY_USE.iter().any(|(folder, _)| *folder == name) {
            broken.push(format!("{name}: the crate has no line in the table of import directions"));
        }
    }
    Ok(())
}

fn check_file(root: &Path, file: &Path, broken: &mut Vec<String>) -> Result<()> {
    let shown = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let text = fs::read_to_string(file)?;
    if !text.starts_with("//!") && shown != "proto/src/generated.rs" {
        broken.push(format!("{shown}: does not open with //! and what it is for"));
    }
    if text.lines().count() > MAX_LINES && !LONG_FILES.contains(&shown.as_str()) {
        broken.push(format!("{shown}: has more than {MAX_LINES} lines; split it by idea"));
    }
    if is_machine(file) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in NOT_IN_MACHINES.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{shown}:{}: a machine must not hold `{word}`", number + 1));
            }
        }
    }
    Ok(())
}

fn is_machine(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "machine")
        || file.file_stem().is_some_and(|stem| stem == "machine")
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        run(&crate::root().unwrap()).unwrap();
    }

    #[test]
    fn dependencies_are_read_from_every_form_and_development_ones_are_not() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb.workspace = true\n# c = \"1\"\n\
                        [dev-dependencies]\nd = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = { version = \"1\" }\n";
        assert_eq!(normal_dependencies(manifest), ["a", "b", "e"]);
    }

    #[test]
    fn an_import_in_the_wrong_direction_is_named() {
        let folder = std::env::temp_dir().join(format!("tidy-{}", std::process::id()));
        fs::create_dir_all(folder.join("types")).unwrap();
        fs::write(
            folder.join("types/Cargo.toml"),
            "[dependencies]\npravega-sdk-wire-protocol = \"1\"\ntokio = \"1\"\n",
        )
        .unwrap();
        let mut broken = Vec::new();
        check_imports(&folder, "types", &[], &mut broken).unwrap();
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(broken.len(), 2, "{broken:?}");
    }
}
