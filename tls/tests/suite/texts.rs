//! The texts of failures, which are different from each other in all tables of this binary.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

/// The texts of all tables so far, and what each is about.
static ALL: Mutex<BTreeMap<String, &str>> = Mutex::new(BTreeMap::new());

/// The failures of a table, which must be different from each other and from those of other tables,
/// unless these are about the same.
#[derive(Default)]
pub(crate) struct Table(Vec<String>);

impl Table {
    /// Adds a case with its text, of which `about` is the part that says what is wrong.
    #[track_caller]
    pub(crate) fn expect(&mut self, error: impl fmt::Display, about: &'static str) {
        let text = error.to_string();
        assert!(!self.0.contains(&text), "two cases have the text {text:?}");
        about_the_same(&text, about);
        self.0.push(text);
    }
}

/// A text that another case may have, too, if that is about the same.
#[track_caller]
pub(crate) fn about_the_same(error: impl fmt::Display, about: &'static str) {
    let text = error.to_string();
    assert!(text.contains(about), "expected {about:?} in {text:?}");
    // A case that has failed says more than those after it.
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let known = *all.entry(text.clone()).or_insert(about);
    drop(all);
    assert_eq!(known, about, "two cases have the text {text:?}");
}

#[test]
#[should_panic(expected = "two cases have the text")]
fn two_tables_with_one_text_about_two_things_are_found() {
    Table::default().expect("a sample: one and other", "one");
    Table::default().expect("a sample: one and other", "other");
}

#[test]
#[should_panic(expected = "two cases have the text")]
fn a_table_with_one_text_twice_is_found() {
    let mut table = Table::default();
    table.expect("another sample", "sample");
    table.expect("another sample", "sample");
}
