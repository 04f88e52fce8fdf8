//! Calls about scopes and streams.

use pravega_sdk_proto::*;

use super::{
    both::{Both, call},
    requests::{config, scale, stream_info},
};

/// Scopes.
pub(super) async fn scopes(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let scope_info = |scope: &str| ScopeInfo { scope: scope.to_owned() };
    call!(both, "a scope", create_scope, scope_info(s));
    call!(both, "the scope again", create_scope, scope_info(s));
    call!(both, "a scope with a bad name", create_scope, scope_info("a/b"));
    call!(both, "a scope without a name", create_scope, scope_info(""));
    call!(both, "the scope exists", check_scope_exists, scope_info(s));
    call!(both, "another does not", check_scope_exists, scope_info("none-of-this-name"));
    call!(
        both,
        "deletion of a scope that is missing",
        delete_scope,
        scope_info("none-of-this-name")
    );
}

/// Streams: creation, configuration, tags.
pub(super) async fn streams(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let scope_info = |scope: &str| ScopeInfo { scope: scope.to_owned() };
    call!(both, "a stream", create_stream, config(s, "stream", 2, &["one"]));
    call!(both, "the stream again", create_stream, config(s, "stream", 3, &[]));
    call!(both, "a stream with a bad name", create_stream, config(s, "a b", 1, &[]));
    call!(
        both,
        "a stream in no scope",
        create_stream,
        config("none-of-this-name", "stream", 1, &[])
    );
    call!(both, "a stream of no segments", create_stream, config(s, "none", 0, &[]));
    call!(both, "the stream exists", check_stream_exists, stream_info(s, "stream"));
    call!(both, "its configuration", get_stream_configuration, stream_info(s, "stream"));
    call!(both, "of a missing one", get_stream_configuration, stream_info(s, "missing"));
    call!(both, "its segments", get_current_segments, stream_info(s, "stream"));
    call!(both, "segments of a missing one", get_current_segments, stream_info(s, "missing"));
    call!(both, "an update", update_stream, config(s, "stream", 2, &["two", "three"]));
    call!(both, "the configuration after it", get_stream_configuration, stream_info(s, "stream"));
    call!(both, "an update of a missing one", update_stream, config(s, "missing", 2, &[]));
    let tagged = |tag: &str| StreamsInScopeWithTagRequest {
        scope: Some(scope_info(s)),
        tag: tag.to_owned(),
        continuation_token: Some(ContinuationToken { token: String::new() }),
    };
    let (real, embedded) = (
        both.real
            .controller
            .list_streams_in_scope_for_tag(tagged("two"))
            .await
            .unwrap()
            .into_inner()
            .streams,
        both.embedded
            .controller
            .list_streams_in_scope_for_tag(tagged("two"))
            .await
            .unwrap()
            .into_inner()
            .streams,
    );
    assert_eq!(real, embedded);
    call!(both, "no tag", list_streams_in_scope_for_tag, tagged(""));
}

/// Sealed and deleted streams.
pub(super) async fn ends(both: &mut Both) {
    let scope = both.scope.clone();
    let s = scope.as_str();
    let scope_info = |scope: &str| ScopeInfo { scope: scope.to_owned() };
    call!(both, "deletion of an unsealed stream", delete_stream, stream_info(s, "stream"));
    call!(both, "deletion of a full scope", delete_scope, scope_info(s));
    call!(both, "sealing", seal_stream, stream_info(s, "stream"));
    call!(both, "sealing again", seal_stream, stream_info(s, "stream"));
    call!(both, "sealing a missing stream", seal_stream, stream_info(s, "missing"));
    call!(both, "segments of a sealed stream", get_current_segments, stream_info(s, "stream"));
    call!(both, "an update of a sealed stream", update_stream, config(s, "stream", 2, &[]));
    call!(both, "a scale of a sealed stream", scale, scale(s, "stream", &[1], &[(0.5, 1.0)]));
    let begin = CreateTxnRequest {
        stream_info: Some(stream_info(s, "stream")),
        lease: 30_000,
        ..Default::default()
    };
    call!(both, "a transaction in a sealed stream", create_transaction, begin);
    call!(both, "deletion", delete_stream, stream_info(s, "stream"));
    call!(both, "deletion of a missing stream", delete_stream, stream_info(s, "stream"));
}
