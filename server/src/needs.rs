//! What each kind of call needs to be allowed: what the Java server checks.

use pravega_sdk_proto::{StreamInfo, stream_info::AccessOperation};
use pravega_sdk_server_core::access::{Need, Operation, Resource, operation_to_write};

/// An operation on the list of scopes.
pub(crate) fn scopes(operation: Operation) -> Need<'static> {
    Need::Allowed(operation, Resource::Scopes)
}

/// An operation on a scope.
pub(crate) fn scope(operation: Operation, scope: &str) -> Need<'_> {
    Need::Allowed(operation, Resource::Scope(scope))
}

/// An operation on a stream, by its own name also if it is Pravega's.
pub(crate) fn stream<'a>(operation: Operation, info: impl Named<'a>) -> Need<'a> {
    let (scope, stream) = info.named();
    Need::Allowed(operation, Resource::Stream(scope, stream))
}

/// An operation on what a stream belongs to.
pub(crate) fn owner<'a>(operation: Operation, info: impl Named<'a>) -> Need<'a> {
    let (scope, stream) = info.named();
    Need::Allowed(operation, Resource::of_stream(scope, stream))
}

/// An operation on a reader group.
pub(crate) fn group<'a>(operation: Operation, scope: &'a str, group: &'a str) -> Need<'a> {
    Need::Allowed(operation, Resource::Group(scope, group))
}

/// An operation on a key-value table.
pub(crate) fn table<'a>(operation: Operation, scope: &'a str, table: &'a str) -> Need<'a> {
    Need::Allowed(operation, Resource::Table(scope, table))
}

/// A token.
pub(crate) fn token(info: &StreamInfo) -> Need<'_> {
    let (scope, stream) = info.named();
    match AccessOperation::try_from(info.access_operation) {
        Ok(AccessOperation::Read | AccessOperation::None | AccessOperation::Any) => {
            Need::Token(Operation::Read, scope, stream)
        }
        Ok(AccessOperation::Write | AccessOperation::ReadWrite) => {
            Need::Token(Operation::Write, scope, stream)
        }
        // Clients of old versions name no operation, and get a token to write. For that they need
        // the right to change, also where later clients write with the right to read.
        _ if operation_to_write(stream) == Operation::Read => owner(Operation::Write, info),
        _ => Need::Token(Operation::Write, scope, stream),
    }
}

/// What the segments of a stream need: clients of old versions expect a token to write beside them.
pub(crate) fn segments_with_token(info: &StreamInfo) -> Operation {
    let wants_none = info.access_operation == i32::from(AccessOperation::None);
    if wants_none { Operation::Read } else { Operation::Write }
}

/// The names of a stream in a request.
pub(crate) trait Named<'a> {
    fn named(self) -> (&'a str, &'a str);
}

impl<'a> Named<'a> for &'a StreamInfo {
    fn named(self) -> (&'a str, &'a str) {
        (&self.scope, &self.stream)
    }
}

impl<'a> Named<'a> for &'a Option<StreamInfo> {
    fn named(self) -> (&'a str, &'a str) {
        self.as_ref().map_or(("", ""), Named::named)
    }
}
