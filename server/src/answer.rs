//! The answer to a call on its way out: encoded at once, sent in parts, and lent by the pool of
//! replies until the last part of it has left.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::{
    Status,
    codegen::http::{HeaderMap, Response},
};

use crate::{
    budget::{Charge, Pool},
    limits::OWN_ANSWER_BYTES,
    watched::AnswerGuard,
};

/// The longest part of an answer, in bytes: what leaves although the client has taken less.
const PART_LEN: usize = 16 << 10;

/// The memory of an answer before it is encoded: an extension of the response.
pub(crate) type Lent = Arc<Charge>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    parts: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    guard: AnswerGuard,
}

/// Bytes and the charge for them.
struct Charged {
    bytes: Bytes,
    _charge: Option<Charge>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Answer {
    /// Encodes the body of a response; fails if there is no memory for it.
    pub(crate) async fn of(
        response: Response<tonic::body::Body>,
        guard: AnswerGuard,
        replies: &Pool,
    ) -> Result<Response<tonic::body::Body>, Status> {
        let (mut head, mut body) = response.into_parts();
        let lent = head.extensions.remove::<Lent>();
        let (mut parts, mut trailers, mut len) = (VecDeque::new(), None, 0);
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            match frame?.into_data() {
                Ok(data) => {
                    len += data.len();
                    parts.push_back(data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        drop(body);
        let charge = match lent.and_then(Arc::into_inner) {
            Some(mut charge) => {
                charge.shrink_to(len);
                Some(charge)
            }
            None if len > OWN_ANSWER_BYTES => Some(replies.try_charge(len).ok_or_else(not_taken)?),
            None => None,
        };
        let parts = split(parts, charge);
        let body = tonic::body::Body::new(Self { parts, trailers, guard });
        Ok(Response::from_parts(head, body))
    }
}

/// The status of a call for whose answer there is no memory.
pub(crate) fn not_taken() -> Status {
    Status::unavailable("clients have not taken their earlier answers; try again")
}

/// Splits an answer into parts, which all keep the charge.
fn split(whole: VecDeque<Bytes>, charge: Option<Charge>) -> VecDeque<Bytes> {
    let bytes = match whole.len() {
        0 | 1 => whole.into_iter().next().unwrap_or_default(),
        _ => whole.iter().flat_map(|part| part.iter().copied()).collect(),
    };
    let mut rest = Bytes::from_owner(Charged { bytes, _charge: charge });
    let mut parts = VecDeque::with_capacity(rest.len().div_ceil(PART_LEN));
    while !rest.is_empty() {
        parts.push_back(rest.split_to(rest.len().min(PART_LEN)));
    }
    parts
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.guard.taken();
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.iter().map(|part| part.len() as u64).sum())
    }
}
