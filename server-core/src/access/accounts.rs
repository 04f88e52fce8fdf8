//! The accounts of a server, and the file that the Java server keeps them in.
//!
//! ```text
//! # a comment
//! ann:DIGEST:prn::/scope:shop,READ;prn::/scope:shop/*,READ_UPDATE;
//! bob:*:prn::/,READ
//! ```
//!
//! An account with `*` in place of a digest, which is none of Java's, has no password: it is for
//! clients that say otherwise who they are.

use std::{collections::HashMap, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

use super::{
    keyed::{DIGEST, Key, is_same},
    password::Hashed,
    rules::Rules,
};

/// A user of the server.
#[derive(Clone)]
pub struct Account {
    user: String,
    password: Password,
    rules: Arc<Rules>,
}

/// What a file has in place of the digest of an account without a password.
const NO_PASSWORD: &str = "*";

/// The fewest digits in a row that are taken for a digest. One of a file has hundreds.
const SHORTEST_DIGEST: usize = 32;

/// What is known of a password.
#[derive(Clone)]
enum Password {
    /// There is none: no client is let in by one.
    Missing,
    /// Its digest, which is only in memory: the password was there, too.
    Kept([u8; DIGEST]),
    /// Its digest from a file, which makes guessing it slow.
    Hashed(Hashed),
}

/// The accounts of a server.
#[derive(Clone, Default)]
pub struct Accounts(HashMap<String, Account>);

/// A part of the file that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it. It has no part of a password's digest.
    pub why: String,
}

/// What a client says who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

/// A digest of credentials. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; DIGEST]);

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Accounts").field(&self.0.len()).finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Reads the header of a call, `Basic` with the Base64 form of user and password; `None` if it
    /// is another one.
    pub fn from_header(header: &str) -> Option<Self> {
        let decoded = Zeroizing::new(BASE64.decode(Self::encoded(header)?).ok()?);
        let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
    }

    /// Returns true if a header has the scheme of credentials, whether or not they can be read.
    pub fn are_in_header(header: &str) -> bool {
        Self::encoded(header).is_some()
    }

    fn encoded(header: &str) -> Option<&str> {
        let (scheme, encoded) = header.split_once(' ')?;
        // RFC 9110, 11.1: the scheme has no case.
        scheme.eq_ignore_ascii_case("basic").then(|| encoded.trim())
    }

    /// The name of the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A digest of user and password that is of use only to those who know a secret.
    pub fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        let (user, password) = (self.user.as_bytes(), self.password.as_bytes());
        // A user has no colon.
        Fingerprint(Key::new(secret).sign(&[user, b":", password]))
    }
}

impl Account {
    /// An account with a user name and a password that may do everything.
    pub fn new(user: &str, password: &str) -> Self {
        let password = Password::Kept(Sha256::digest(password).into());
        Self { user: user.to_owned(), password, rules: Arc::new(Rules::all()) }
    }

    /// An account without a password, for clients that say otherwise who they are. It may do
    /// nothing yet.
    pub fn without_password(user: &str) -> Self {
        Self { user: user.to_owned(), password: Password::Missing, rules: Arc::default() }
    }

    /// The same account, with what it may do.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules: Arc::new(rules), ..self }
    }

    /// The line of a file for a user; the salt must be one that no other has.
    pub fn line(user: &str, password: &str, salt: &[u8], rules: &str) -> String {
        format!("{user}:{}:{rules}\n", Hashed::make(password, salt).text())
    }

    fn is_quick(&self) -> bool {
        !matches!(self.password, Password::Hashed(_))
    }

    fn has_password(&self) -> bool {
        !matches!(self.password, Password::Missing)
    }

    /// What the user may do.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    fn has(&self, password: &str) -> bool {
        match &self.password {
            Password::Missing => false,
            Password::Kept(digest) => is_same(&Sha256::digest(password), digest),
            Password::Hashed(hashed) => hashed.is_of(password),
        }
    }

    /// Reads a line of a file; fails with what is wrong with it.
    fn parse(line: &str) -> Result<(Self, Vec<String>), &'static str> {
        let mut fields = line.splitn(3, ':');
        let user = fields.next().filter(|user| !user.is_empty()).ok_or("it has no user")?;
        let digest = fields.next().ok_or("it has no password")?;
        let password = match digest.trim() {
            NO_PASSWORD => Password::Missing,
            digest => {
                let hashed = Hashed::parse(digest).ok_or("its password is no digest of Java's")?;
                Password::Hashed(hashed)
            }
        };
        let (rules, skipped) = Rules::parse(fields.next().unwrap_or_default());
        Ok((Self { user: user.to_owned(), password, rules: Arc::new(rules) }, skipped))
    }
}

