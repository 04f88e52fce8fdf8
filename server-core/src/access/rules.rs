//! What a user may do to which resources, as the accounts of the Java server say it.
//!
//! ```text
//! prn::/scope:shop/stream:orders,READ;prn::/scope:shop/*,READ_UPDATE
//! ```
//!
//! The first rule whose pattern is the whole name of a resource counts. A `*` is for any text. Java
//! takes a pattern for a regular expression; here every other character means itself, but for `.*`,
//! which needs at least one character, as there.

use super::{operation::Operation, resource::Resource};

/// The characters of a pattern that mean something else in Java.
const SPECIAL: &[char] = &['+', '?', '[', ']', '(', ')', '{', '}', '|', '^', '$', '\\'];

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// The resources that it is for; `None` if it cannot be read, so it may be any.
    pattern: Option<Pattern>,
    /// What is allowed; `None` for nothing.
    allows: Option<Operation>,
}

/// The text between the wildcards of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// One byte, whatever it is.
    One,
    /// Any bytes.
    Any,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.contains(SPECIAL) {
            return None;
        }
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            match (first, after) {
                (b'.', [b'*', ..]) => pieces.push(Piece::One),
                (b'*', _) => pieces.push(Piece::Any),
                (byte, _) => pieces.push(Piece::Byte(*byte)),
            }
        }
        Some(Self(pieces))
    }

    /// Returns true if it is the whole of every name of a resource.
    fn is_of_all(&self) -> bool {
        let any: Vec<_> = b"prn::".iter().map(|byte| Piece::Byte(*byte)).collect();
        self.0 == [Piece::Any]
            || self.0.strip_prefix(&*any).is_some_and(|rest| rest == [Piece::Any])
    }

    /// Returns true if it is the whole of a name.
    fn is_of(&self, name: &[u8]) -> bool {
        let pieces = &self.0;
        let (mut piece, mut byte) = (0, 0);
        // After the last wildcard, and where the text begins that is not its own.
        let mut wildcard: Option<(usize, usize)> = None;
        while byte < name.len() {
            match (pieces.get(piece), name.get(byte)) {
                (Some(Piece::Any), _) => {
                    piece += 1;
                    wildcard = Some((piece, byte));
                }
                (Some(Piece::Byte(wanted)), Some(found)) if wanted == found => {
                    (piece, byte) = (piece + 1, byte + 1);
                }
                (Some(Piece::One), _) => (piece, byte) = (piece + 1, byte + 1),
                _ => {
                    // The wildcard is for one byte more.
                    let Some((after, begins)) = &mut wildcard else { return false };
                    *begins += 1;
                    (piece, byte) = (*after, *begins);
                }
            }
        }
        pieces.iter().skip(piece).all(|piece| *piece == Piece::Any)
    }
}

impl Rules {
    /// Everything.
    pub fn all() -> Self {
        let pattern = Some(Pattern(vec![Piece::Any]));
        Self(vec![Rule { pattern, allows: Some(Operation::Write) }])
    }

