//! Credentials of one process: bearer tokens from a function, their renewal, several identities.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pravega_sdk_controller_client::{
    Authorization, Controller as _, ControllerClient, ControllerConfig, CredentialError,
    CredentialProvider, Credentials,
};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, Scope};
use secrecy::ExposeSecret as _;

/// A token that was issued some time ago, with a number.
fn jwt(number: u32, ago: Duration, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let issued = now - ago.as_secs();
    let expires = issued + lifetime.as_secs();
    let body = format!("{{\"n\":{number},\"iat\":{issued},\"exp\":{expires}}}");
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(body))
}

/// Credentials whose function makes a token from the number of its call, and that number.
fn counted(token: impl Fn(u32) -> String + Send + Sync + 'static) -> (Credentials, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let credentials = Credentials::bearer_from(move || {
        let token = token(counter.fetch_add(1, Ordering::SeqCst) + 1);
        async { Ok::<_, std::io::Error>(token) }
    });
    (credentials, calls)
}

async fn header(credentials: &Credentials) -> String {
    let header = credentials.authorization().await.unwrap().unwrap();
    header.header_value().expose_secret().to_owned()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_token_with_an_expiry_is_kept_and_renewed_before_it_expires() {
    let (credentials, calls) = counted(|number| jwt(number, Duration::ZERO, 10 * MINUTE));
    let first = header(&credentials).await;
    tokio::time::advance(9 * MINUTE).await;
    assert_eq!(header(&credentials).await, first);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // The old one is used while a new one is fetched.
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(header(&credentials).await, first);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_ne!(header(&credentials).await, first);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_issued_before_expires_by_its_time_and_not_by_its_life() {
    let (credentials, calls) = counted(|number| jwt(number, 9 * MINUTE, 10 * MINUTE));
    let first = header(&credentials).await;
    tokio::time::advance(2 * MINUTE).await;
    assert_ne!(header(&credentials).await, first);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn three_hundred_expiries_need_no_more_calls_and_no_caller_sees_one() {
    let (credentials, calls) = counted(|number| jwt(number, Duration::ZERO, MINUTE));
    for _ in 0..300 * 60 {
        assert!(header(&credentials).await.starts_with("Bearer h."));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let calls = calls.load(Ordering::SeqCst);
    assert!((300..=400).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_token_without_an_expiry_is_asked_for_before_every_call() {
    let (credentials, _) = counted(|number| format!("opaque-{number}"));
    for number in 1..4 {
        assert_eq!(header(&credentials).await, format!("Bearer opaque-{number}"));
    }
}

#[tokio::test]
async fn callers_share_one_call_of_the_function() {
    let (credentials, calls) = counted(|number| jwt(number, Duration::ZERO, MINUTE));
    let all = (0..20).map(|_| header(&credentials));
    let headers = futures_util::future::join_all(all).await;
    assert!(headers.iter().all(|header| *header == headers[0]));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_function_that_fails_is_unauthenticated_and_a_token_is_never_shown() {
    let failing = Credentials::bearer_from(|| async { Err::<String, _>("the issuer is down") });
    let error = failing.authorization().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unauthenticated, Outcome::NotApplied));
    assert!(format!("{error:?}").contains("the issuer is down"), "{error:?}");

    let (credentials, _) = counted(|_| "canary\r\ntoken".to_owned());
    let error = credentials.authorization().await.unwrap_err();
    assert!(!format!("{error} {error:?} {credentials:?}").contains("canary"));
    let (credentials, _) = counted(|_| "canary".to_owned());
    let header = credentials.authorization().await.unwrap();
    assert!(!format!("{credentials:?} {header:?}").contains("canary"));
}

/// A provider whose issuer is away, which counts how often it is asked.
#[derive(Debug, Default)]
struct Away(AtomicU32);

#[async_trait]
impl CredentialProvider for Away {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let detail = "the issuer is away";
        Err(Failure::new(ErrorKind::Unavailable, Outcome::NotApplied, detail).into())
    }
}

#[tokio::test]
async fn a_call_without_credentials_has_the_kind_of_their_provider_and_is_not_repeated() {
    let away = Arc::new(Away::default());
    let config = ControllerConfig::new("tcp://localhost:1".parse().unwrap())
        .with_credentials(Credentials::provider(Arc::<Away>::clone(&away)));
    let client = ControllerClient::new(config).unwrap();
    let error = client.scope_exists(&Scope::new("any").unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    assert!(format!("{error:?}").contains("the issuer is away"), "{error:?}");
    assert_eq!((error.attempts(), away.0.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_function_that_panics_fails_its_calls_and_is_called_again() {
    let (credentials, _) = counted(|number| {
        assert!(number > 1, "the first call");
        format!("opaque-{number}")
    });
    let error = credentials.authorization().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unauthenticated, Outcome::NotApplied));
    assert!(format!("{error:?}").contains("panicked"), "{error:?}");
    assert_eq!(header(&credentials).await, "Bearer opaque-2");
}

#[tokio::test]
async fn several_identities_in_one_process_are_apart() {
    let ann = Credentials::basic("ann", "one").unwrap();
    let (ben, _) = counted(|_| "two".to_owned());
    let cat = Credentials::custom("Plugin", "three").unwrap();
    for _ in 0..2 {
        assert_eq!(header(&ann).await, "Basic YW5uOm9uZQ==");
        assert_eq!(header(&ben).await, "Bearer two");
        assert_eq!(header(&cat).await, "Plugin three");
    }
}
