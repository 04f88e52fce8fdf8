//! The source files of a crate, parsed once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The generated file, to which no rule of style applies.
const GENERATED: &[&str] = &["proto/src/generated.rs"];

/// A source file.
pub(super) struct SourceFile {
    /// Its path from the root of the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) syntax: syn::File,
}

impl SourceFile {
    /// Reads all files of the crate in `folder`.
    pub(super) fn read_crate(root: &Path, folder: &str) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for part in ["src", "tests", "examples", "benches"] {
            for path in rust_files(&root.join(folder).join(part))? {
                let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                // The crate in the root has the path `./src`.
                let shown = shown.trim_start_matches("./").to_owned();
                let text = fs::read_to_string(&path)?;
                let syntax =
                    syn::parse_file(&text).with_context(|| format!("{shown} cannot be parsed"))?;
                files.push(Self { path: shown, text, syntax });
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    /// Returns true if a generator wrote the file.
    pub(super) fn is_generated(&self) -> bool {
        GENERATED.contains(&self.path.as_str())
    }

    /// Returns true if the file is part of the product rather than of its tests.
    pub(super) fn is_product(&self, folder: &str) -> bool {
        let prefix = if folder == "." { "src/".to_owned() } else { format!("{folder}/src/") };
        self.path.starts_with(&prefix) && !self.is_test()
    }

    /// Returns true if the file holds only tests.
    pub(super) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs" || self.path.contains("/tests/")
    }
}

/// Returns true if `path` is in the crate in `folder`.
pub(super) fn is_in_crate(path: &str, folder: &str) -> bool {
    if folder == "." {
        ["src/", "tests/", "examples/", "benches/"].iter().any(|part| path.starts_with(part))
    } else {
        path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Returns true if the attributes keep an item for test builds.
pub(super) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        attribute.path().is_ident("cfg")
            && (condition == "test" || condition.starts_with("all (test"))
    })
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
