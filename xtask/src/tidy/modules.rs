//! The modules of a crate, each with its file and its names.

use std::collections::{BTreeMap, HashMap};

use proc_macro2::{TokenStream, TokenTree};

use super::source::{SourceFile, is_test_only};

/// The path of a module from the root of its crate; the root's is empty.
pub(super) type ModulePath = Vec<String>;

/// The target of a name in a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// An item that the module itself defines.
    Item,
    /// A module below.
    Module,
    /// A `use` of a path, to be resolved from this module.
    Use(Vec<String>),
    /// A `pub use` of a path: it re-exports a name, and is not an import.
    ReExport(Vec<String>),
}

/// A module without its tests.
#[derive(Default)]
pub(super) struct Module {
    /// The file that holds it.
    pub(super) file: String,
    /// A name may be a type, a value and a macro at the same time.
    pub(super) names: HashMap<String, Vec<Name>>,
    /// The paths of `use path::*`.
    pub(super) globs: Vec<Vec<String>>,
    /// The paths of `pub use path::*`.
    pub(super) re_exported_globs: Vec<Vec<String>>,
    /// The code of its items, without its modules.
    pub(super) code: Vec<syn::Item>,
}

/// All modules of a crate.
pub(super) type Modules = BTreeMap<ModulePath, Module>;

/// Finds the modules from the root file `root` on. Test modules are left out.
pub(super) fn find(root: &str, files: &[SourceFile]) -> Modules {
    let by_path: HashMap<&str, &SourceFile> =
        files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut modules = Modules::new();
    if let Some(file) = by_path.get(root).copied() {
        let mut finder = Finder { by_path, modules: &mut modules };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        finder.module(Vec::new(), root, folder, &file.syntax.items);
    }
    modules
}

struct Finder<'a> {
    by_path: HashMap<&'a str, &'a SourceFile>,
    modules: &'a mut Modules,
}

impl Finder<'_> {
    /// Adds the module `path`, whose modules have their files in `folder`.
    fn module(&mut self, path: ModulePath, file: &str, folder: &str, items: &[syn::Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|item| !is_test_only(attributes(item))) {
            match item {
                syn::Item::Mod(child) => {
                    let name = child.ident.to_string();
                    module.add(&name, Name::Module);
                    let mut below = path.clone();
                    below.push(name.clone());
                    self.child(below, file, &format!("{folder}/{name}"), child);
                }
                syn::Item::Use(item) => {
                    let is_re_export = !matches!(item.vis, syn::Visibility::Inherited);
                    module.import(&mut Vec::new(), &item.tree, is_re_export);
                }
                other => {
                    for name in defined(other) {
                        module.add(&name, Name::Item);
                    }
                    module.code.push(other.clone());
                }
            }
        }
        self.modules.insert(path, module);
    }

    fn child(&mut self, path: ModulePath, file: &str, folder: &str, child: &syn::ItemMod) {
        if let Some((_, items)) = &child.content {
            self.module(path, file, folder, items);
            return;
        }
        for candidate in [format!("{folder}.rs"), format!("{folder}/mod.rs")] {
            if let Some(found) = self.by_path.get(candidate.as_str()).copied() {
                self.module(path, &candidate, folder, &found.syntax.items);
                return;
            }
        }
    }
}

impl Module {
    fn add(&mut self, name: &str, what: Name) {
        self.names.entry(name.to_owned()).or_default().push(what);
    }

    fn import(&mut self, prefix: &mut Vec<String>, tree: &syn::UseTree, is_re_export: bool) {
        let (name, alias) = match tree {
            syn::UseTree::Path(part) => {
                prefix.push(part.ident.to_string());
                self.import(prefix, &part.tree, is_re_export);
                prefix.pop();
                return;
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(prefix, tree, is_re_export);
                }
                return;
            }
            syn::UseTree::Glob(_) if is_re_export => {
                self.re_exported_globs.push(prefix.clone());
                return;
            }
            syn::UseTree::Glob(_) => {
                self.globs.push(prefix.clone());
                return;
            }
            syn::UseTree::Name(name) => (&name.ident, None),
            syn::UseTree::Rename(name) => (&name.ident, Some(name.rename.to_string())),
        };
        let mut path = prefix.clone();
        if name != "self" {
            path.push(name.to_string());
        }
        let known_as = alias.or_else(|| path.last().cloned()).unwrap_or_default();
        self.add(&known_as, if is_re_export { Name::ReExport(path) } else { Name::Use(path) });
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the names that an item defines. Those of a macro call are found by their keywords.
fn defined(item: &syn::Item) -> Vec<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        syn::Item::Macro(item) => {
            let mut names = Vec::new();
            match &item.ident {
                Some(name) => names.push(name.to_string()),
                None => names_in(item.mac.tokens.clone(), &mut names),
            }
            return names;
        }
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}

fn names_in(tokens: TokenStream, names: &mut Vec<String>) {
    let mut is_keyword = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if is_keyword {
                    names.push(ident.to_string());
                }
                let word = ident.to_string();
                is_keyword = ["struct", "enum", "trait", "fn", "type", "const", "static"]
                    .contains(&word.as_str());
            }
            TokenTree::Group(group) => names_in(group.stream(), names),
            _ => is_keyword = false,
        }
    }
}
