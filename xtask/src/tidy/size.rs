//! Lines, functions and files stay short, panics stay rare, and every file opens with `//!`.

use std::collections::BTreeSet;

use syn::{spanned::Spanned as _, visit::Visit};

use super::source::{SourceFile, is_in_crate, is_test_only};

const MAX_WIDTH: usize = 100;
const MAX_FUNCTION_LINES: usize = 80;
const MAX_FILE_LINES: usize = 700;
/// The maximum number of `unwrap` and `expect` per 1,000 lines of product code.
const MAX_PANICS: usize = 1;
/// Crates that are tools for tests and for developers.
const NO_PRODUCT: &[&str] = &["bench", "integration-tests", "probes", "simulation", "xtask"];

/// Files that break a rule until they are split. An entry that no longer breaks a rule is refused.
const UNTIL_SPLIT: &[&str] = &[];

/// Checks all files of the crate in `folder`.
pub(super) fn check(folder: &str, files: &[SourceFile], broken: &mut Vec<String>) {
    check_against(UNTIL_SPLIT, folder, files, broken);
}

fn check_against(
    exceptions: &[&str],
    folder: &str,
    files: &[SourceFile],
    broken: &mut Vec<String>,
) {
    let mut used = BTreeSet::new();
    let mut panics = 0;
    let mut lines = 0;
    for file in files.iter().filter(|file| !file.is_generated()) {
        let mut found = Vec::new();
        check_file(file, &mut found);
        if !found.is_empty() && exceptions.contains(&file.path.as_str()) {
            used.insert(file.path.as_str());
        } else {
            broken.append(&mut found);
        }
        if file.is_product(folder) {
            panics += panics_of(file);
            lines += file.text.lines().count();
        }
    }
    if panics * 1000 > lines * MAX_PANICS && !NO_PRODUCT.contains(&folder) {
        broken.push(format!("{folder}: {panics} unwrap and expect in {lines} lines"));
    }
    for path in exceptions.iter().filter(|path| is_in_crate(path, folder)) {
        if !used.contains(*path) {
            broken.push(format!("{path}: breaks no rule of size, remove it from the list"));
        }
    }
}

fn check_file(file: &SourceFile, broken: &mut Vec<String>) {
    let SourceFile { path, text, .. } = file;
    if !text.starts_with("//!") {
        broken.push(format!("{path}: does not open with //! and its purpose"));
    }
    let count = text.lines().count();
    if count > MAX_FILE_LINES {
        broken.push(format!("{path}: has {count} lines, more than {MAX_FILE_LINES}"));
    }
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !may_be_wide(line)) {
        let width = line.chars().count();
        if width > MAX_WIDTH {
            let number = index + 1;
            broken.push(format!("{path}:{number}: has {width} columns, more than {MAX_WIDTH}"));
        }
    }
    let mut functions = Functions { path, broken };
    functions.visit_file(&file.syntax);
}

/// A row of a table in a comment, or a line with a URL, cannot be broken.
fn may_be_wide(line: &str) -> bool {
    let line = line.trim_start();
    let comment = line.trim_start_matches(['/', '!']).trim_start();
    line.starts_with("//") && (comment.starts_with('|') || comment.contains("://"))
}

struct Functions<'a> {
    path: &'a str,
    broken: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, name: &syn::Ident, start: usize, block: &syn::Block) {
        let lines = block.brace_token.span.close().end().line + 1 - start;
        if lines > MAX_FUNCTION_LINES {
            let path = self.path;
            self.broken.push(format!(
                "{path}:{start}: {name} has {lines} lines, more than {MAX_FUNCTION_LINES}"
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check(&item.sig.ident, item.sig.span().start().line, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check(&item.sig.ident, item.sig.span().start().line, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn panics_of(file: &SourceFile) -> usize {
    let mut panics = Panics(0);
    panics.visit_file(&file.syntax);
    panics.0
}

/// Counts `unwrap` and `expect` outside tests.
struct Panics(usize);

impl<'ast> Visit<'ast> for Panics {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test_only(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test_only(&item.attrs) {
            syn::visit::visit_item_impl(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" || call.method == "expect" {
            self.0 += 1;
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn broken(exceptions: &[&str], text: &str) -> Vec<String> {
        let tree = Scratch::new(&[("x/src/lib.rs", text)]);
        let files = SourceFile::read_crate(tree.path(), "x").unwrap();
        let mut broken = Vec::new();
        check_against(exceptions, "x", &files, &mut broken);
        broken
    }

    const HEAD: &str = "//! What it is.\n";

    #[test]
    fn a_short_file_passes_and_one_without_a_head_does_not() {
        assert!(broken(&[], HEAD).is_empty());
        assert_eq!(broken(&[], "fn f() {}\n").len(), 1);
    }

    #[test]
    fn a_wide_line_is_refused_but_for_tables_and_addresses() {
        let wide = "x".repeat(99);
        assert_eq!(broken(&[], &format!("{HEAD}// {wide}\n")).len(), 1);
        assert_eq!(broken(&[], &format!("{HEAD}const A: &str = \"{wide}\";\n")).len(), 1);
        assert!(broken(&[], &format!("{HEAD}// {}\n", "ü".repeat(97))).is_empty());
        assert!(broken(&[], &format!("{HEAD}/// | {wide} |\nfn f() {{}}\n")).is_empty());
        assert!(broken(&[], &format!("{HEAD}// https://example.org/{wide}\n")).is_empty());
    }

    #[test]
    fn a_long_function_or_method_is_refused() {
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        assert!(broken(&[], &format!("{HEAD}{}", function(80))).is_empty());
        assert_eq!(broken(&[], &format!("{HEAD}{}", function(81))).len(), 1);
        let method = format!("{HEAD}impl X {{\n#[a]\n{}}}\n", function(81));
        assert_eq!(broken(&[], &method).len(), 1);
        let documented = format!("{HEAD}/// Doc.\n{}", function(80));
        assert!(broken(&[], &documented).is_empty(), "comments before it do not count");
    }

    #[test]
    fn a_long_file_is_refused() {
        assert!(broken(&[], &format!("{HEAD}{}", "//\n".repeat(699))).is_empty());
        assert_eq!(broken(&[], &format!("{HEAD}{}", "//\n".repeat(700))).len(), 1);
    }

    #[test]
    fn panics_outside_tests_are_counted() {
        let code = "fn f() { a.unwrap(); }\n\
                    #[cfg(test)]\nmod tests { fn g() { a.unwrap(); b.expect(1) } }\n";
        assert_eq!(broken(&[], &format!("{HEAD}{code}")).len(), 1);
        let longer = format!("{HEAD}{code}{}", "//\n".repeat(600));
        assert_eq!(broken(&[], &longer).len(), 1, "one in 603 lines");
        let tests = "#[cfg(test)]\nmod tests { fn g() { a.unwrap(); } }\n";
        assert!(broken(&[], &format!("{HEAD}{tests}")).is_empty());
    }

    #[test]
    fn an_exception_is_refused_when_it_is_no_longer_needed() {
        let path = "x/src/lib.rs";
        assert!(broken(&[path], "fn f() {}\n").is_empty());
        assert_eq!(broken(&[path], HEAD).len(), 1);
    }
}
