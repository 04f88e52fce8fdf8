//! Code that the minimum version of Rust refuses, and that clippy does not know.
//!
//! In `let text = format_args!("{}", value.name())` the name lives as long as the text only in
//! newer versions than the minimum. A variable for the name works in all.

use super::source::SourceFile;

const MACRO: &str = "format_args!(";

/// Reports every `format_args!` that is bound to a name and has a call among its arguments.
pub(super) fn check(files: &[SourceFile], broken: &mut Vec<String>) {
    for file in files {
        for (at, _) in file.text.match_indices(MACRO) {
            let (before, after) = (&file.text[..at], &file.text[at + MACRO.len()..]);
            if is_bound(before) && has_call(after) {
                let (path, line) = (&file.path, before.matches('\n').count() + 1);
                broken.push(format!("{path}:{line}: bind the results of calls before {MACRO}…)"));
            }
        }
    }
}

/// Returns true if a statement that ends here would bind what follows.
fn is_bound(before: &str) -> bool {
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default().trim();
    statement.starts_with("let ") && statement.ends_with('=')
}

/// Returns true if there is a call between the text of the format and the end of the macro.
fn has_call(after: &str) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (1, false, false);
    for character in after.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_text => is_escaped = true,
            '"' => in_text = !in_text,
            '(' if !in_text => return true,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scratch::Scratch;

    fn broken(statement: &str) -> usize {
        let source = format!("fn f() {{\n    {statement}\n}}");
        let tree = Scratch::new(&[("types/src/lib.rs", &source)]);
        let files = SourceFile::read_crate(tree.path(), "types").unwrap();
        let mut broken = Vec::new();
        check(&files, &mut broken);
        broken.len()
    }

    #[test]
    fn a_bound_format_with_a_call_is_refused() {
        assert_eq!(broken("let a = format_args!(\"{}\", b.len()); g(a);"), 1);
        assert_eq!(broken("let a =\n        format_args!(\"\\\"(\", b.len()); g(a);"), 1);
    }

    #[test]
    fn a_format_without_a_call_and_one_that_is_passed_on_are_allowed() {
        assert_eq!(broken("let a = format_args!(\"({b}) {}\", b.c); g(a, b.len());"), 0);
        assert_eq!(broken("g(format_args!(\"{}\", b.len()));"), 0);
        assert_eq!(broken("let a = g(format_args!(\"{}\", b.len()));"), 0);
    }
}
