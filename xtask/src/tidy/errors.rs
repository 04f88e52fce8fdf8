//! Every public error type is in the list of `tests/errors.rs`, which requires the one shape.
//!
//! An error type has a name that ends in `Error` or `Failure`, or derives `Error`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use syn::{Attribute, Item, Visibility};

use super::source::{SourceFile, is_test_only};

/// The list, from the root of the workspace.
const LIST: &str = "tests/errors.rs";

/// The crates whose types a program can name through the facade.
pub(super) const PUBLIC: &[&str] = &[
    ".",
    "types",
    "codec",
    "wire-protocol",
    "tls",
    "connection-pool",
    "controller-client",
    "identity",
    "segment-client",
    "table-synchronizer",
    "event-stream",
    "client-factory",
    "server",
];

/// Types that are not on the list, each with the reason.
const EXEMPT: &[(&str, &str)] = &[
    ("DecodeProblem", "the detail of a `DecodeError`"),
    ("DnsError", "behind a feature that the facade does not have; its crate tests it"),
    ("LookupError", "an event of machines; no call returns it"),
    ("Misbehaviour", "a cause; no call returns it"),
    ("Problem", "the detail of an `InvalidModifiedUtf8`"),
];

/// The names on the list, each as often as it occurs.
pub(super) struct Listed(Vec<String>);

impl Listed {
    /// Reads the list.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(LIST);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let names = text.lines().filter_map(|line| {
            let name = line.trim().strip_prefix("shape::<")?.strip_suffix(">();")?;
            Some(name.rsplit("::").next().unwrap_or(name).to_owned())
        });
        Self(names.collect())
    }

    /// Removes a name once; returns false if it is not on the list.
    fn take(&mut self, name: &str) -> bool {
        let found = self.0.iter().position(|listed| listed == name);
        found.map(|index| self.0.swap_remove(index)).is_some()
    }
}

/// Reports every public error type that is not on the list.
pub(super) fn check(
    folder: &str,
    files: &[SourceFile],
    listed: &mut Listed,
    broken: &mut Vec<String>,
) {
    if !PUBLIC.contains(&folder) {
        return;
    }
    for file in files.iter().filter(|file| file.is_product(folder)) {
        let mut names = Vec::new();
        error_types(&file.syntax.items, &mut names);
        for name in names {
            let is_exempt = EXEMPT.iter().any(|(exempt, _)| *exempt == name);
            if !is_exempt && !listed.take(&name) {
                let path = &file.path;
                broken.push(format!("{path}: the public error {name} is not listed in {LIST}"));
            }
        }
    }
}

fn error_types(items: &[Item], names: &mut Vec<String>) {
    for item in items {
        let (attributes, visibility, name) = match item {
            Item::Struct(item) => (&item.attrs, &item.vis, &item.ident),
            Item::Enum(item) => (&item.attrs, &item.vis, &item.ident),
            Item::Macro(item) if item.mac.path.is_ident("error_type") => {
                names.extend(defined_by_macro(&item.mac.tokens.to_string()));
                continue;
            }
            Item::Mod(item) if !is_test_only(&item.attrs) => {
                let content = item.content.as_ref();
                error_types(content.map_or(&[], |(_, items)| items), names);
                continue;
            }
            _ => continue,
        };
        let name = name.to_string();
        let is_error =
            name.ends_with("Error") || name.ends_with("Failure") || derives_error(attributes);
        if matches!(visibility, Visibility::Public(_)) && is_error {
            names.push(name);
        }
    }
}

fn derives_error(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let derived = list.tokens.to_string().replace(' ', "");
        attribute.path().is_ident("derive")
            && derived.split(',').any(|name| name == "Error" || name.ends_with("::Error"))
    })
}

fn defined_by_macro(tokens: &str) -> Option<String> {
    let (_, rest) = tokens.split_once("pub struct ")?;
    rest.split(|character: char| !character.is_alphanumeric()).next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn found(folder: &str, source: &str, list: &str) -> usize {
        let path = format!("{folder}/src/lib.rs");
        let tree = Scratch::new(&[(&path, source)]);
        let files = SourceFile::read_crate(tree.path(), folder).unwrap();
        let (mut listed, mut broken) = (Listed::parse(list), Vec::new());
        check(folder, &files, &mut listed, &mut broken);
        broken.len()
    }

    #[test]
    fn a_public_error_that_is_not_listed_is_refused() {
        for source in [
            "pub struct AError;",
            "pub enum AFailure {}",
            "mod inner { pub enum AError {} }",
            "#[derive(Debug, thiserror::Error)] pub struct Violation;",
            "error_type! { /// An error.\n pub struct AError {} wording: x; accessors: ; }",
        ] {
            assert_eq!(found("types", source, "shape::<Other>();"), 1, "{source}");
        }
    }

    #[test]
    fn a_listed_error_and_what_is_not_a_public_error_are_allowed() {
        let list = "    shape::<AError>();\n    shape::<a::b::BError>();\n";
        for source in [
            "pub struct AError; pub enum BError {}",
            "struct CError; pub(crate) struct DError; pub struct Errors;",
            "#[cfg(test)] mod tests { pub struct EError; }",
        ] {
            assert_eq!(found("types", source, list), 0, "{source}");
        }
        assert_eq!(found("bench", "pub struct AError;", ""), 0, "not a crate of the facade");
    }

    #[test]
    fn two_errors_of_one_name_are_listed_twice() {
        let source = "pub mod a { pub struct AError; } pub mod b { pub struct AError; }";
        assert_eq!(found("types", source, "shape::<AError>();"), 1);
        assert_eq!(found("types", source, "shape::<a::AError>();\nshape::<b::AError>();"), 0);
    }
}
