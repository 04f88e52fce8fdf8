//! The search for canaries in text.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    io::Write as _,
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aho_corasick::{AhoCorasick, MatchKind};

use super::forms;

/// The most leaks that are kept; the number of others is counted.
const MOST_LEAKS: usize = 32;
/// The most of a text that a leak shows.
const LONGEST_EXCERPT: usize = 1000;

/// A secret that must not be in any output.
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    name: String,
    secret: Vec<u8>,
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Canary").field(&self.name).finish()
    }
}

impl Canary {
    /// A secret, with the name under which its leaks are reported.
    pub fn new(name: &str, secret: impl AsRef<[u8]>) -> Self {
        Self { name: name.to_owned(), secret: secret.as_ref().to_vec() }
    }

    /// The parts of a private key in PKCS #8 and PEM: the lines that no certificate has as well,
    /// and the bytes of the secret number.
    ///
    /// # Panics
    ///
    /// If it is no such key of the curve P-256.
    pub fn of_private_key(name: &str, pem: &str) -> Vec<Self> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};

        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(lines.concat()).unwrap();
        // The version of an `ECPrivateKey`, and the head of an octet string of 32 bytes (RFC 5915).
        let head = [2, 1, 1, 4, 32];
        let at = der.windows(head.len()).position(|window| window == head).unwrap() + head.len();
        let number = &der[at..at + 32];
        // 64 characters are 48 bytes; the public key is after the number.
        let secret_lines = lines.iter().take((at + 32).div_ceil(48)).enumerate();
        let mut canaries: Vec<_> = secret_lines
            .map(|(line, text)| Self::new(&format!("line {line} of {name}"), text))
            .collect();
        canaries.push(Self::new(&format!("the number of {name}"), number));
        canaries.push(Self::new(&format!("the first half of {name}"), &number[..16]));
        canaries.push(Self::new(&format!("the second half of {name}"), &number[16..]));
        canaries
    }

    /// The parts of a signed token (RFC 7519): what begins every token with this header and this
    /// first claim, and the signature.
    ///
    /// # Panics
    ///
    /// If it is no such token.
    pub fn of_token(name: &str, token: &str) -> Vec<Self> {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, body) = signed.split_once('.').unwrap();
        // `{"sub":"` and a little more, which is the same for one user.
        let start = format!("{header}.{}", &body[..body.len().min(12)]);
        vec![
            Self::new(&format!("the start of {name}"), start),
            Self::new(&format!("the signature of {name}"), signature),
        ]
    }
}

/// A canary that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The name of the canary.
    pub canary: String,
    /// The form in which it was found.
    pub form: String,
    /// What was written where.
    pub place: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in {}", self.canary, self.form, self.place)
    }
}

/// What a leak causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is kept, until it is asked for.
    Kept,
    /// The process ends with a failure: the test in which it occurs cannot know of it.
    EndOfProcess,
}

/// Finds canaries in text. It keeps the first leaks, and no text without one.
pub struct Scanner {
    automaton: AhoCorasick,
    reaction: Reaction,
    /// By the number of the pattern: the canary and the form.
    patterns: Vec<(String, String)>,
    longest: usize,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    leaks: Vec<Leak>,
    others: usize,
    /// The bytes that were scanned, by the first part of their source.
    seen: BTreeMap<String, usize>,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner").field("patterns", &self.patterns.len()).finish_non_exhaustive()
    }
}

impl Scanner {
    /// A scanner for canaries.
    ///
    /// # Panics
    ///
    /// If a canary is too short to be told from other text.
    pub fn new(canaries: &[Canary]) -> Self {
        let (mut forms, mut patterns) = (Vec::new(), Vec::new());
        for canary in canaries {
            for (form, name) in forms::of(&canary.secret) {
                forms.push(form);
                patterns.push((canary.name.clone(), name));
            }
        }
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(&forms).unwrap();
        let (reaction, found) = (Reaction::Kept, Mutex::default());
        Self { automaton, reaction, patterns, longest, found }
    }

    /// Sets what a leak causes.
    #[must_use]
    pub fn with_reaction(mut self, reaction: Reaction) -> Self {
        self.reaction = reaction;
        self
    }