    /// Reads rules, and returns those that cannot be read beside them: they allow nothing. One
    /// whose pattern alone cannot be read may be meant for what a later rule allows, which then
    /// allows no more than it.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let (mut rules, mut skipped) = (Vec::new(), Vec::new());
        for rule in text.trim().split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
            match Rule::parse(rule) {
                Some(parsed) => {
                    if parsed.pattern.is_none() {
                        skipped.push(rule.to_owned());
                    }
                    rules.push(parsed);
                }
                None => skipped.push(rule.to_owned()),
            }
        }
        (Self(rules), skipped)
    }

    /// Rules of patterns with what they grant, of which none takes away what another grants; and
    /// the patterns that cannot be read, which grant nothing.
    #[cfg(feature = "jwt")]
    pub(super) fn of_grants<'a>(
        grants: impl IntoIterator<Item = (&'a str, Operation)>,
    ) -> (Self, Vec<&'a str>) {
        let (mut rules, mut skipped) = (Vec::new(), Vec::new());
        for (text, operation) in grants {
            match Pattern::parse(text) {
                Some(pattern) => {
                    rules.push(Rule { pattern: Some(pattern), allows: Some(operation) });
                }
                None => skipped.push(text),
            }
        }
        // The first rule with a name counts, so those that grant most are first.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.allows));
        (Self(rules), skipped)
    }

    /// These rules, and others for the names that no rule of these has.
    #[cfg(feature = "jwt")]
    pub(super) fn then(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).cloned().collect())
    }

    /// Returns true if there is no rule.
    #[cfg(feature = "jwt")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be done to a resource; `None` for nothing.
    pub fn allow(&self, resource: &Resource<'_>) -> Option<Operation> {
        if !resource.is_valid() {
            // The call says what is wrong with it to those who may do everything.
            let is_of_all = |rule: &&Rule| rule.pattern.as_ref().is_some_and(Pattern::is_of_all);
            return self.0.first().filter(is_of_all)?.allows;
        }
        let name = resource.to_string();
        let mut most = Some(Operation::Write);
        for Rule { pattern, allows } in &self.0 {
            match pattern {
                Some(pattern) if pattern.is_of(name.as_bytes()) => return most.min(*allows),
                Some(_) => {}
                None => most = most.min(*allows),
            }
        }
        None
    }

    /// Returns true if an operation on a resource is allowed.
    pub fn may(&self, operation: Operation, resource: &Resource<'_>) -> bool {
        self.allow(resource) >= Some(operation)
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (pattern, allows) = text.split_once(',')?;
        let allows = match allows.trim() {
            "NONE" => None,
            other => Some(Operation::of(other)?),
        };
        Some(Self { pattern: Pattern::parse(pattern.trim()), allows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let (rules, skipped) = Rules::parse(text);
        assert_eq!(skipped, Vec::<String>::new());
        rules
    }

    #[test]
    fn a_star_is_for_any_text_and_all_else_means_itself() {
        let is_of =
            |pattern: &str, name: &str| Pattern::parse(pattern).unwrap().is_of(name.as_bytes());
        for (pattern, name, expected) in [
            ("prn::*", "prn::/scope:a", true),
            ("prn::/", "prn::/", true),
            ("prn::/", "prn::/scope:a", false),
            ("prn::/*", "prn::/", true),
            ("prn::/.*", "prn::/", false),
            ("prn::/.*", "prn::/s", true),
            ("prn::/scope:a*", "prn::/scope:ab/stream:c", true),
            ("prn::/scope:*/stream:b", "prn::/scope:a/stream:b", true),
            ("prn::/scope:*/stream:b", "prn::/scope:a/stream:bb", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "abcbcc", true),
            ("a*b*c", "abcb", false),
            ("a.c", "abc", false),
            ("a.c", "a.c", true),
            ("*", "", true),
            ("**a", "a", true),
        ] {
            assert_eq!(is_of(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_rule_with_the_name_counts() {
        let rules = rules(
            "prn::/scope:a/stream:secret,NONE; prn::/scope:a/stream:b,READ;\
             prn::/scope:a/*,READ_UPDATE;",
        );
        let allow = |stream| rules.allow(&Resource::Stream("a", stream));
        assert_eq!(allow("secret"), None);
        assert_eq!(allow("b"), Some(Operation::Read));
        assert_eq!(allow("c"), Some(Operation::Write));
        assert_eq!(rules.allow(&Resource::Scope("a")), None);
        assert_eq!(rules.allow(&Resource::Stream("aa", "c")), None);
        assert_eq!(rules.allow(&Resource::Stream("a", "x/stream:y")), None);
        for all in [Rules::all(), self::rules("prn::*,READ_UPDATE")] {
            assert_eq!(all.allow(&Resource::Scopes), Some(Operation::Write));
            assert_eq!(all.allow(&Resource::Scope("no name")), Some(Operation::Write));
        }
        assert_eq!(Rules::default().allow(&Resource::Scopes), None);
    }

    #[test]
    fn a_rule_that_cannot_be_read_allows_nothing() {
        let (rules, skipped) = Rules::parse("prn::/scope:a;prn::/[ab],READ;x,WRITE;prn::/,READ");
        assert_eq!(skipped, ["prn::/scope:a", "prn::/[ab],READ", "x,WRITE"]);
        assert_eq!(rules.allow(&Resource::Scope("a")), None);
        assert_eq!(rules.allow(&Resource::Scopes), Some(Operation::Read));
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn of_grants_the_greatest_counts_and_rules_before_them_count_first() {
        let (read, write) = (Operation::Read, Operation::Write);
        let grants = [
            ("prn::/scope:a/*", read),
            ("prn::/scope:a/stream:b", write),
            ("prn::/[ab]", write),
            ("prn::/scope:a/stream:secret", write),
        ];
        let (grants, skipped) = Rules::of_grants(grants);
        assert_eq!(skipped, ["prn::/[ab]"]);
        let allow = |rules: &Rules, stream| rules.allow(&Resource::Stream("a", stream));
        assert_eq!(allow(&grants, "b"), Some(write));
        assert_eq!(allow(&grants, "c"), Some(read));
        let both = rules("prn::/scope:a/stream:secret,NONE;prn::/scope:b,READ").then(&grants);
        assert_eq!(allow(&both, "secret"), None);
        assert_eq!(allow(&both, "b"), Some(write));
        assert_eq!(both.allow(&Resource::Scope("b")), Some(read));
        assert!(Rules::default().is_empty() && !both.is_empty());
    }

    #[test]
    fn a_rule_whose_pattern_cannot_be_read_takes_from_later_rules_what_it_may_be_meant_to() {
        // In Java the pattern is of two streams, and denies them.
        let (rules, skipped) = Rules::parse(
            "prn::/,READ_UPDATE;prn::/scope:a/stream:(b|c),READ;prn::/scope:a/stream:d,READ_UPDATE;\
             prn::/scope:a/stream:[ef],NONE;prn::/scope:a/*,READ_UPDATE",
        );
        assert_eq!(skipped.len(), 2, "{skipped:?}");
        let allow = |stream| rules.allow(&Resource::Stream("a", stream));
        assert_eq!(rules.allow(&Resource::Scopes), Some(Operation::Write), "before it");
        assert_eq!(allow("d"), Some(Operation::Read));
        assert_eq!(allow("e"), None);
        assert_eq!(allow("g"), None);
    }

    #[test]
    fn a_long_pattern_of_wildcards_takes_no_exponential_time() {
        let pattern = Pattern::parse(&"*a".repeat(100)).unwrap();
        assert!(!pattern.is_of(&[b'a'; 99]));
        assert!(!pattern.is_of(&[[b'a'; 500].as_slice(), b"b"].concat()));
    }
}
