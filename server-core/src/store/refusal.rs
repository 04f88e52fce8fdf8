//! Refusals of the segment store, and the replies to them.

use bytestring::ByteString;
use pravega_sdk_types::Offset;
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::FailureCode,
    commands::{
        ErrorMessage, NoSuchSegment, OperationUnsupported, SegmentAlreadyExists, SegmentIsSealed,
        SegmentIsTruncated, TableKeyBadVersion, TableKeyDoesNotExist, TableSegmentNotEmpty,
    },
};

use super::table::TableRefusal;

/// The connection must be closed, after all replies have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub &'static str);

/// The result of a request to the store.
pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// The offset of a reply to a request that has none.
const NO_OFFSET: Offset = Offset(-1);

/// Why a request was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The segment does not exist.
    NoSuchSegment,
    /// The source of a merge is missing, or its target; the reply of the Java store is the same.
    NoSuchSource,
    /// The segment exists.
    AlreadyExists,
    /// The segment is sealed.
    Sealed,
    /// An offset is outside the segment, or a table does not end at the expected offset.
    Truncated {
        /// The first offset of the segment, or the length of the table.
        start: u64,
    },
    /// The segment does not end at the offset of a conditional append, or an attribute has another
    /// value.
    Condition,
    /// Another connection used the writer's id.
    EventNumber,
    /// The table has entries.
    NotEmpty,
    /// The table refuses.
    Table(TableRefusal),
    /// The memory limit is reached.
    Full {
        /// The memory limit, in bytes.
        limit: u64,
    },
    /// There is no space on the disk for what takes some.
    DiskFull(String),
    /// The journal has failed, so no change is possible.
    Ended(String),
    /// The Java store closes the connection without a reply.
    Close(&'static str),
}

impl Refusal {
    /// The message for people, the same in both protocols.
    pub fn message(&self) -> String {
        match self {
            Self::Full { limit } => format!(
                "the memory limit of {limit} bytes is reached: truncate or delete streams, or \
                 raise the limit"
            ),
            Self::DiskFull(why) => {
                format!("there is no space on the disk: truncate or delete streams ({why})")
            }
            Self::Ended(why) => {
                format!("the server must be restarted before it takes writes again: {why}")
            }
            other => format!("the segment store refused: {other:?}"),
        }
    }

    /// The reply to a request for a segment, with the request's offset if it has one; `None` if the
    /// connection closes instead.
    pub fn reply(
        self,
        request_id: i64,
        segment: &ByteString,
        offset: Option<Offset>,
        operation: &'static str,
    ) -> Option<WireCommand> {
        let (segment, server_stack_trace) = (segment.clone(), ByteString::new());
        let offset = offset.unwrap_or(NO_OFFSET).0;
        Some(match self {
            Self::NoSuchSegment | Self::NoSuchSource => {
                NoSuchSegment { request_id, segment, server_stack_trace, offset }.into()
            }
            Self::AlreadyExists => {
                SegmentAlreadyExists { request_id, segment, server_stack_trace }.into()
            }
            Self::Sealed => {
                SegmentIsSealed { request_id, segment, server_stack_trace, offset }.into()
            }
            Self::Truncated { start } => {
                let start_offset = start as i64;
                SegmentIsTruncated { request_id, segment, start_offset, server_stack_trace, offset }
                    .into()
            }
            Self::NotEmpty | Self::Table(TableRefusal::BadVersion | TableRefusal::NoSuchKey) => {
                return self.table_reply(request_id, segment);
            }
            Self::Table(TableRefusal::Unsupported) => OperationUnsupported {
                request_id,
                operation_name: operation.into(),
                server_stack_trace,
            }
            .into(),
            Self::Table(TableRefusal::Invalid(message)) => ErrorMessage {
                request_id,
                segment,
                message: message.into(),
                error_code: FailureCode::IllegalArgument,
            }
            .into(),
            Self::Full { .. } | Self::DiskFull(_) | Self::Ended(_) => {
                let (message, error_code) = (self.message().into(), self.code());
                ErrorMessage { request_id, segment, message, error_code }.into()
            }
            Self::Condition
            | Self::EventNumber
            | Self::Table(TableRefusal::Broken)
            | Self::Close(_) => return None,
        })
    }

    /// The reason in a reply that has a message. Java's client reads a number that it does not know
    /// as unspecified.
    fn code(&self) -> FailureCode {
        match self {
            Self::Full { .. } | Self::DiskFull(_) => FailureCode::OutOfSpace,
            _ => FailureCode::Unspecified,
        }
    }

    fn table_reply(self, request_id: i64, segment: ByteString) -> Option<WireCommand> {
        let server_stack_trace = ByteString::new();
        match self {
            Self::NotEmpty => {
                Some(TableSegmentNotEmpty { request_id, segment, server_stack_trace }.into())
            }
            Self::Table(TableRefusal::BadVersion) => {
                Some(TableKeyBadVersion { request_id, segment, server_stack_trace }.into())
            }
            Self::Table(TableRefusal::NoSuchKey) => {
                Some(TableKeyDoesNotExist { request_id, segment, server_stack_trace }.into())
            }
            _ => None,
        }
    }
}
