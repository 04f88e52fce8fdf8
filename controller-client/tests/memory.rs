//! No copy of credentials is left in memory after their last use.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "../../secret-file/tests/common/canary.rs"]
mod canary;

use std::sync::Arc;

use async_trait::async_trait;
use pravega_sdk_controller_client::{
    Authorization, CredentialError, CredentialProvider, Credentials, DelegationToken,
};
use secrecy::ExposeSecret as _;

use self::canary::Canary;

/// What a use of the secret leaves, which sees it once at least.
#[track_caller]
fn left<T>(canary: &Canary, used: impl FnOnce(&Canary) -> T) -> usize {
    let used = used(canary);
    assert!(canary.copies() > 0, "the secret is not used at all");
    drop(used);
    canary.copies()
}

/// A text whose capacity is larger than it is, as one that was read or decoded.
fn roomy(canary: &Canary) -> String {
    canary.text_after("", 1000)
}

#[test]
fn tokens_and_headers_are_zeroed_when_they_are_dropped() {
    let canary = Canary::new();
    assert_eq!(left(&canary, |canary| Credentials::bearer(roomy(canary)).unwrap()), 0);
    assert_eq!(left(&canary, |canary| Credentials::custom("X", canary.text()).unwrap()), 0);
    assert_eq!(left(&canary, |canary| DelegationToken::new(roomy(canary))), 0);
    let header = |canary: &Canary| {
        let authorization = Authorization::new("Bearer", roomy(canary)).unwrap();
        let value = authorization.header_value();
        assert!(canary.is(value.expose_secret().strip_prefix("Bearer ").unwrap()));
        (authorization.clone(), value)
    };
    assert_eq!(left(&canary, header), 0);
    // What is refused is zeroed, too.
    Credentials::bearer(canary.text_after("two words ", 1000)).unwrap_err();
    assert_eq!(canary.copies(), 0);
}

/// Tokens of a program.
#[derive(Debug)]
struct Program(String);

#[async_trait]
impl CredentialProvider for Program {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        Authorization::new("Bearer", self.0.as_str())
    }
}

#[tokio::test]
async fn the_headers_of_a_provider_and_of_a_function_are_zeroed() {
    let canary = Canary::new();
    let provider = Credentials::provider(Arc::new(Program(canary.text())));
    let of_program = canary.copies();
    for _ in 0..3 {
        drop(provider.authorization().await.unwrap());
    }
    assert_eq!(canary.copies(), of_program, "those of the program itself");
    drop(provider);

    let canary = Arc::new(Canary::new());
    let shared = Arc::clone(&canary);
    let function = Credentials::bearer_from(move || {
        let token = roomy(&shared);
        async move { Ok::<_, String>(token) }
    });
    for _ in 0..3 {
        let header = function.authorization().await.unwrap().unwrap();
        assert!(canary.copies() > 0);
        drop(header);
    }
    drop(function);
    // The task of the cache ends.
    for _ in 0..100 {
        if canary.copies() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(canary.copies(), 0);
}
