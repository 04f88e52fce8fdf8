//! Event time: the times that writers note.

use pravega_sdk_proto::{StreamInfo, remove_writer_response, timestamp_response};
use pravega_sdk_types::{Offset, SegmentId};

use super::{
    change::StreamPart,
    cut::{OffsetsById, writer_position},
    error::{CallError, CallResult},
    plan::Plan,
    state::Catalog,
    stream::{Stream, WriterMark, WriterTime},
};
use crate::store::Step;

/// The longest name of a writer, in bytes.
const MAX_WRITER_LEN: usize = 255;

impl Catalog {
    /// Records the time and the position of a writer. Neither may go back.
    pub fn note_time(
        &mut self,
        info: &StreamInfo,
        writer: &str,
        position: OffsetsById,
        time: i64,
        step: &mut Step<'_>,
    ) -> CallResult<timestamp_response::Status> {
        use timestamp_response::Status;
        step.check_growth(0)?;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::InternalError);
        };
        check_writer(writer)?;
        if !found.knows_all(&position) {
            return Ok(Status::InvalidPosition);
        }
        let (time, position) = (WriterTime(time), writer_position(position));
        if let Some(known) = found.writers.get(writer) {
            if time < known.time {
                return Ok(Status::InvalidTime);
            }
            let went_back = |(id, offset): (&SegmentId, &Offset)| {
                known.position.get(id).is_some_and(|known| offset < known)
            };
            if position.iter().any(went_back) {
                return Ok(Status::InvalidPosition);
            }
        }
        let mut plan = Plan::new();
        let mark = WriterMark { time, position, at: step.at.now };
        plan_note(&mut plan, found, &info.scope, &info.stream, writer, mark);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }

    /// Forgets the time of a writer.
    pub fn remove_writer(
        &mut self,
        info: &StreamInfo,
        writer: &str,
        step: &mut Step<'_>,
    ) -> CallResult<remove_writer_response::Status> {
        use remove_writer_response::Status;
        step.check_growth(0)?;
        let Some(found) = self.stream(&info.scope, &info.stream) else {
            return Ok(Status::StreamDoesNotExist);
        };
        if !found.writers.contains_key(writer) {
            return Ok(Status::UnknownWriter);
        }
        let mut plan = Plan::new();
        let part = StreamPart::Writer(writer.to_owned(), None);
        plan.stream(&info.scope, &info.stream, part);
        self.carry_out(plan, step)?;
        Ok(Status::Success)
    }
}

/// Refuses a name that is too long to be kept.
pub(super) fn check_writer(writer: &str) -> CallResult<()> {
    if writer.len() > MAX_WRITER_LEN {
        return Err(CallError::Invalid(format!(
            "the name of the writer has {} bytes; it may have {MAX_WRITER_LEN}",
            writer.len()
        )));
    }
    Ok(())
}

/// Plans that the time of a writer is recorded, unless it noted a later one.
pub(super) fn plan_note(
    plan: &mut Plan,
    found: &Stream,
    scope: &str,
    stream: &str,
    writer: &str,
    mark: WriterMark,
) {
    if found.writers.get(writer).is_none_or(|known| known.time <= mark.time) {
        plan.stream(scope, stream, StreamPart::Writer(writer.to_owned(), Some(mark)));
    }
}
