//! Import directions: a crate depends only on crates below it, and pure crates have no runtime
//! among their dependencies, not even an optional one.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// The crates of the workspace that each crate may use. A crate without a row is refused.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("codec", &["types"]),
    ("proto", &[]),
    ("probes", &[]),
    ("secret-file", &["types"]),
    ("tls", &["types"]),
    ("http", &["types", "tls"]),
    ("wire-protocol", &["types"]),
    ("controller-client", &["types", "proto", "tls"]),
    ("identity", &["types", "secret-file", "tls", "http", "controller-client"]),
    ("connection-pool", &["types", "probes"]),
    ("segment-client", &["types", "tls", "wire-protocol", "controller-client", "connection-pool"]),
    (
        "table-synchronizer",
        &["types", "codec", "wire-protocol", "controller-client", "segment-client"],
    ),
    (
        "event-stream",
        &[
            "types",
            "codec",
            "wire-protocol",
            "controller-client",
            "segment-client",
            "table-synchronizer",
        ],
    ),
    (
        "simulation",
        &[
            "types",
            "codec",
            "proto",
            "wire-protocol",
            "controller-client",
            "segment-client",
            "table-synchronizer",
            "event-stream",
            "server-core",
        ],
    ),
    ("server-core", &["types", "proto", "wire-protocol"]),
    ("server", &["types", "proto", "secret-file", "tls", "http", "wire-protocol", "server-core"]),
    (
        "client-factory",
        &[
            "types",
            "tls",
            "codec",
            "proto",
            "wire-protocol",
            "controller-client",
            "identity",
            "connection-pool",
            "segment-client",
            "table-synchronizer",
            "event-stream",
        ],
    ),
    (".", &["client-factory", "server"]),
    (
        "cli",
        &[
            "types",
            "secret-file",
            "http",
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
            "codec",
            "proto",
            "tls",
            "wire-protocol",
            "controller-client",
            "identity",
            "connection-pool",
            "segment-client",
            "table-synchronizer",
            "event-stream",
            "simulation",
            "client-factory",
            "server-core",
            "server",
            "cli",
            ".",
        ],
    ),
    (
        "bench",
        &[
            "types",
            "codec",
            "proto",
            "wire-protocol",
            "controller-client",
            "connection-pool",
            "segment-client",
            "event-stream",
            "client-factory",
            "server-core",
            "server",
            ".",
        ],
    ),
    ("xtask", &[]),
];

/// Dependencies that the pure crates must not have.
const RUNTIMES: &[&str] =
    &["tokio", "tokio-util", "futures-util", "async-std", "smol", "rand", "fastrand"];
const PURE: &[&str] = &["types", "codec", "wire-protocol", "server-core"];

/// Checks the manifests of all crates.
pub(super) fn check(root: &Path, broken: &mut Vec<String>) -> Result<()> {
    for (folder, allowed) in MAY_USE {
        check_imports(root, folder, allowed, broken)?;
    }
    check_all_crates_are_listed(root, broken)
}

/// Returns the folders of all crates.
pub(super) fn folders() -> impl Iterator<Item = &'static str> {
    MAY_USE.iter().map(|(folder, _)| *folder)
}

fn check_imports(
    root: &Path,
    folder: &str,
    allowed: &[&str],
    broken: &mut Vec<String>,
) -> Result<()> {
    let manifest = root.join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
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

/// Returns the folder of a package of the workspace.
fn our_folder(package: &str) -> Option<&str> {
    match package {
        "pravega-sdk" => Some("."),
        other => other.strip_prefix("pravega-sdk-"),
    }
}

/// Returns the keys of the `[dependencies]` tables of a manifest. Tests may use any crate.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    #[test]
    fn dependencies_are_read_from_every_form_and_development_ones_are_not() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n\
                        b.workspace = true\n# c = \"1\"\n[dev-dependencies]\nd = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\ne = { version = \"1\" }\n";
        assert_eq!(normal_dependencies(manifest), ["a", "b", "e"]);
    }

    #[test]
    fn an_import_in_the_wrong_direction_is_named() {
        let tree = Scratch::new(&[(
            "types/Cargo.toml",
            "[dependencies]\npravega-sdk-wire-protocol = \"1\"\ntokio = \"1\"\n",
        )]);
        let mut broken = Vec::new();
        check_imports(tree.path(), "types", &[], &mut broken).unwrap();
        assert_eq!(broken.len(), 2, "{broken:?}");
        check_imports(tree.path(), "types", &["wire-protocol"], &mut broken).unwrap();
        assert_eq!(broken.len(), 3, "only the runtime is refused now: {broken:?}");
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        let tree = Scratch::new(&[("stray/Cargo.toml", ""), ("fuzz/Cargo.toml", "")]);
        let mut broken = Vec::new();
        check_all_crates_are_listed(tree.path(), &mut broken).unwrap();
        assert_eq!(broken.len(), 1, "{broken:?}");
    }
}
