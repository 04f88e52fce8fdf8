//! Requests that do not depend on the state of their connection: the table of them, and the
//! requests about segments of streams.

use bytestring::ByteString;
use pravega_sdk_types::{Offset, segment_name};
use pravega_sdk_wire_protocol::{CommandKind, MergedSegment, WireCommand, commands::*};

use super::{
    refusal::{Closed, Refusal},
    requests::{SegmentPolicy, Step},
    segment::{ABSENT, attribute},
};
use crate::access::Operation;

/// The segments that a request is for, the operation that it needs on each, and the token that must
/// allow it.
pub(super) struct Address<'a> {
    /// The segment whose store handles the request.
    pub(super) segment: &'a ByteString,
    /// The other segments that it names.
    pub(super) others: &'a [ByteString],
    pub(super) needs: Operation,
    pub(super) token: &'a ByteString,
}

/// A field of a request that names segments.
trait Segments {
    fn names(&self) -> &[ByteString];
}

impl Segments for ByteString {
    fn names(&self) -> &[ByteString] {
        std::slice::from_ref(self)
    }
}

impl Segments for Vec<ByteString> {
    fn names(&self) -> &[ByteString] {
        self
    }
}

/// The result of a request.
pub(super) struct Outcome {
    /// The segment that a refusal names, and whose last change the reply waits for.
    pub(super) segment: ByteString,
    /// The offset that a refusal names.
    pub(super) offset: Option<Offset>,
    pub(super) result: Result<WireCommand, Refusal>,
}

/// A request that one step can answer.
pub(super) trait Request {
    fn run(self, step: &mut Step<'_>) -> Outcome;
}

impl Outcome {
    pub(super) fn of<T: Into<WireCommand>>(
        segment: ByteString,
        result: Result<T, Refusal>,
    ) -> Self {
        Self { segment, offset: None, result: result.map(Into::into) }
    }

    pub(super) fn at(self, offset: Offset) -> Self {
        Self { offset: Some(offset), ..self }
    }
}

/// The first segment that a command names, of which its token must be; `None` for an append, which
/// names its writer, and for a command that is for no segment.
pub fn segment_of(command: &WireCommand) -> Option<&ByteString> {
    address(command).map(|address| address.segment)
}

/// Every command that is for segments: in which fields it names them, the operation that it needs
/// on them, and the name of it in a refusal. The dispatch and the check of tokens both come from
/// this table, so a request without a check does not compile.
macro_rules! requests {
    (
        of_a_session { $($kept:ident($kept_segment:ident) needs $kept_needs:ident;)* }
        alone {
            $($command:ident($segment:ident $(, $more:ident)?) needs $needs:ident
                => $operation:literal;)*
        }
    ) => {
        /// The segments that a command is for, and its token; `None` if it is for no segment.
        pub(super) fn address(command: &WireCommand) -> Option<Address<'_>> {
            let address = match command {
                $(WireCommand::$kept(c) => Address {
                    segment: &c.$kept_segment,
                    others: &[],
                    needs: Operation::$kept_needs,
                    token: &c.delegation_token,
                },)*
                $(WireCommand::$command(c) => {
                    let others: Option<&[ByteString]> = None$(.or(Some(c.$more.names())))?;
                    let others = others.unwrap_or_default();
                    let (segment, token) = (&c.$segment, &c.delegation_token);
                    Address { segment, others, needs: Operation::$needs, token }
                })*
                _ => return None,
            };
            Some(address)
        }

        /// Handles a request; returns its outcome and the name of its operation.
        pub(super) fn run(
            command: WireCommand,
            step: &mut Step<'_>,
        ) -> Result<(Outcome, &'static str), Closed> {
            match command {
                $(WireCommand::$command(request) => Ok((request.run(step), $operation)),)*
                other if other.kind() == CommandKind::Request => {
                    Err(Closed("the command belongs to the administration's port"))
                }
                _ => Err(Closed("the command is not one of a client")),
            }
        }
    };
}

requests! {
    of_a_session {
        SetupAppend(segment) needs Write;
        ReadSegment(segment) needs Read;
    }
    alone {
        CreateSegment(segment) needs Write => "createSegment";
        CreateTransientSegment(parent_segment) needs Write => "createTransientSegment";
        GetStreamSegmentInfo(segment_name) needs Read => "getStreamSegmentInfo";
        SealSegment(segment) needs Write => "sealSegment";
        TruncateSegment(segment) needs Write => "truncateSegment";
        DeleteSegment(segment) needs Write => "deleteSegment";
        UpdateSegmentPolicy(segment) needs Write => "updateSegmentPolicy";
        MergeSegments(source, target) needs Write => "mergeSegments";
        MergeSegmentsBatch(target_segment_id, source_segment_ids) needs Write
            => "mergeSegmentsBatch";
        GetSegmentAttribute(segment_name) needs Read => "getSegmentAttribute";
        UpdateSegmentAttribute(segment_name) needs Write => "updateSegmentAttribute";
        CreateTableSegment(segment) needs Write => "createTableSegment";
        DeleteTableSegment(segment) needs Write => "deleteTableSegment";
        GetTableSegmentInfo(segment_name) needs Read => "getTableSegmentInfo";
        UpdateTableEntries(segment) needs Write => "updateTableEntries";
        RemoveTableKeys(segment) needs Write => "removeTableKeys";
        ReadTable(segment) needs Read => "readTable";
        ReadTableKeys(segment) needs Read => "readTableKeys";
        ReadTableEntries(segment) needs Read => "readTableEntries";
        ReadTableEntriesDelta(segment) needs Read => "readTableEntriesDelta";
    }
}