impl Accounts {
    /// Reads a file. What cannot be read is skipped, as by the Java server: it admits no client,
    /// and allows nothing.
    pub fn parse(text: &str) -> (Self, Vec<Skipped>) {
        let (mut accounts, mut skipped) = (Self::default(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            let mut skip = |why| skipped.push(Skipped { line: number + 1, why });
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Account::parse(line) {
                Ok((account, bad)) => {
                    for rule in bad {
                        let rule = without_digests(&rule);
                        skip(format!("the rule `{rule}` is not one of a resource and a right"));
                    }
                    accounts.add(account);
                }
                Err(why) => skip(why.to_owned()),
            }
        }
        (accounts, skipped)
    }

    /// Adds an account, in place of one of the same user.
    pub fn add(&mut self, account: Account) {
        self.0.insert(account.user.clone(), account);
    }

    /// The number of accounts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no account.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the password of a user can be checked in no time.
    pub fn is_quick(&self, user: &str) -> bool {
        match self.find(user) {
            Some(account) => account.is_quick(),
            None => self.0.values().all(Account::is_quick),
        }
    }

    /// The account of a user, if it has a password. One without is found as little as a user that
    /// does not exist.
    fn find(&self, user: &str) -> Option<&Account> {
        self.0.get(user).filter(|account| account.has_password())
    }

    /// What a user may do who has said otherwise who it is; `None` if it has no account.
    pub fn rules_of(&self, user: &str) -> Option<&Arc<Rules>> {
        self.0.get(user).map(Account::rules)
    }

    /// The account of which a client has the password. It may take milliseconds, and as long for a
    /// user that does not exist.
    pub fn check(&self, credentials: &Credentials) -> Option<&Account> {
        let Some(account) = self.find(&credentials.user) else {
            if !self.is_quick(&credentials.user) {
                Hashed::of_no_password().is_of(&credentials.password);
            }
            return None;
        };
        Some(account).filter(|account| account.has(&credentials.password))
    }
}

/// A rule as it may be shown: where the end of a line is missing, the digest of the next account is
/// in it.
fn without_digests(rule: &str) -> String {
    let is_other = |c: char| !c.is_ascii_hexdigit();
    let shown = |part: &str| {
        let (digits, end) = part.split_at(part.find(is_other).unwrap_or(part.len()));
        if digits.len() < SHORTEST_DIGEST { part.to_owned() } else { format!("[REDACTED]{end}") }
    };
    rule.split_inclusive(is_other).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Operation, Resource};

    fn credentials(header: &str) -> Option<(String, String)> {
        let Credentials { user, password } = Credentials::from_header(header)?;
        Some((user, password.to_string()))
    }

    fn basic(user: &str, password: &str) -> Credentials {
        let header = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
        Credentials::from_header(&header).unwrap()
    }

