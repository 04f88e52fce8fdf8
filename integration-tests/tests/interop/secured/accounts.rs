//! A server with accounts: credentials, rights and tokens.

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{AccessOperation, Credentials};
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, passwords, unique};
use pravega_sdk_types::{ErrorKind, Outcome, Scope, ScopedSegment, SegmentId};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::TokenFailure,
    commands::{GetStreamSegmentInfo, ReadSegment, SetupAppend},
};
use uuid::Uuid;

use super::{admin, config, new_stream, user};

fn info(segment: &ScopedSegment, token: &str) -> GetStreamSegmentInfo {
    GetStreamSegmentInfo {
        request_id: 0,
        segment_name: segment.to_string().into(),
        delegation_token: token.into(),
    }
}

#[tokio::test]
async fn the_right_password_is_accepted_and_a_token_opens_the_segment_store() {
    let factory = admin();
    let stream = new_stream(&factory).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
    let token = factory.tokens().token(&stream, AccessOperation::ReadWrite).await.unwrap();
    let claims = token.claims().unwrap();
    assert_eq!(claims.lifetime(0).as_secs(), 600, "the server's default");
    let answer =
        factory.raw_client().request(&endpoint, info(&segment, token.expose())).await.unwrap();
    assert_eq!(answer.write_offset, 0);
    let setup = SetupAppend {
        request_id: 0,
        writer_id: Uuid::new_v4(),
        segment: segment.to_string().into(),
        delegation_token: token.expose().into(),
    };
    factory.raw_client().request(&endpoint, setup).await.unwrap();
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_refused_once_and_not_shown() {
    let scope = Scope::new("any").unwrap();
    let wrong = Credentials::basic("admin", "hunter2").unwrap();
    for credentials in [wrong, Credentials::anonymous()] {
        let factory = ClientFactory::new(config().with_credentials(credentials)).unwrap();
        let error = factory.controller().scope_exists(&scope).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome(), error.attempts()),
            (ErrorKind::Unauthenticated, Outcome::NotApplied, 1)
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_password_may_have_any_characters() {
    passwords::a_password_may_have_any_characters(config()).await;
}

#[tokio::test]
async fn a_user_without_the_right_is_refused_with_permission_denied() {
    let scope = Scope::new(unique("forbidden")).unwrap();
    let error = user("reader").controller().create_scope(&scope).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::PermissionDenied, 1), "{error}");
}

#[tokio::test]
async fn a_segment_store_refuses_invalid_tokens() {
    let factory = admin();
    let stream = new_stream(&factory).await;
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = factory.endpoints().endpoint(&segment).await.unwrap();
    for token in ["", "nonsense"] {
        let error =
            factory.raw_client().request(&endpoint, info(&segment, token)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::PermissionDenied, Outcome::NotApplied)
        );
        match error.reply() {
            Some(WireCommand::AuthTokenCheckFailed(failed)) => {
                assert_eq!(failed.error_code, TokenFailure::CheckFailed)
            }
            other => panic!("{other:?}"),
        }
        // The refusal of a read carries its offset in place of its id, and still finds its waiter.
        let read = ReadSegment {
            segment: segment.to_string().into(),
            offset: 123_456,
            suggested_length: 8,
            delegation_token: token.into(),
            request_id: 0,
        };
        let error = factory.raw_client().request(&endpoint, read).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    let other = new_stream(&factory).await;
    let token = factory.tokens().token(&other, AccessOperation::Read).await.unwrap();
    let error =
        factory.raw_client().request(&endpoint, info(&segment, token.expose())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "the token is for another stream");
}

#[tokio::test]
async fn a_writer_without_the_right_is_refused_and_nothing_is_written() {
    let factory = admin();
    let stream = new_stream(&factory).await;
    // The controller may refuse to list the segments; if not, the segment store refuses the write.
    let refused = match user("reader").event_writer(&stream, Utf8).await {
        Err(error) => error,
        Ok(writer) => writer.write("k", "not allowed").await.unwrap_err(),
    };
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::PermissionDenied, Outcome::NotApplied),
        "{refused}"
    );
    assert!(harness::read_all(&factory, &stream).await.is_empty());
}