    /// Scans a text that is complete. `source` is what has written it, such as the target of a log.
    pub fn scan(&self, source: &str, text: &[u8]) {
        self.count(source, text.len());
        self.search(source, &forms::squeezed(text));
    }

    /// Begins a text that comes in parts.
    pub fn text(&self, source: &str) -> Text<'_> {
        Text { scanner: self, source: source.to_owned(), end: Vec::new() }
    }

    /// Scans what a value shows of itself.
    pub fn debug(&self, what: &str, value: &dyn fmt::Debug) {
        self.scan("debug", format!("{what}: {value:?}").as_bytes());
        self.scan("debug", format!("{what}: {value:#?}").as_bytes());
    }

    /// Scans an error, and its causes.
    pub fn error(&self, what: &str, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.scan("error", format!("{what}: {error} {error:?} {error:#?}").as_bytes());
            next = error.source();
        }
    }

    /// Returns the leaks so far, and forgets them.
    pub fn take_leaks(&self) -> Vec<Leak> {
        let mut found = self.found();
        found.others = 0;
        std::mem::take(&mut found.leaks)
    }

    /// Returns how many bytes were scanned, by the first part of their source.
    pub fn seen(&self) -> BTreeMap<String, usize> {
        self.found().seen.clone()
    }

    /// Requires that there is no leak, and that each of these sources has written something.
    ///
    /// # Panics
    ///
    /// If there is a leak, or nothing of a source.
    #[track_caller]
    pub fn require_none(&self, sources: &[&str]) {
        let found = self.found();
        let leaks: Vec<String> = found.leaks.iter().map(ToString::to_string).collect();
        let (seen, others) = (found.seen.clone(), found.others);
        drop(found);
        assert!(leaks.is_empty(), "leaks, and {others} more:\n{}", leaks.join("\n"));
        let silent: BTreeSet<_> =
            sources.iter().filter(|source| !seen.contains_key(**source)).collect();
        assert!(silent.is_empty(), "nothing was scanned of {silent:?}, only of {seen:?}");
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, source: &str, len: usize) {
        let first = source.split("::").next().unwrap_or_default();
        let mut found = self.found();
        match found.seen.get_mut(first) {
            Some(count) => *count += len,
            None => _ = found.seen.insert(first.to_owned(), len),
        }
    }

    fn search(&self, source: &str, squeezed: &[u8]) {
        for found in self.automaton.find_overlapping_iter(squeezed) {
            let (canary, form) = &self.patterns[found.pattern().as_usize()];
            let from = found.start().saturating_sub(LONGEST_EXCERPT / 2);
            let excerpt = &squeezed[from..squeezed.len().min(from + LONGEST_EXCERPT)];
            let place = format!("{source}: {}", String::from_utf8_lossy(excerpt));
            self.keep(Leak { canary: canary.clone(), form: form.clone(), place });
        }
    }

    fn keep(&self, leak: Leak) {
        if self.reaction == Reaction::EndOfProcess {
            // Not by a macro, whose output belongs to a test.
            std::io::stderr().write_all(format!("a secret leaks: {leak}\n").as_bytes()).ok();
            process::exit(101);
        }
        let mut found = self.found();
        if found.leaks.len() == MOST_LEAKS {
            found.others += 1;
        } else {
            found.leaks.push(leak);
        }
    }
}

/// A text that comes in parts, such as the output of a process. Its memory is bounded.
#[derive(Debug)]
pub struct Text<'a> {
    scanner: &'a Scanner,
    source: String,
    /// What a canary may begin in.
    end: Vec<u8>,
}

impl Text<'_> {
    /// Scans the next part.
    pub fn push(&mut self, part: &[u8]) {
        self.scanner.count(&self.source, part.len());
        self.end.extend(forms::squeezed(part));
        self.scanner.search(&self.source, &self.end);
        // One byte less than the longest form, so that each fits with the byte that is missing.
        let from = self.end.len().saturating_sub(self.scanner.longest.saturating_sub(1));
        self.end.drain(..from);
    }
}

#[cfg(test)]
mod tests;
