//! Who a client is: the accounts, the file that has them, and the work of checking passwords.
//!
//! A password in a file is hashed so that guessing it is slow, and checking it takes milliseconds.
//! That is done for one client at a time, outside the threads of the runtime and with a turn, and
//! once for each account: what was right is known by a digest that needs a secret of this process.
//! A token that another party has signed is checked with each call, in less than a millisecond.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use pravega_sdk_server_core::{
    access::{Account, Accounts, Admission, Credentials, Fingerprint, Need, Rules, Skipped},
    record::Millis,
};
use tokio::{sync::Semaphore, time::timeout};

#[cfg(feature = "jwt")]
use crate::jwt::{Denied, Keys, Tokens};
use crate::{
    configured::{Followed, Unusable},
    limits::ANSWER_WAITS,
    locks::lock,
    turns,
};

/// How often a file is looked at again that has no end of its last line: it may be half written.
const LOOKS: u32 = 5;
/// How long after another.
const LOOK: Duration = Duration::from_millis(200);

/// What a client may do, and until when; `None` for everything, on a server without accounts.
pub(crate) type Caller = Option<Admission>;

/// A client that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has no account, or not the password of one.
    Unknown,
    /// It may not do what it asks for, which is named.
    Forbidden(String),
    /// Too many passwords are being checked, or too many tokens wait for their keys.
    Busy,
    /// The keys of tokens cannot be fetched.
    #[cfg(feature = "jwt")]
    NoKeys,
}

#[cfg(feature = "jwt")]
impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Wrong => Self::Unknown,
            Denied::NoKeys => Self::NoKeys,
            Denied::Busy => Self::Busy,
        }
    }
}

/// What clients learn of a refusal that may end by itself.
pub(crate) const BUSY: &str = "too many credentials are being checked";
#[cfg(feature = "jwt")]
pub(crate) const NO_KEYS: &str = "the keys that sign tokens cannot be fetched";

/// The accounts of a server.
pub(crate) struct Identity {
    /// Those that are in no file.
    given: Vec<Account>,
    file: Option<Followed<1>>,
    current: Mutex<Current>,
    /// One password at a time is checked.
    checking: Arc<Semaphore>,
    /// The secret of fingerprints.
    secret: [u8; 32],
    /// The check of tokens that another party has signed.
    #[cfg(feature = "jwt")]
    tokens: Option<Tokens>,
}

/// The accounts in use.
struct Current {
    accounts: Arc<Accounts>,
    /// The credentials that were found to be right, by user.
    known: HashMap<String, (Fingerprint, Arc<Rules>)>,
}

impl fmt::Debug for Identity {
    /// Shows where the accounts come from; neither users nor secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(Followed::paths);
        f.debug_struct("Identity").field("file", &file).finish_non_exhaustive()
    }
}

impl Identity {
    /// The accounts that are given and those of a file. It blocks.
    pub(crate) fn open(
        given: Vec<Account>,
        file: Option<PathBuf>,
        secret: [u8; 32],
    ) -> Result<Self, Unusable> {
        let (accounts, file) = match file {
            Some(path) => {
                let (followed, [text]) = Followed::open([path])?;
                (all(&given, followed.paths(), &text)?, Some(followed))
            }
            None => (with_given(Accounts::default(), &given), None),
        };
        let current = Current { accounts: Arc::new(accounts), known: HashMap::new() };
        Ok(Self {
            given,
            file,
            current: Mutex::new(current),
            checking: Arc::new(Semaphore::new(1)),
            secret,
            #[cfg(feature = "jwt")]
            tokens: None,
        })
    }

    /// The same accounts, and those of clients with a token that another party has signed.
    #[cfg(feature = "jwt")]
    pub(crate) fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The keys that sign tokens.
    #[cfg(feature = "jwt")]
    pub(crate) fn keys(&self) -> Option<&Arc<Keys>> {
        self.tokens.as_ref().map(Tokens::keys)
    }

    /// Returns true if the accounts may change, or the keys that are in a file.
    pub(crate) fn is_followed(&self) -> bool {
        #[cfg(feature = "jwt")]
        if self.keys().is_some_and(|keys| keys.is_file()) {
            return true;
        }
        self.file.is_some()
    }

    /// Reads the files again that have changed. If one cannot be used, the accounts or the keys
    /// stay as they are. It blocks.
    pub(crate) fn refresh(&self) {
        #[cfg(feature = "jwt")]
        if let Some(keys) = self.keys() {
            keys.refresh();
        }
        let Some(file) = &self.file else { return };
        let [path] = file.paths();
        let Some(mut news) = file.news().transpose() else { return };
        for _ in 0..LOOKS {
            let may_be_half = news.as_ref().is_ok_and(|[text]| !text.ends_with(b"\n"));
            if !may_be_half {
                break;
            }
            // Its accounts would be locked out, and their clients give up.
            rest(LOOK);
            news = file.news().transpose().unwrap_or(news);
        }
        match news.and_then(|[text]| all(&self.given, file.paths(), &text)) {
            Ok(accounts) => {
                tracing::info!(file = %path.display(), accounts = accounts.len(), "new accounts");
                let accounts = Arc::new(accounts);
                *lock(&self.current) = Current { accounts, known: HashMap::new() };
            }
            Err(unusable) => tracing::warn!(%unusable, "the accounts before are used on"),
        }
    }

