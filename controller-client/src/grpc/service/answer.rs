//! The steps of every call: send the message, convert the status, name the call in errors.

use pravega_sdk_proto as proto;
use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};

use crate::{ControllerError, PageToken};

pub(super) type Result<T> = std::result::Result<T, ControllerError>;

/// Calls `$method` of the generated client with all attempts, by a route if there is one, and names
/// the call in errors.
macro_rules! call {
    ($client:expr, $name:literal, $repeat:ident, $target:expr, $method:ident, $message:expr) => {{
        let route = $crate::machine::Route::Any;
        call!(by route, $client, $name, $repeat, $target, $method, $message)
    }};
    (
        by $route:expr, $client:expr, $name:literal, $repeat:ident, $target:expr, $method:ident,
        $message:expr
    ) => {{
        let operation =
            $crate::grpc::call::Operation { name: $name, repeat: $crate::machine::Repeat::$repeat };
        $client
            .calls
            .call($route, operation, &$target, $message, |mut client, request| {
                Box::pin(async move { client.$method(request).await })
            })
            .await
    }};
}

/// Converts the answer's status to a value, or to the kind of the error.
macro_rules! judge {
    (
        $name:literal, $target:expr, $answer:expr, $status:ty, $number:expr,
        { $($arm:pat => $meaning:expr,)* }
    ) => {{
        let endpoint = &$answer.endpoint;
        let judged: $crate::grpc::service::answer::Result<_> = match <$status>::try_from($number) {
            $(Ok($arm) => $meaning,)*
            Err(_) => Err($crate::grpc::convert::unknown_status($number)),
        };
        judged.map_err(|error| {
            error.with_operation($name, &$target).with_attempts(Some(endpoint.clone()), 1)
        })
    }};
}

pub(super) use call;
pub(super) use judge;

pub(super) fn refused<T>(kind: ErrorKind, detail: &str) -> Result<T> {
    Err(ControllerError::new(kind, Outcome::NotApplied, detail))
}

/// Creates the error for a server that failed and gave no reason.
pub(super) fn failed<T>() -> Result<T> {
    let detail = "the controller answered that it failed, without a reason";
    Err(ControllerError::new(ErrorKind::ServerFailure, Outcome::Unknown, detail))
}

pub(super) fn no_scope<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such scope")
}

pub(super) fn no_stream<T>() -> Result<T> {
    refused(ErrorKind::NotFound, "there is no such stream")
}

pub(super) fn token(token: &PageToken) -> Option<proto::ContinuationToken> {
    Some(proto::ContinuationToken { token: token.0.clone() })
}

pub(super) fn next_token(token: Option<proto::ContinuationToken>) -> PageToken {
    PageToken(token.map(|token| token.token).unwrap_or_default())
}

/// Adds the call's name to an error from reading its answer.
pub(super) fn read<T>(
    name: &'static str,
    target: &dyn std::fmt::Display,
    endpoint: &Endpoint,
    value: Result<T>,
) -> Result<T> {
    value.map_err(|error| {
        error.with_operation(name, target).with_attempts(Some(endpoint.clone()), 1)
    })
}
