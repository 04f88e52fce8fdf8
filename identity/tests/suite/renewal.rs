//! Tokens over time: who shares which fetch, when it begins, and what happens without its caller.

use std::time::Duration;

use futures_util::{FutureExt as _, future::join_all};
use pravega_sdk_types::ErrorKind;

use crate::issuer::{FAR, Issuer, Reply, Seen, sent, token};

/// An issuer whose answers take a while.
fn slow() -> Issuer {
    Issuer::start(|_| Some(Reply::Late(Duration::from_millis(100))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_make_one_fetch() {
    let issuer = slow();
    let credentials = issuer.credentials();
    let callers = (0..100).map(|_| {
        let credentials = credentials.clone();
        tokio::spawn(async move { sent(&credentials).await.unwrap() })
    });
    for token in join_all(callers).await {
        assert_eq!(token.unwrap(), "permitted-2");
    }
    assert_eq!(sent(&credentials).await.unwrap(), "permitted-2");
    assert_eq!(issuer.seen().len(), 3);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_end_the_fetch_of_the_others() {
    let issuer = slow();
    let credentials = issuer.credentials();
    let left = tokio::time::timeout(Duration::from_millis(50), sent(&credentials)).await;
    assert!(left.is_err(), "the first caller leaves early");
    let (one, other) = tokio::join!(sent(&credentials), sent(&credentials));
    assert_eq!((one.unwrap(), other.unwrap()), ("permitted-2".into(), "permitted-2".into()));
    assert_eq!(issuer.seen().len(), 3);

    // Nor does one that is not polled.
    let issuer = slow();
    let credentials = issuer.credentials();
    let mut stalled = Box::pin(sent(&credentials));
    assert!(stalled.as_mut().now_or_never().is_none());
    assert_eq!(sent(&credentials).await.unwrap(), "permitted-2");
    assert_eq!(stalled.await.unwrap(), "permitted-2");
}

#[test]
fn a_fetch_whose_runtime_ends_is_begun_again_on_that_of_the_caller() {
    let issuer = slow();
    let credentials = issuer.credentials();
    let first = runtime();
    let mut waiting = Box::pin(sent(&credentials));
    first.block_on(async { assert!(waiting.as_mut().now_or_never().is_none()) });
    drop(first);
    assert!(runtime().block_on(waiting).unwrap().starts_with("permitted-"));
    let issuer = Issuer::usual();
    let outside = issuer.credentials().authorization().now_or_never().unwrap();
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::NoRuntime);
    assert!(issuer.seen().is_empty());
}

/// A runtime that runs its tasks only while it is blocked on.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_fetch_whose_runtime_stands_still_is_begun_again_on_that_of_the_caller() {
    let issuer = Issuer::usual();
    let client = issuer.keycloak().with_timeout(Duration::from_secs(1));
    let credentials = client.credentials().unwrap();
    let still = runtime();
    let mut waiting = Box::pin(sent(&credentials));
    still.block_on(async { assert!(waiting.as_mut().now_or_never().is_none()) });
    let other = runtime();
    let token = other.block_on(async { tokio::time::timeout(FAR, sent(&credentials)).await });
    assert_eq!(token.expect("it waits forever").unwrap(), "permitted-2");
    // That of the first caller ends too late, and changes nothing.
    still.block_on(async { waiting.await.ok() });
    assert_eq!(other.block_on(sent(&credentials)).unwrap(), "permitted-2");
}

#[test]
fn a_program_that_rests_between_its_calls_gets_a_token_at_each() {
    let issuer = Issuer::usual();
    let client = issuer.keycloak().with_timeout(Duration::from_secs(1));
    let credentials = client.credentials().unwrap();
    let program = runtime();
    // A call that is given up as soon as it has begun.
    program.block_on(async { assert!(sent(&credentials).now_or_never().is_none()) });
    runtime().block_on(async { tokio::time::sleep(Duration::from_millis(2100)).await });
    let token = program.block_on(sent(&credentials));
    assert!(token.unwrap().starts_with("permitted-"));
}

#[tokio::test]
async fn a_token_is_renewed_while_it_is_used_and_its_endpoint_is_known_by_then() {
    let issuer = Issuer::start(|seen| {
        seen.is_for_permissions().then(|| {
            let login = seen.authorization.as_deref().unwrap();
            let number = login.rsplit('-').next().unwrap().parse().unwrap();
            Reply::Json(200, token("short", number, "1"))
        })
    });
    let credentials = issuer.credentials();
    assert_eq!(sent(&credentials).await.unwrap(), "short-1");
    let renewed = async {
        while sent(&credentials).await.unwrap() == "short-1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(FAR, renewed).await.unwrap();
    assert_eq!(issuer.count(Seen::is_discovery), 1);
    assert_eq!(issuer.count(Seen::is_login), 2);
}
