//! The imports between the files of a crate, with names resolved to the file that defines them.
//!
//! An import is a `use` or a path in code (`crate::x::Y::new()`, also inside macros) of a name that
//! another file defines. A name that comes through re-exports counts for the file that defines it,
//! not for those in between. Not counted are a `mod` declaration and a `pub use`, which only place
//! a name, and a module's name alone, because the paths through it count. Calls of methods have no
//! path and are not seen.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;

use super::{
    modules::{self, ModulePath, Modules, Name},
    source::SourceFile,
};

/// The files that each file imports.
pub(super) type Imports = BTreeMap<String, BTreeSet<String>>;

/// Finds the imports between the files of a crate, both of its library and of its programs.
pub(super) fn of_crate(folder: &str, files: &[SourceFile]) -> Imports {
    let source = if folder == "." { "src".to_owned() } else { format!("{folder}/src") };
    let mut imports = Imports::new();
    for root in ["lib.rs", "main.rs"] {
        of_target(&format!("{source}/{root}"), files, &mut imports);
    }
    imports
}

fn of_target(root: &str, files: &[SourceFile], imports: &mut Imports) {
    let modules = modules::find(root, files);
    for (path, module) in &modules {
        let resolver = Resolver { modules: &modules };
        let mut found = BTreeSet::new();
        for used in module.names.values().flatten() {
            if let Name::Use(target) = used {
                resolver.files(path, target, &mut found);
            }
        }
        for target in &module.globs {
            resolver.glob_files(path, target, &mut found);
        }
        for item in &module.code {
            for target in paths_of(item.to_token_stream()) {
                resolver.files(path, &target, &mut found);
            }
        }
        found.remove(&module.file);
        imports.entry(module.file.clone()).or_default().extend(found);
    }
}

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// An item that this file defines.
    Item(String),
    Module(ModulePath),
}

/// The last segment of a path that ends in `::*`.
const GLOB: &str = "*";

struct Resolver<'a> {
    modules: &'a Modules,
}

type Visited = BTreeSet<(ModulePath, Vec<String>)>;

impl Resolver<'_> {
    fn files(&self, from: &ModulePath, path: &[String], found: &mut BTreeSet<String>) {
        if let Some((last, all)) = path.split_last()
            && last == GLOB
        {
            self.glob_files(from, all, found);
            return;
        }
        for target in self.resolve(from, path, &mut Visited::new()) {
            if let Target::Item(file) = target {
                found.insert(file);
            }
        }
    }

    /// Resolves a glob: all names that a module defines or re-exports.
    fn glob_files(&self, from: &ModulePath, path: &[String], found: &mut BTreeSet<String>) {
        for target in self.resolve(from, path, &mut Visited::new()) {
            match target {
                Target::Item(file) => {
                    found.insert(file);
                }
                Target::Module(at) => {
                    let Some(module) = self.modules.get(&at) else { continue };
                    for name in module.names.keys() {
                        self.files(&at, std::slice::from_ref(name), found);
                    }
                }
            }
        }
    }

    fn resolve(
        &self,
        from: &ModulePath,
        path: &[String],
        visited: &mut Visited,
    ) -> BTreeSet<Target> {
        if !visited.insert((from.clone(), path.to_vec())) {
            return BTreeSet::new();
        }
        let Some((first, rest)) = path.split_first() else {
            return [Target::Module(from.clone())].into();
        };
        let starts = match first.as_str() {
            "crate" => [Target::Module(Vec::new())].into(),
            "self" => [Target::Module(from.clone())].into(),
            "super" => {
                let mut parent = from.clone();
                parent.pop();
                [Target::Module(parent)].into()
            }
            name => self.lookup(from, name, visited),
        };
        let is_relative = ["crate", "self", "super"].contains(&first.as_str());
        let mut targets = BTreeSet::new();
        for start in starts {
            match start {
                Target::Item(file) => {
                    targets.insert(Target::Item(file));
                }
                Target::Module(at) if rest.is_empty() => {
                    targets.insert(Target::Module(at));
                }
                Target::Module(at) => {
                    let below = self.resolve(&at, rest, visited);
                    let goes_on = rest.first().is_some_and(|name| name == "super");
                    if below.is_empty() && !goes_on && (is_relative || !at.is_empty()) {
                        // The name of a macro's item, as no other name is unknown in a module.
                        let file = self.modules.get(&at).map(|module| module.file.clone());
                        targets.extend(file.map(Target::Item));
                    }
                    targets.extend(below);
                }
            }
        }
        targets
    }

    /// Resolves `name` in the module `at`: defined there, or through its `use`s.
    fn lookup(&self, at: &ModulePath, name: &str, visited: &mut Visited) -> BTreeSet<Target> {
        let Some(module) = self.modules.get(at) else {
            return BTreeSet::new();
        };
        let mut targets = BTreeSet::new();
        for known in module.names.get(name).into_iter().flatten() {
            match known {
                Name::Item => {
                    targets.insert(Target::Item(module.file.clone()));
                }
                Name::Module => {
                    let mut below = at.clone();
                    below.push(name.to_owned());
                    targets.insert(Target::Module(below));
                }
                Name::Use(path) | Name::ReExport(path) => {
                    targets.extend(self.resolve(at, path, visited));
                }
            }
        }
        if targets.is_empty() && !module.names.contains_key(name) {
            for glob in module.globs.iter().chain(&module.re_exported_globs) {
                for target in self.resolve(at, glob, visited) {
                    if let Target::Module(of) = target {
                        targets.extend(self.lookup(&of, name, visited));
                    }
                }
            }
        }
        targets
    }
}

