//! Plain English in comments, docs and texts: words to avoid, each with what to write instead.
//!
//! The rule applies to the whole workspace, except to generated code.

use super::{source::SourceFile, text::texts};

/// Words to avoid, and what to write instead. In lower case; a word matches as a whole.
const BANNED: &[(&str, &str)] = &[
    ("anew", "again"),
    ("are to be", "should be, must be"),
    ("are told", "receive, are notified"),
    ("at the least", "at least"),
    ("at the most", "at most"),
    ("came about", "was created"),
    ("comes about", "is created"),
    ("come about", "be created"),
    ("for ever", "forever"),
    ("for so long", "until then"),
    ("had better", "should"),
    ("is to be", "should be, must be"),
    ("is told", "receives, is notified"),
    ("lest", "or, so that … not"),
    ("mend", "repair"),
    ("mends", "repairs"),
    ("nobody", "name the actor, or use the passive"),
    ("of no use any more", "no longer used"),
    ("says whether", "returns true if"),
    ("so long as", "while"),
    ("somebody", "name the actor: the caller, a task, a reader"),
    ("stands for", "means"),
    ("tells whether", "returns true if"),
    ("there stands", "there is"),
    ("what became of", "the result of"),
    ("what came of", "the result of"),
    ("what is there", "the data, the entries, the present state"),
    ("what stands", "the data, the record, the content"),
    ("whoever", "name the actor: the caller, the holder"),
    ("whomever", "name the actor: the caller, the holder"),
];

/// This file names the words.
const EXCEPT: &str = "xtask/src/tidy/words.rs";

/// Reports every word to avoid.
pub(super) fn check(files: &[SourceFile], broken: &mut Vec<String>) {
    for file in files.iter().filter(|file| !file.is_generated() && file.path != EXCEPT) {
        check_text(&file.path, &file.text, broken);
    }
}

fn check_text(path: &str, source: &str, broken: &mut Vec<String>) {
    for text in texts(source) {
        let words = words_of(&text.text);
        for (banned, better) in BANNED {
            if words.contains(&format!(" {banned} ")) {
                let line = text.line;
                broken.push(format!("{path}:{line}: write {better} instead of \"{banned}\""));
            }
        }
    }
}

/// Returns the words in lower case, each with one space on either side.
fn words_of(text: &str) -> String {
    let mut words = String::from(" ");
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.push_str(&word.to_lowercase());
        words.push(' ');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(source: &str) -> Vec<String> {
        let mut broken = Vec::new();
        check_text("x.rs", source, &mut broken);
        broken
    }

    #[test]
    fn every_banned_word_is_refused_in_comments_docs_and_literals() {
        for (banned, better) in BANNED {
            for source in [
                format!("// It is {banned}."),
                format!("/// {} it.\nfn f() {{}}", banned.to_uppercase()),
                format!("fn f() {{ g(\"so {banned}, then\") }}"),
            ] {
                let found = broken(&source);
                assert!(
                    found.iter().any(|line| line.contains(banned) && line.contains(better)),
                    "{source}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn code_and_words_that_contain_a_banned_one_pass() {
        assert!(
            broken("let whoever = anew(); // The amendment of the manifest is latest.").is_empty()
        );
    }

    #[test]
    fn generated_files_are_not_checked() {
        let text = "//! It is anew.";
        let file = |path: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
            syntax: syn::parse_file(text).unwrap(),
        };
        let mut broken = Vec::new();
        check(&[file("proto/src/generated.rs"), file("proto/src/lib.rs")], &mut broken);
        assert_eq!(broken, ["proto/src/lib.rs:1: write again instead of \"anew\""]);
    }
}
