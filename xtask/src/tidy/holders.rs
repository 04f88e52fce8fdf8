//! Every public type that holds a secret has a row in `tests/secrets.rs`, which requires that its
//! `Debug` does not show it.
//!
//! A type holds a secret if a field is one, by its name or by a type such as `SecretString`, or if
//! the type of a field holds one. Types are found by their names: in the same file, then in the
//! folders around it, up to that of the crate, then among the public ones of all crates. Where
//! several have a name, each may be meant.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use syn::{Fields, Ident, Item, Visibility};

use super::{
    errors::PUBLIC,
    secrets,
    source::{SourceFile, is_test_only},
};

/// The rows, from the root of the workspace.
const ROWS: &str = "tests/secrets.rs";

/// How a row begins.
const ROW: &str = "hides::<";

/// Types without a row, each with the reason.
const EXEMPT: &[(&str, &str)] = &[
    ("Answer", "an event of a machine; its parts have rows"),
    ("Effect", "an effect of a machine; its parts have rows"),
    ("GroupStore", "public for tests only; a part of `GroupReader`"),
    ("LeaseStore", "a part of `GroupReader`"),
    ("ReadDriver", "a part of `EventReader`"),
    ("ReadMachine", "a part of `EventReader`"),
    ("TlsConnector", "not in the facade; `TlsConfig` is what it holds"),
];

/// The types of the workspace.
#[derive(Default)]
pub(super) struct Types(Vec<Found>);

struct Found {
    folder: String,
    path: String,
    name: String,
    is_public: bool,
    /// Whether a field is a secret.
    is_holder: bool,
    /// The names of the types of its fields.
    fields: Vec<String>,
}

impl Types {
    /// Adds the types of a crate.
    pub(super) fn add(&mut self, folder: &str, files: &[SourceFile]) {
        for file in files.iter().filter(|file| file.is_product(folder) && !file.is_generated()) {
            self.add_items(folder, &file.path, &file.syntax.items);
        }
    }

    fn add_items(&mut self, folder: &str, path: &str, items: &[Item]) {
        for item in items {
            let (visibility, name, fields): (_, _, Vec<(String, &Fields)>) = match item {
                Item::Struct(item) => {
                    let fields = vec![(item.ident.to_string(), &item.fields)];
                    (&item.vis, &item.ident, fields)
                }
                Item::Enum(item) => {
                    let owner = |variant: &Ident| format!("{}{variant}", item.ident);
                    let variants = item.variants.iter();
                    let fields = variants.map(|variant| (owner(&variant.ident), &variant.fields));
                    (&item.vis, &item.ident, fields.collect())
                }
                Item::Mod(item) if !is_test_only(&item.attrs) => {
                    let content = item.content.as_ref();
                    self.add_items(folder, path, content.map_or(&[], |(_, items)| items));
                    continue;
                }
                _ => continue,
            };
            let types = fields.iter().flat_map(|(_, fields)| fields.iter());
            let names = types.flat_map(|field| secrets::names_in(&field.ty)).collect();
            self.0.push(Found {
                folder: folder.to_owned(),
                path: path.to_owned(),
                name: name.to_string(),
                is_public: matches!(visibility, Visibility::Public(_)),
                is_holder: fields.iter().any(|(owner, fields)| secrets::has_any(owner, fields)),
                fields: names,
            });
        }
    }

    /// Reports every public type that holds a secret and has no row.
    pub(super) fn check(mut self, root: &Path, broken: &mut Vec<String>) -> Result<()> {
        let path = root.join(ROWS);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        self.spread();
        let rows = rows(&text);
        for found in self.0.iter().filter(|found| found.is_holder && found.is_public) {
            let name = found.name.as_str();
            let is_exempt = EXEMPT.iter().any(|(exempt, _)| *exempt == name);
            if PUBLIC.contains(&&*found.folder) && !is_exempt && !rows.contains(&name) {
                let path = &found.path;
                broken.push(format!("{path}: {name} holds a secret, and has no row in {ROWS}"));
            }
        }
        Ok(())
    }