    /// Returns true if a header has a scheme by which clients say who they are.
    pub(crate) fn knows_scheme_of(&self, header: &str) -> bool {
        #[cfg(feature = "jwt")]
        if self.tokens.is_some() && Tokens::in_header(header).is_some() {
            return true;
        }
        Credentials::are_in_header(header)
    }

    /// What a client may do whose header names an account or has a token, or fails. The work of
    /// checking a password is on the account `checks`.
    pub(crate) async fn identify(
        &self,
        header: &str,
        now: impl Fn() -> Millis,
        checks: &Arc<turns::Account>,
    ) -> Result<Admission, Refused> {
        #[cfg(feature = "jwt")]
        if let Some(tokens) = &self.tokens
            && let Some(token) = Tokens::in_header(header)
        {
            let checked = tokens.check(token, now).await?;
            let accounts = Arc::clone(&lock(&self.current).accounts);
            return Ok(tokens.admit(&checked, &accounts));
        }
        #[cfg(not(feature = "jwt"))]
        let _ = now;
        self.by_password(header, checks).await.map(Admission::new)
    }

    async fn by_password(
        &self,
        header: &str,
        checks: &Arc<turns::Account>,
    ) -> Result<Arc<Rules>, Refused> {
        let credentials = Credentials::from_header(header).ok_or(Refused::Unknown)?;
        let print = credentials.fingerprint(&self.secret);
        if let Some(found) = self.at_once(&credentials, print) {
            return found;
        }
        let permit = timeout(ANSWER_WAITS, Arc::clone(&self.checking).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Refused::Busy) };
        // Another call of the client may have been checked meanwhile.
        if let Some(found) = self.at_once(&credentials, print) {
            return found;
        }
        let accounts = Arc::clone(&lock(&self.current).accounts);
        let (checked, user) = (Arc::clone(&accounts), credentials.user().to_owned());
        let check = async move {
            // The next one waits for the work, also if no call waits for its result.
            let _permit = permit;
            checked.check(&credentials).map(|account| Arc::clone(account.rules()))
        };
        // A task, as the call is work on another account.
        let checks = Arc::clone(checks);
        let checking = tokio::spawn(async move { checks.apart(check).await });
        let found = checking.await.map_err(|_| Refused::Busy)?;
        let rules = found.ok_or(Refused::Unknown)?;
        let mut current = lock(&self.current);
        if Arc::ptr_eq(&current.accounts, &accounts) {
            current.known.insert(user, (print, Arc::clone(&rules)));
        }
        Ok(rules)
    }

    /// What is known of a client without much work.
    fn at_once(
        &self,
        credentials: &Credentials,
        print: Fingerprint,
    ) -> Option<Result<Arc<Rules>, Refused>> {
        let current = lock(&self.current);
        if let Some((known, rules)) = current.known.get(credentials.user())
            && *known == print
        {
            return Some(Ok(Arc::clone(rules)));
        }
        current.accounts.is_quick(credentials.user()).then(|| {
            let found = current.accounts.check(credentials);
            found.map(|account| Arc::clone(account.rules())).ok_or(Refused::Unknown)
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread is none of the runtime's workers")]
fn rest(time: Duration) {
    thread::sleep(time);
}

/// Returns an error if a client may not do what its call needs.
pub(crate) fn authorize(caller: &Caller, need: &Need<'_>) -> Result<(), Refused> {
    match caller {
        Some(client) if !need.is_allowed_by(client.rules()) => {
            Err(Refused::Forbidden(need.to_string()))
        }
        _ => Ok(()),
    }
}

/// The accounts of a file, and those that are given.
fn all(given: &[Account], [path]: &[PathBuf; 1], text: &[u8]) -> Result<Accounts, Unusable> {
    let text = str::from_utf8(text).map_err(|_| Unusable::new(path, "it is no text in UTF-8"))?;
    let (accounts, skipped) = Accounts::parse(text);
    for Skipped { line, why } in skipped {
        tracing::warn!(file = %path.display(), line, why, "a part of the file is not used");
    }
    Ok(with_given(accounts, given))
}

fn with_given(mut accounts: Accounts, given: &[Account]) -> Accounts {
    given.iter().cloned().for_each(|account| accounts.add(account));
    accounts
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc};

    use pravega_sdk_server_core::access::{Operation, Resource};

    use super::*;
    use crate::turns::Turns;

    /// The headers of `ann` with the password `pw`, and with another.
    const ANN: &str = "Basic YW5uOnB3";
    const WRONG: &str = "Basic YW5uOm5v";

    fn write(file: &Path, rules: &str) {
        // As an editor does: a file that is half written is not seen.
        let new = file.with_extension("new");
        std::fs::write(&new, Account::line("ann", "pw", rules.as_bytes(), rules)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    async fn identify(identity: &Identity, header: &str) -> Result<Arc<Rules>, Refused> {
        identity.by_password(header, &Turns::of_runtime().account()).await
    }

    async fn allows(identity: &Identity) -> Result<Option<Operation>, Refused> {
        Ok(identify(identity, ANN).await?.allow(&Resource::Scopes))
    }

    #[tokio::test]
    async fn changes_of_the_file_are_followed_and_mistakes_in_it_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts");
        let open = || Identity::open(Vec::new(), Some(file.clone()), [7; 32]);
        assert_eq!(open().unwrap_err().path, file);
        write(&file, "prn::/,READ");
        let identity = open().unwrap();
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Read)));
        assert_eq!(identify(&identity, WRONG).await.unwrap_err(), Refused::Unknown);
        write(&file, "prn::/,READ_UPDATE");
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Read)));
        identity.refresh();
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Write)));
        std::fs::write(&file, [0xFF]).unwrap();
        identity.refresh();
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Write)));
        std::fs::write(&file, "# no account\n").unwrap();
        identity.refresh();
        assert_eq!(allows(&identity).await, Err(Refused::Unknown));
    }

    #[tokio::test]
    async fn no_account_is_locked_out_while_the_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts");
        write(&file, "prn::/,READ");
        let identity = Identity::open(Vec::new(), Some(file.clone()), [7; 32]).unwrap();
        let whole = std::fs::read_to_string(&file).unwrap().replace("READ", "READ_UPDATE");
        for half in ["", whole.get(..20).unwrap()] {
            // As by a program that writes it in place.
            std::fs::write(&file, half).unwrap();
            let (file, whole) = (file.clone(), whole.clone());
            let writing = thread::spawn(move || {
                rest(LOOK / 4);
                std::fs::write(file, whole).unwrap();
            });
            identity.refresh();
            assert_eq!(allows(&identity).await, Ok(Some(Operation::Write)));
            writing.join().unwrap();
        }
    }

    #[tokio::test]
    async fn a_password_is_hashed_once_however_many_calls_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts");
        write(&file, "prn::/,READ");
        let identity =
            Identity::open(vec![Account::new("root", "x")], Some(file), [7; 32]).unwrap();
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Read)));
        // A check of another password would wait for this.
        let busy = identity.checking.clone().acquire_owned().await.unwrap();
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Read)));
        assert!(identify(&identity, "Basic cm9vdDp4").await.is_ok(), "that of root is in memory");
        drop(busy);
        assert_eq!(identify(&identity, WRONG).await.unwrap_err(), Refused::Unknown);
        assert_eq!(allows(&identity).await, Ok(Some(Operation::Read)));
    }

    #[tokio::test(start_paused = true)]
    async fn while_another_password_is_checked_for_long_the_next_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts");
        write(&file, "prn::/,READ");
        let identity = Identity::open(Vec::new(), Some(file), [7; 32]).unwrap();
        let _busy = identity.checking.clone().acquire_owned().await.unwrap();
        assert_eq!(identify(&identity, ANN).await.unwrap_err(), Refused::Busy);
    }

    #[tokio::test]
    async fn a_password_is_checked_when_it_has_a_turn() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts");
        write(&file, "prn::/,READ");
        let identity = Identity::open(Vec::new(), Some(file), [7; 32]).unwrap();
        let turns = Turns::of_runtime();
        let (begun, begins) = mpsc::channel();
        let (release, released) = mpsc::channel();
        // The work of another client has the only turn.
        let other = turns.account();
        let other = tokio::spawn(async move {
            let work = async move {
                begun.send(()).unwrap();
                released.recv().unwrap();
            };
            other.apart(work).await;
        });
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        let checks = turns.account();
        let mut identified = std::pin::pin!(identity.by_password(ANN, &checks));
        let soon = timeout(Duration::from_millis(300), &mut identified).await;
        assert!(soon.is_err(), "it was checked beside the work that has the turn");
        release.send(()).unwrap();
        assert!(identified.await.is_ok());
        other.await.unwrap();
    }

    #[test]
    fn what_is_forbidden_is_named() {
        let need = Need::Allowed(Operation::Write, Resource::Scope("a"));
        assert_eq!(authorize(&None, &need), Ok(()));
        let forbidden = Refused::Forbidden("READ_UPDATE on prn::/scope:a".to_owned());
        let none = Some(Admission::new(Arc::default()));
        assert_eq!(authorize(&none, &need), Err(forbidden));
        assert_eq!(authorize(&none, &Need::Nothing), Ok(()));
    }
}
