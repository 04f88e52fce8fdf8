//! No circle of imports between the files of a crate.

use std::collections::{BTreeMap, BTreeSet};

use super::{imports::Imports, source::is_in_crate};

/// Known circles. An entry may only shrink; one that is no longer a circle is refused.
const KNOWN: &[&[&str]] = &[];

/// Reports every circle that is not known.
pub(super) fn check(folder: &str, imports: &Imports, broken: &mut Vec<String>) {
    check_against(KNOWN, folder, imports, broken);
}

fn check_against(known: &[&[&str]], folder: &str, imports: &Imports, broken: &mut Vec<String>) {
    let circles = circles(imports);
    for circle in &circles {
        let is_known =
            known.iter().any(|entry| circle.iter().all(|file| entry.contains(&file.as_str())));
        if !is_known {
            broken.push(format!("{folder}: files import each other: {}", circle.join(", ")));
        }
    }
    for entry in known.iter().filter(|entry| entry.iter().all(|file| is_in_crate(file, folder))) {
        let is_circle =
            circles.iter().any(|circle| circle.iter().all(|file| entry.contains(&file.as_str())));
        if !is_circle {
            broken.push(format!(
                "{folder}: no longer a circle, remove it from the list: {}",
                entry.join(", ")
            ));
        }
    }
}

/// Finds the sets of files that import each other, directly or through others.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reachable(file, imports))).collect();
    let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|found| found.contains(to));
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for file in reach.keys().filter(|file| reaches(file, file)) {
        if seen.contains(file) {
            continue;
        }
        let circle: Vec<&str> = reach
            .keys()
            .copied()
            .filter(|other| reaches(file, other) && reaches(other, file))
            .collect();
        seen.extend(circle.iter().copied());
        circles.push(circle.into_iter().map(str::to_owned).collect());
    }
    circles
}

fn reachable<'a>(file: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = vec![file];
    while let Some(file) = next.pop() {
        for imported in imports.get(file).into_iter().flatten() {
            if found.insert(imported.as_str()) {
                next.push(imported);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{imports, scratch::Scratch, source::SourceFile};

    fn broken(known: &[&[&str]], files: &[(&str, &str)]) -> Vec<String> {
        let tree = Scratch::new(files);
        let files = SourceFile::read_crate(tree.path(), "x").unwrap();
        let mut broken = Vec::new();
        check_against(known, "x", &imports::of_crate("x", &files), &mut broken);
        broken
    }

    const CIRCLE: &[(&str, &str)] = &[
        ("x/src/lib.rs", "mod a; mod b; mod c; pub use a::A; pub use c::C;"),
        ("x/src/a.rs", "pub struct A; fn f() -> crate::b::B { crate::b::B }"),
        ("x/src/b.rs", "use crate::C; pub struct B;"),
        ("x/src/c.rs", "use crate::A; pub struct C;"),
    ];

    #[test]
    fn a_circle_through_re_exports_is_refused() {
        let found = broken(&[], CIRCLE);
        assert_eq!(found, ["x: files import each other: x/src/a.rs, x/src/b.rs, x/src/c.rs"]);
    }

    #[test]
    fn files_that_import_downwards_only_pass() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b; pub use a::A;"),
            ("x/src/a.rs", "use crate::b::B; pub struct A(B);"),
            ("x/src/b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::A; }"),
        ];
        assert!(broken(&[], &files).is_empty());
    }

    #[test]
    fn a_module_and_the_file_below_it_can_be_a_circle() {
        let files = [
            ("x/src/lib.rs", "mod m;"),
            ("x/src/m/mod.rs", "mod n; pub struct M; fn f() -> n::N { n::N::new() }"),
            ("x/src/m/n.rs", "use super::M; pub struct N(M);"),
        ];
        assert_eq!(broken(&[], &files).len(), 1);
    }

    #[test]
    fn a_known_circle_passes_until_it_is_opened() {
        let known: &[&str] = &["x/src/a.rs", "x/src/b.rs", "x/src/c.rs"];
        assert!(broken(&[known], CIRCLE).is_empty());
        let stale = broken(&[known], &[("x/src/lib.rs", "")]);
        assert_eq!(stale.len(), 1, "{stale:?}");
        assert_eq!(broken(&[&["x/src/a.rs", "x/src/b.rs"]], CIRCLE).len(), 2, "it grew");
    }
}
