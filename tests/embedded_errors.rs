//! The errors of the embedded server say what kind of failure it was.

#![cfg(feature = "embedded")]

use pravega_sdk::{
    ErrorKind, Outcome,
    embedded::{Embedded, EmbeddedError, EmbeddedServer},
};

#[track_caller]
fn check(error: &EmbeddedError, kind: ErrorKind, is_retryable: bool) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error:?}");
}

#[tokio::test]
async fn a_used_port_is_unavailable_and_may_be_free_later() {
    let first = pravega_sdk::embedded().await.unwrap();
    let port = first.server().port();
    let second = Embedded::with(EmbeddedServer::builder().with_port(port)).await;
    check(&second.unwrap_err(), ErrorKind::Unavailable, true);
}

#[tokio::test]
async fn a_folder_that_another_server_uses_is_unavailable() {
    let folder = std::env::temp_dir().join(format!("pravega-sdk-in-use-{}", std::process::id()));
    let builder = || EmbeddedServer::builder().with_directory(&folder);
    let first = Embedded::with(builder()).await.unwrap();
    check(&Embedded::with(builder()).await.unwrap_err(), ErrorKind::Unavailable, true);
    first.shutdown().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_exist_is_a_matter_of_configuration() {
    let builder = EmbeddedServer::builder().with_directory("/dev/null/folder");
    check(&Embedded::with(builder).await.unwrap_err(), ErrorKind::Config, false);
}

#[tokio::test]
async fn an_invalid_stream_name_is_refused_before_anything_is_sent() {
    let pravega = pravega_sdk::embedded().await.unwrap();
    let error = pravega.create_stream("no scope", 1).await.unwrap_err();
    check(&error, ErrorKind::InvalidName, false);
    assert_eq!(error.to_string(), "invalid stream name");
}
