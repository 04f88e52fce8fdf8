//! Keys that change, and tokens with keys that are unknown.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use pravega_sdk_server_core::access::{Accounts, Operation, Resource};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::{
    JwtAccounts, Tokens,
    testing::{AUDIENCE, Publisher, Says, Signer, now, set},
    tokens::Denied,
};

/// Tokens whose keys are fetched while this exists.
struct Following {
    tokens: Arc<Tokens>,
    _stop: DropGuard,
}

impl Following {
    fn start(accounts: &JwtAccounts) -> Self {
        let tokens = Arc::new(Tokens::open(accounts).unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(tokens.keys()).follow(stop.clone()));
        Self { tokens, _stop: stop.drop_guard() }
    }

    async fn check(&self, token: &str) -> Result<(), Denied> {
        self.tokens.check(token, now).await.map(|_| ())
    }
}

/// Keys that are fetched again only after a token with an unknown one.
fn published(publisher: &Publisher, shortest: Duration) -> JwtAccounts {
    JwtAccounts::with_key_set_url(&publisher.url("/certs"), AUDIENCE)
        .with_refresh_interval(Duration::from_secs(3600))
        .with_shortest_refresh_interval(shortest)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(1800);

#[tokio::test]
async fn a_token_of_a_new_key_is_accepted_once_the_key_is_published() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let publisher = Publisher::start(Says::Text(set(&[&old]))).await;
    let following = Following::start(&published(&publisher, SHORT));
    // It waits for the first fetch.
    assert_eq!(following.check(&old.token("ann")).await, Ok(()));
    publisher.say(Says::Text(set(&[&new, &old])));
    until("the new key is fetched", async || following.check(&new.token("ann")).await.is_ok())
        .await;
    assert_eq!(following.check(&old.token("ann")).await, Ok(()));
    publisher.say(Says::Text(set(&[&new])));
    let third = Signer::new("third").token("ann");
    until("the old key is withdrawn", async || {
        assert_eq!(following.check(&third).await, Err(Denied::Wrong));
        following.check(&old.token("ann")).await.is_err()
    })
    .await;
    assert_eq!(following.check(&new.token("ann")).await, Ok(()));
}

#[tokio::test]
async fn a_flood_of_unknown_keys_begins_one_fetch_in_each_interval() {
    let known = Signer::new("known");
    let publisher = Publisher::start(Says::Text(set(&[&known]))).await;
    let following = Following::start(&published(&publisher, LONG));
    assert_eq!(following.check(&known.token("ann")).await, Ok(()));
    let strangers = ["a", "b", "c"].map(Signer::new);
    for number in 0..1000 {
        let token = strangers[number % 3].token(&number.to_string());
        assert_eq!(following.check(&token).await, Err(Denied::Wrong));
    }
    assert_eq!(publisher.requests(), 1, "the first, half an hour before the next");

    let publisher = Publisher::start(Says::Text(set(&[&known]))).await;
    let begun = Instant::now();
    let following = Following::start(&published(&publisher, SHORT));
    while publisher.requests() < 4 {
        assert_eq!(following.check(&strangers[0].token("x")).await, Err(Denied::Wrong));
    }
    let intervals = begun.elapsed().as_millis() / SHORT.as_millis();
    assert!(intervals >= 3, "4 fetches in {:?}", begun.elapsed());
}

#[tokio::test]
async fn calls_with_a_known_key_do_not_wait_while_keys_are_fetched() {
    let (known, unknown) = (Signer::new("known"), Signer::new("unknown"));
    let publisher = Publisher::start(Says::Text(set(&[&known]))).await;
    let following = Following::start(&published(&publisher, SHORT));
    assert_eq!(following.check(&known.token("ann")).await, Ok(()));
    publisher.say(Says::Hangs(String::new()));
    sleep(SHORT).await;
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            let (tokens, token) = (following.tokens.clone(), unknown.token(&number.to_string()));
            tokio::spawn(async move { tokens.check(&token, now).await.map(|_| ()) })
        })
        .collect();
    until("the fetch hangs", async || publisher.requests() == 2).await;
    // Eight wait, and the others leave at once.
    let left = async || waiting.iter().filter(|task| task.is_finished()).count();
    until("those too many leave", async || left().await >= 92).await;
    for _ in 0..100 {
        let known = following.tokens.check(&known.token("ann"), now).now_or_never();
        assert!(known.unwrap().is_ok());
    }
    assert_eq!(publisher.requests(), 2, "one fetch is in flight");
    for task in waiting {
        if task.is_finished() {
            assert_eq!(task.await.unwrap(), Err(Denied::Busy));
        } else {
            task.abort();
        }
    }
}

