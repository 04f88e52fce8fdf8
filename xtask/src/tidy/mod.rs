//! Rules about the workspace that the compiler cannot hold.
//!
//! | file | rule |
//! |---|---|
//! | `crates` | a crate depends only on crates below it; pure crates have no runtime |
//! | `circles` | no files of a crate import each other in a circle, re-exports followed |
//! | `machines` | a machine imports no driver and no surface, reads no clock, does no I/O |
//! | `errors` | a public error type is in the list of `tests/errors.rs` |
//! | `secrets` | no derived `Debug` shows a secret |
//! | `holders` | a public type that holds a secret has a row in `tests/secrets.rs` |
//! | `words` | comments, docs and texts use plain English |
//! | `versions` | nothing that the minimum version of Rust refuses |
//! | `size` | lines, functions and files stay short; panics stay rare; files say what they are |
//!
//! Below them, `source` reads files, `modules` finds the modules of a crate, `imports` resolves
//! names to files, and `text` separates comments and literals from code.

mod circles;
mod crates;
mod errors;
mod holders;
mod imports;
mod machines;
mod modules;
#[cfg(test)]
mod scratch;
mod secrets;
mod size;
mod source;
mod text;
mod versions;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use self::source::SourceFile;

/// Checks every rule, and reports every place that breaks one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    crates::check(root, &mut broken)?;
    let mut listed = errors::Listed::read(root)?;
    let mut types = holders::Types::default();
    for folder in crates::folders() {
        let files = SourceFile::read_crate(root, folder)?;
        size::check(folder, &files, &mut broken);
        words::check(&files, &mut broken);
        versions::check(&files, &mut broken);
        errors::check(folder, &files, &mut listed, &mut broken);
        secrets::check(folder, &files, &mut broken);
        types.add(folder, &files);
        machines::check_words(&files, &mut broken);
        let edges = imports::of_crate(folder, &files);
        circles::check(folder, &edges, &mut broken);
        machines::check_imports(folder, &edges, &mut broken);
    }
    types.check(root, &mut broken)?;
    if broken.is_empty() {
        return Ok(());
    }
    bail!("tidy found {} places:\n  {}", broken.len(), broken.join("\n  "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        run(&crate::root().unwrap()).unwrap();
    }
}