/// Finds the paths in code, nested `use`s and macros included.
fn paths_of(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    collect_paths(&tokens.into_iter().collect::<Vec<_>>(), &[], &mut paths);
    paths
}

fn collect_paths(tokens: &[TokenTree], prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut at = 0;
    let mut is_member = false;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                collect_paths(&inner, &[], paths);
            }
            TokenTree::Ident(first) if !is_member => {
                let mut path = prefix.to_vec();
                path.push(first.to_string());
                while is_separator(tokens, at) {
                    match tokens.get(at + 2) {
                        Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                        Some(TokenTree::Group(group)) => {
                            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                            collect_paths(&inner, &path, paths);
                            at += 3;
                            break;
                        }
                        Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                            path.push(GLOB.to_owned());
                            break;
                        }
                        _ => break,
                    }
                    at += 3;
                }
                paths.push(path);
            }
            _ => {}
        }
        // A field or method has no path; the end of a range has one.
        let is_dot = |token: Option<&TokenTree>| match token {
            Some(TokenTree::Punct(punct)) => punct.as_char() == '.',
            _ => false,
        };
        is_member =
            is_dot(tokens.get(at.wrapping_sub(1))) && !is_dot(tokens.get(at.wrapping_sub(2)));
    }
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    [at, at + 1].iter().all(
        |at| matches!(tokens.get(*at), Some(TokenTree::Punct(colon)) if colon.as_char() == ':'),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Scratch::new(files);
        let files = SourceFile::read_crate(tree.path(), "x").unwrap();
        let mut shown = Vec::new();
        for (file, imported) in of_crate("x", &files) {
            for other in imported {
                let short = |path: &str| path.trim_start_matches("x/src/").to_owned();
                shown.push(format!("{} -> {}", short(&file), short(&other)));
            }
        }
        shown
    }

    #[test]
    fn a_use_is_followed_through_re_exports_to_the_file_that_defines_the_name() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; pub use b::inner::Deep; pub use a::*;"),
            ("x/src/a.rs", "use crate::Deep; pub struct A(Deep);"),
            ("x/src/b/mod.rs", "pub mod inner; pub use inner::Deep as Other;"),
            ("x/src/b/inner.rs", "use crate::{A, b::{self, Other}}; pub struct Deep(A, Other);"),
        ]);
        let expected = ["a.rs -> b/inner.rs", "b/inner.rs -> a.rs"];
        assert_eq!(found, expected, "and a re-export alone is not an import");
    }

    #[test]
    fn paths_in_code_and_in_macros_are_imports_and_modules_alone_are_not() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("x/src/a.rs", "use super::b; fn f() { b::g(); vec![crate::c::C::new(1)]; }"),
            ("x/src/b.rs", "use super::d; pub fn g() { value.d.c; } "),
            ("x/src/c.rs", "pub struct C; impl C { pub fn new(_: u8) {} }"),
            ("x/src/d.rs", "fn f() { use crate::{b::g, c::*}; } "),
        ]);
        assert_eq!(found, ["a.rs -> b.rs", "a.rs -> c.rs", "d.rs -> b.rs", "d.rs -> c.rs"]);
    }

    #[test]
    fn names_of_globs_and_of_macros_are_found() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("x/src/a.rs", "use crate::b::*; use crate::c::Made; struct A(Once);"),
            ("x/src/b.rs", "pub use crate::{c::Twice, d::*}; pub struct B;"),
            ("x/src/c.rs", "make!(Made); make! { pub struct Twice; }"),
            ("x/src/d.rs", "pub struct Once;"),
        ]);
        assert_eq!(found, ["a.rs -> b.rs", "a.rs -> c.rs", "a.rs -> d.rs"]);
    }

    #[test]
    fn imports_of_tests_are_not_counted() {
        let found = imports(&[
            ("x/src/lib.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            ("x/src/a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"),
            ("x/src/b.rs", "pub struct B; #[cfg(test)] use crate::a::A;"),
            ("x/src/tests.rs", "use crate::{a::A, b::B};"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