impl Request for CreateSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, scale_type, target_rate, .. } = self;
        let mut attributes = SegmentPolicy { scale_type, target_rate }.attributes();
        attributes.push((attribute::ROLLOVER_SIZE, self.rollover_size_bytes.max(0)));
        let created = step.create(&segment, attributes);
        let reply = SegmentCreated { request_id, segment: segment.clone() };
        Outcome::of(segment, created.map(|()| reply))
    }
}

impl Request for CreateTransientSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let (parent, writer) = (self.parent_segment, self.writer_id.simple());
        let random = step.at.random.simple();
        let segment = ByteString::from(format!("{parent}#transient.{writer}.{random}"));
        let created = step.create(&segment, Vec::new());
        let reply = SegmentCreated { request_id: self.request_id, segment: segment.clone() };
        Outcome::of(segment, created.map(|()| reply))
    }
}

impl Request for GetStreamSegmentInfo {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment_name, .. } = self;
        let info = step.store.info(&segment_name).map(|info| StreamSegmentInfo {
            request_id,
            segment_name: segment_name.clone(),
            exists: true,
            is_sealed: info.sealed,
            is_deleted: false,
            last_modified: info.last_modified.0,
            write_offset: info.len as i64,
            start_offset: info.start as i64,
        });
        Outcome::of(segment_name, info)
    }
}

impl Request for SealSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, .. } = self;
        let sealed = step.seal(&segment);
        let reply = SegmentSealed { request_id, segment: segment.clone() };
        Outcome::of(segment, sealed.map(|()| reply))
    }
}

impl Request for TruncateSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, truncation_offset, .. } = self;
        let truncated = step.truncate(&segment, Offset(truncation_offset));
        let reply = SegmentTruncated { request_id, segment: segment.clone() };
        Outcome::of(segment, truncated.map(|()| reply)).at(Offset(truncation_offset))
    }
}

impl Request for DeleteSegment {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, .. } = self;
        let deleted = step.delete(&segment);
        let reply = SegmentDeleted { request_id, segment: segment.clone() };
        Outcome::of(segment, deleted.map(|()| reply))
    }
}

impl Request for UpdateSegmentPolicy {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment, scale_type, target_rate, .. } = self;
        let updated = step.set_policy(&segment, SegmentPolicy { scale_type, target_rate });
        let reply = SegmentPolicyUpdated { request_id, segment: segment.clone() };
        Outcome::of(segment, updated.map(|()| reply))
    }
}

impl Request for MergeSegments {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, target, source, attribute_updates, .. } = self;
        match step.merge(&target, &source, &attribute_updates) {
            Ok(len) => {
                let new_target_write_offset = len as i64;
                let merged = SegmentsMerged {
                    request_id,
                    target: target.clone(),
                    source,
                    new_target_write_offset,
                };
                Outcome::of(target, Ok(merged))
            }
            Err(Refusal::Condition) => {
                Outcome::of(target, Ok(SegmentAttributeUpdated { request_id, success: false }))
            }
            Err(Refusal::NoSuchSource) => {
                Outcome::of::<WireCommand>(source, Err(Refusal::NoSuchSource))
            }
            Err(refusal) => {
                if matches!(refusal, Refusal::Full { .. } | Refusal::DiskFull(_))
                    && segment_name::is_transient(&source)
                {
                    // The large event, if it is written again, goes to another segment.
                    step.delete(&source).ok();
                }
                Outcome::of::<WireCommand>(target, Err(refusal))
            }
        }
    }
}

impl Request for MergeSegmentsBatch {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, target_segment_id: target, source_segment_ids: sources, .. } = self;
        let merged = step.merge_batch(&target, &sources).map(|lens| {
            let merged = |(source, len): (&ByteString, u64)| MergedSegment {
                source: source.clone(),
                new_target_write_offset: len as i64,
            };
            let merged = sources.iter().zip(lens).map(merged).collect();
            SegmentsBatchMerged { request_id, target: target.clone(), merged }
        });
        Outcome::of(target, merged)
    }
}

impl Request for GetSegmentAttribute {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment_name, attribute_id, .. } = self;
        let found = step.store.attribute(&segment_name, attribute_id);
        let reply = |value: Option<i64>| {
            let value = value.unwrap_or(ABSENT);
            SegmentAttribute { request_id, value }
        };
        Outcome::of(segment_name, found.map(reply))
    }
}

impl Request for UpdateSegmentAttribute {
    fn run(self, step: &mut Step<'_>) -> Outcome {
        let Self { request_id, segment_name, attribute_id, expected_value, new_value, .. } = self;
        let updated = step.update_attribute(&segment_name, attribute_id, expected_value, new_value);
        let reply = |success| SegmentAttributeUpdated { request_id, success };
        Outcome::of(segment_name, updated.map(reply))
    }
}