    /// Makes each type a holder that has one as a field.
    fn spread(&mut self) {
        let edges = self.edges();
        loop {
            let all = self.0.iter().enumerate();
            let holders: HashSet<usize> =
                all.filter(|(_, found)| found.is_holder).map(|(at, _)| at).collect();
            let mut is_done = true;
            for (found, fields) in self.0.iter_mut().zip(&edges) {
                if !found.is_holder && fields.iter().any(|at| holders.contains(at)) {
                    found.is_holder = true;
                    is_done = false;
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// For each type the numbers of the types that its fields may have.
    fn edges(&self) -> Vec<Vec<usize>> {
        let mut places: HashMap<(Place<'_>, &str), Vec<usize>> = HashMap::new();
        for (at, found) in self.0.iter().enumerate() {
            let mut add = |place| places.entry((place, &found.name)).or_default().push(at);
            enclosing(&found.path).for_each(|path| add(Place::In(path)));
            if found.is_public {
                add(Place::Anywhere);
            }
        }
        let resolve = |found: &Found, name: &str| {
            let nearest = enclosing(&found.path).map(Place::In).chain([Place::Anywhere]);
            nearest.into_iter().find_map(|place| places.get(&(place, name))).cloned()
        };
        let fields = |found: &Found| {
            found.fields.iter().filter_map(|name| resolve(found, name)).flatten().collect()
        };
        self.0.iter().map(fields).collect()
    }
}

/// Where the types of a name are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'a> {
    /// In a file, or in the files below a folder.
    In(&'a str),
    /// In any crate, as public types.
    Anywhere,
}

/// The path of a file, and of the folders that it is in, from the inside out.
fn enclosing(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder))
}

/// The names of the types that have a row.
fn rows(text: &str) -> Vec<&str> {
    let starts = text.match_indices(ROW).filter_map(|(at, _)| text.get(at + ROW.len()..));
    starts
        .filter_map(|row| {
            let path = row.split(['<', '>']).next()?;
            path.rsplit("::").next()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn found(files: &[(&str, &str)], rows: &str) -> Vec<String> {
        let tree = Scratch::new(&[files, &[(ROWS, rows)]].concat());
        let (mut types, mut broken) = (Types::default(), Vec::new());
        for folder in ["types", "tls", "server-core"] {
            types.add(folder, &SourceFile::read_crate(tree.path(), folder).unwrap());
        }
        types.check(tree.path(), &mut broken).unwrap();
        broken
    }

    #[test]
    fn a_public_type_that_holds_a_secret_itself_or_in_a_field_needs_a_row() {
        for source in [
            "pub struct A { password: String }",
            "pub struct A(SecretString);",
            "pub struct A { inner: Option<Arc<Inner>> } struct Inner { all: Vec<SecretString> }",
            "pub enum A { B { inner: Inner } } struct Inner(Deep); struct Deep { token: Bytes }",
            "mod m { pub struct A { body: Zeroizing<Vec<u8>> } }",
        ] {
            let files = [("types/src/lib.rs", source)];
            let broken = found(&files, "");
            assert_eq!(
                broken,
                ["types/src/lib.rs: A holds a secret, and has no row in tests/secrets.rs"],
                "{source}"
            );
            assert_eq!(found(&files, "hides::<a::A<Utf8>>(&value);"), [""; 0], "{source}");
        }
    }

    #[test]
    fn secrets_are_followed_into_other_crates() {
        let files = [
            ("types/src/lib.rs", "pub struct A { key: Key }"),
            ("server-core/src/lib.rs", "pub struct Key(SecretString);"),
        ];
        assert_eq!(found(&files, "").len(), 1, "a crate that users cannot name needs no row");
        let private = [files[0], ("tls/src/lib.rs", "struct Key(SecretString);")];
        assert_eq!(found(&private, ""), [""; 0]);
    }

    #[test]
    fn of_types_with_one_name_the_nearest_is_meant_or_each() {
        let holder = "pub struct A { driver: Driver }";
        let (secret, plain) = ("struct Driver(SecretString);", "struct Driver(String);");
        let needs_row = |files: &[(&str, &str)]| {
            let missing = "A holds a secret, and has no row in tests/secrets.rs";
            found(files, "").iter().any(|broken| broken.ends_with(missing))
        };
        let beside = [
            ("types/src/lib.rs", ""),
            ("types/src/a/mod.rs", holder),
            ("types/src/a/driver.rs", secret),
            ("types/src/b/driver.rs", plain),
        ];
        assert!(needs_row(&beside));
        let elsewhere =
            [beside[0], beside[1], ("types/src/a/driver.rs", plain), ("types/src/b.rs", secret)];
        assert!(!needs_row(&elsewhere));
        let several = [beside[0], ("types/src/c.rs", holder), beside[2], beside[3]];
        assert!(needs_row(&several));
    }

    #[test]
    fn other_types_and_those_that_are_not_public_need_none() {
        for source in [
            "pub struct A { name: String, token_lifetime: Duration }",
            "pub(crate) struct A { password: String }",
            "#[cfg(test)] mod tests { pub struct A { password: String } }",
            "pub enum A { Password }",
        ] {
            assert_eq!(found(&[("types/src/lib.rs", source)], ""), [""; 0], "{source}");
        }
    }
}
