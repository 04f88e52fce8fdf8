//! `pravega completions`

use crate::{context::Context, failure::Result};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Shell
    shell: clap_complete::Shell,
}

/// Prints the completions of `command`, which is the whole tool.
pub(crate) fn run(
    arguments: &Arguments,
    mut command: clap::Command,
    context: &mut Context,
) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "pravega", &mut script);
    context.output.raw(&script)
}
