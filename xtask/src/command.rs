//! Runs other programs to their end.

use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// Returns a command of the cargo that runs this program, in the workspace. It builds without
/// incremental compilation, whose files take gigabytes, unless the environment decides.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    if env::var_os(INCREMENTAL).is_none() {
        command.env(INCREMENTAL, "0");
    }
    command
}

const INCREMENTAL: &str = "CARGO_INCREMENTAL";

/// Runs a command and shows what it prints; an exit code other than 0 is an error that names the
/// command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Returns the words of a command.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