    #[test]
    fn the_header_names_a_user_and_a_password() {
        let ann = Some(("ann".to_owned(), "pass:word".to_owned()));
        assert_eq!(credentials("Basic YW5uOnBhc3M6d29yZA=="), ann);
        assert_eq!(credentials("basic YW5uOnBhc3M6d29yZA=="), ann);
        for bad in ["", "Basic", "Basic ", "Basic YW5u", "Basic !", "Bearer YW5uOnBhc3M6d29yZA=="] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_that_the_line_before_has_taken_for_its_rules_is_not_shown() {
        let line = |user, rules| Account::line(user, "pass", b"salt", rules);
        let bob = line("bob", "prn::/scope:cafe,READ");
        let file = format!("{}{bob}", line("ann", "prn::/scope:a;prn::/,READ").trim_end());
        let (_, skipped) = Accounts::parse(&file);
        let whys: Vec<_> = skipped.iter().map(|Skipped { why, .. }| why.as_str()).collect();
        assert_eq!(
            whys,
            [
                "the rule `prn::/scope:a` is not one of a resource and a right",
                "the rule `prn::/,READbob:[REDACTED]:prn::/scope:cafe,READ` is not one of a \
                 resource and a right",
            ]
        );
    }

    #[test]
    fn only_accounts_are_admitted_with_their_rules() {
        let file = format!(
            "# accounts\n\n{}{}broken\n:x:\nbob:secret:prn::/,READ\n",
            Account::line("ann", "pass:word", b"salt", "prn::/scope:a,READ;prn::/scope:b"),
            Account::line("eve", "evil", b"pepper", ""),
        );
        let (mut accounts, skipped) = Accounts::parse(&file);
        let whys: Vec<_> =
            skipped.iter().map(|Skipped { line, why }| format!("{line}: {why}")).collect();
        assert_eq!(
            whys,
            [
                "3: the rule `prn::/scope:b` is not one of a resource and a right",
                "5: it has no password",
                "6: it has no user",
                "7: its password is no digest of Java's",
            ]
        );
        accounts.add(Account::new("root", "pw"));
        let allow = |user, password| {
            let account = accounts.check(&basic(user, password))?;
            account.rules().allow(&Resource::Scope("a"))
        };
        assert_eq!(allow("ann", "pass:word"), Some(Operation::Read));
        assert_eq!(allow("root", "pw"), Some(Operation::Write));
        assert_eq!(allow("eve", "evil"), None);
        for (user, password) in
            [("ann", "pass"), ("ann", ""), ("eve", "pass:word"), ("root", "pass:word"), ("", "")]
        {
            assert!(accounts.check(&basic(user, password)).is_none(), "{user} {password}");
        }
    }

    #[test]
    fn an_account_without_a_password_has_rules_and_admits_no_client() {
        let file =
            format!("bob:*:prn::/,READ\n{}", Account::line("ann", "pw", b"salt", "prn::/,READ"));
        let (mut accounts, skipped) = Accounts::parse(&file);
        assert_eq!(skipped, []);
        accounts.add(Account::without_password("eve"));
        for user in ["bob", "eve"] {
            for password in ["", "*", "pw"] {
                assert!(accounts.check(&basic(user, password)).is_none(), "{user} {password}");
            }
            assert!(!accounts.is_quick(user), "its password takes as long as one of no user");
        }
        let allow = |user| Some(accounts.rules_of(user)?.allow(&Resource::Scopes));
        assert_eq!(allow("bob"), Some(Some(Operation::Read)));
        assert_eq!(allow("ann"), Some(Some(Operation::Read)));
        assert_eq!(allow("eve"), Some(None));
        assert_eq!(allow("zoe"), None);
    }

    #[test]
    fn debug_output_shows_no_account() {
        let (accounts, _) = Accounts::parse(&Account::line("ann", "pw", b"salt", ""));
        assert_eq!(format!("{accounts:?}"), "Accounts(1)");
        assert_eq!(format!("{:?}", Account::new("ann", "pw")), "Account");
        assert_eq!(format!("{:?}", basic("ann", "pw")), "Credentials");
    }

    #[test]
    fn the_fingerprint_of_credentials_depends_on_all_of_them_and_the_secret() {
        let found = basic("ann", "pw").fingerprint(b"secret");
        assert_eq!(found, basic("ann", "pw").fingerprint(b"secret"));
        assert_ne!(found, basic("ann", "pw2").fingerprint(b"secret"));
        assert_ne!(found, basic("ann2", "pw").fingerprint(b"secret"));
        assert_ne!(found, basic("ann", "pw").fingerprint(b"another"));
    }
}