#[tokio::test]
async fn while_keys_cannot_be_fetched_the_old_ones_are_used_and_new_ones_may_come() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let publisher = Publisher::start(Says::Raw(String::new())).await;
    let following = Following::start(&published(&publisher, SHORT));
    assert_eq!(following.check(&old.token("ann")).await, Err(Denied::NoKeys));
    publisher.say(Says::Text(set(&[&old])));
    until("the keys are fetched", async || following.check(&old.token("ann")).await.is_ok()).await;
    publisher.say(Says::Text("no keys".to_owned()));
    until("a fetch fails", async || {
        following.check(&new.token("ann")).await == Err(Denied::NoKeys)
    })
    .await;
    assert_eq!(following.check(&old.token("ann")).await, Ok(()));
    // One that is wrong in another way is wrong.
    let stranger = Signer::new("old").token("ann");
    assert_eq!(following.check(&stranger).await, Err(Denied::Wrong));
    publisher.say(Says::Text(set(&[&new])));
    until("the keys are fetched", async || following.check(&new.token("ann")).await.is_ok()).await;
    assert_eq!(following.check(&old.token("ann")).await, Err(Denied::Wrong));
}

#[tokio::test]
async fn keys_are_fetched_again_without_any_call() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let publisher = Publisher::start(Says::Text(set(&[&old]))).await;
    let often = published(&publisher, SHORT).with_refresh_interval(SHORT);
    let following = Following::start(&often);
    assert_eq!(following.check(&old.token("ann")).await, Ok(()));
    publisher.say(Says::Text(set(&[&new])));
    let before = publisher.requests();
    until("it is fetched twice", async || publisher.requests() >= before + 2).await;
    assert!(following.tokens.check(&new.token("ann"), now).now_or_never().unwrap().is_ok());
}

fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_file_of_keys_is_followed_and_mistakes_in_it_are_not() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let open = || Tokens::open(&JwtAccounts::with_key_set_file(&file, AUDIENCE));
    assert_eq!(open().unwrap_err().path, file);
    for bad in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#] {
        write(&file, bad);
        let why = open().unwrap_err().to_string();
        assert!(!why.contains("c2VjcmV0"), "{why}");
    }
    write(&file, &set(&[&old]));
    let tokens = open().unwrap();
    let check = async |signer: &Signer| {
        tokens.keys().refresh();
        tokens.check(&signer.token("ann"), now).await.map(|_| ())
    };
    assert_eq!(check(&old).await, Ok(()));
    assert_eq!(check(&new).await, Err(Denied::Wrong));
    write(&file, "{");
    assert_eq!(check(&old).await, Ok(()));
    write(&file, &set(&[&new]));
    assert_eq!(check(&new).await, Ok(()));
    assert_eq!(check(&old).await, Err(Denied::Wrong));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(check(&new).await, Ok(()));
    write(&file, r#"{"keys":[]}"#);
    assert_eq!(check(&new).await, Err(Denied::Wrong), "all keys are withdrawn");
}

#[tokio::test]
async fn a_user_has_the_rules_of_its_account_and_others_the_usual_ones() {
    let signer = Signer::new("one");
    let accounts = JwtAccounts::with_key_set(&set(&[&signer]), AUDIENCE)
        .with_user_claim("name")
        .with_rules("prn::/,READ");
    let tokens = Tokens::open(&accounts).unwrap();
    let (given, _) = Accounts::parse("ann:*:prn::/,READ_UPDATE");
    let allows = async |name: &str| {
        let exp = now().0 / 1000 + 10;
        let token = signer.sign(json!({ "name": name, "sub": "ann", "aud": AUDIENCE, "exp": exp }));
        let checked = tokens.check(&token, now).await.unwrap();
        let admission = tokens.admit(&checked, &given);
        assert_eq!(admission.end(), Some(now().after(40_000)));
        admission.rules().allow(&Resource::Scopes)
    };
    assert_eq!(allows("ann").await, Some(Operation::Write));
    assert_eq!(allows("bob").await, Some(Operation::Read));
}

#[test]
fn what_is_configured_in_part_is_refused() {
    let key_set = set(&[&Signer::new("one")]);
    let refused = |accounts: JwtAccounts| Tokens::open(&accounts).unwrap_err().to_string();
    let given = || JwtAccounts::with_key_set(&key_set, AUDIENCE);
    assert!(Tokens::open(&given()).is_ok());
    assert_eq!(refused(JwtAccounts::with_key_set(&key_set, "")), "the audience: it is empty");
    assert_eq!(refused(given().with_issuer("")), "the issuer: it is empty");
    assert_eq!(refused(given().with_user_claim("")), "the claim of the user: it is empty");
    let none = JwtAccounts::with_key_set("{}", AUDIENCE);
    assert!(refused(none).starts_with("the key set: it is no JWK set"));
    let realm = |url: &str| {
        let why = refused(JwtAccounts::of_realm(url, AUDIENCE));
        assert!(why.starts_with("the URL of the keys: "), "{why}");
        why
    };
    assert!(realm("").contains("URL"));
    assert!(realm("id.example.com").contains("https://"));
    assert!(realm("https://id.example.com/?a=b").contains("query"));
    assert!(!realm("https://ann:passw0rd@id.example.com/").contains("passw0rd"));
    let trusting = JwtAccounts::of_realm("https://id.example.com", AUDIENCE)
        .with_trust_store("/nowhere/authority.pem");
    assert!(refused(trusting).starts_with("/nowhere/authority.pem: trust store"));
}

#[test]
fn debug_output_shows_no_key_set() {
    let private = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#;
    let shown = format!("{:?}", JwtAccounts::with_key_set(private, AUDIENCE));
    assert!(!shown.contains("c2VjcmV0") && shown.contains(AUDIENCE), "{shown}");
}
