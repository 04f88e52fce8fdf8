//! Reading a stream once, plainly: segment after segment from head to tail.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use pravega_sdk_connection_pool::{RawClient, RequestError};
use pravega_sdk_controller_client::{AccessOperation, Controller, ControllerError, EndpointCache, TokenCache};
use pravega_sdk_types::{Classified, ErrorKind, Offset, Outcome, ScopedSegment, ScopedStream, SegmentId};
use pravega_sdk_wire_protocol::{
    Request,
    commands::{GetStreamSegmentInfo, ReadSegment},
    event::{self, CorruptEvent, EVENT_HEADER_LEN},
};

/// What a scan needs of a client.
#[derive(Debug, Clone)]
pub struct ScanParts {
    /// Every call of the controller.
    pub controller: Arc<dyn Controller>,
    /// Which segment store serves which segment.
    pub endpoints: Arc<EndpointCache>,
    /// Delegation tokens.
    pub tokens: Arc<TokenCache>,
    /// Requests to segment stores.
    pub raw_client: RawClient,
}

/// An event that a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Where it stands.
    pub segment: SegmentId,
    /// Where in the segment its header starts.
    pub offset: Offset,
    /// The event, as bytes.
    pub event: Bytes,
}

/// Reads the events of a stream from its head to where it ends when the scan gets there.
///
/// One segment after the other, predecessors first: events of one routing key come in order, those of different ones do
/// not. One read is under way at a time.
///
/// # Examples
///
/// ```no_run
/// # async fn example(parts: pravega_sdk_event_stream::ScanParts) -> Result<(), Box<dyn std::error::Error>> {
/// use pravega_sdk_event_stream::StreamScan;
///
/// let mut scan = StreamScan::new(parts, &"shop/orders".parse()?).await?;
/// while let Some(found) = scan.next().await? {
///     println!("{} at {}: {} bytes", found.segment, found.offset, found.event.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamScan {
    parts: ScanParts,
    stream: ScopedStream,
    /// Segments to read, and from where. The lowest comes first: a successor's epoch is above its predecessors'.
    ahead: BTreeMap<SegmentId, i64>,
    seen: BTreeSet<SegmentId>,
    current: Option<SegmentRead>,
    found: VecDeque<Scanned>,
}

#[derive(Debug)]
struct SegmentRead {
    segment: ScopedSegment,
    /// What was read and not handed out yet; it ends at `offset`.
    buffer: BytesMut,
    offset: i64,
    end: i64,
    is_sealed: bool,
}

/// Tells why a scan cannot go on. The next call tries again where it stopped.
#[non_exhaustive]
#[derive(Debug)]
pub enum ScanError {
    /// The controller did not help.
    Controller(ControllerError),
    /// A segment store did not help.
    Store(RequestError),
    /// What stands in a segment is no event.
    Corrupt {
        /// The segment.
        segment: ScopedSegment,
        /// Where the event's header should be.
        offset: Offset,
        /// What is wrong with it.
        source: CorruptEvent,
    },
}

/// As Java's client asks for.
const READ_LEN: i32 = 1 << 20;
const ATTEMPTS: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(200);

impl StreamScan {
    /// Starts at the head of `stream`.
    ///
    /// # Errors
    ///
    /// [`ScanError`] if the controller does not tell where the head is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn new(parts: ScanParts, stream: &ScopedStream) -> Result<Self, ScanError> {
        let head = parts.controller.head_segments(stream).await.map_err(ScanError::Controller)?;
        let ahead: BTreeMap<_, _> = head.into_iter().map(|(id, offset)| (id, offset.0.max(0))).collect();
        let seen = ahead.keys().copied().collect();
        Ok(Self { parts, stream: stream.clone(), ahead, seen, current: None, found: VecDeque::new() })
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    ///
    /// [`ScanError`] says what is in the way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on where this one was.
    pub async fn next(&mut self) -> Result<Option<Scanned>, ScanError> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            match &mut self.current {
                Some(read) if read.offset < read.end => {
                    let data = read_some(&self.parts, &read.segment, read.offset).await?;
                    read.take(&data, &mut self.found)?;
                }
                Some(read) => {
                    // An event is never cut at the end of what was acknowledged.
                    if read.is_sealed {
                        let successors = self.parts.controller.successors(&read.segment).await;
                        for successor in successors.map_err(ScanError::Controller)? {
                            if self.seen.insert(successor.id) {
                                self.ahead.insert(successor.id, 0);
                            }
                        }
                    }
                    self.current = None;
                }
                None => match self.ahead.first_key_value() {
                    None => return Ok(None),
                    Some((&id, &offset)) => {
                        let segment = ScopedSegment::new(&self.stream, id);
                        let info = ask(&self.parts, &segment, |token| GetStreamSegmentInfo {
                            request_id: 0,
                            segment_name: segment.to_string().into(),
                            delegation_token: token.into(),
                        });
                        let info = info.await?;
                        self.ahead.remove(&id);
                        self.current = Some(SegmentRead {
                            segment,
                            buffer: BytesMut::new(),
                            offset: offset.max(info.start_offset),
                            end: info.write_offset,
                            is_sealed: info.is_sealed,
                        });
                    }
                },
            }
        }
    }
}

impl SegmentRead {
    fn take(&mut self, data: &[u8], found: &mut VecDeque<Scanned>) -> Result<(), ScanError> {
        let room = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX).min(data.len());
        let data = data.get(..room).unwrap_or_default();
        self.buffer.extend_from_slice(data);
        self.offset += data.len() as i64;
        loop {
            let offset = Offset(self.offset - self.buffer.len() as i64);
            let event = event::take(&mut self.buffer, i32::MAX as usize - EVENT_HEADER_LEN);
            match event.map_err(|source| ScanError::Corrupt { segment: self.segment.clone(), offset, source })? {
                None => return Ok(()),
                Some(event) => found.push_back(Scanned { segment: self.segment.id(), offset, event }),
            }
        }
    }
}

async fn read_some(parts: &ScanParts, segment: &ScopedSegment, offset: i64) -> Result<Bytes, ScanError> {
    let read = ask(parts, segment, |token| ReadSegment {
        segment: segment.to_string().into(),
        offset,
        suggested_length: READ_LEN,
        delegation_token: token.into(),
        request_id: 0,
    });
    Ok(read.await?.data)
}

/// Asks the store that has the segment; if that was another one, or is gone, a few times more.
async fn ask<Q: Request>(
    parts: &ScanParts,
    segment: &ScopedSegment,
    request: impl Fn(&str) -> Q,
) -> Result<Q::Reply, ScanError> {
    let stream = segment.scoped_stream();
    let mut attempt = 1;
    loop {
        let endpoint = parts.endpoints.endpoint(segment).await.map_err(ScanError::Controller)?;
        let token = parts.tokens.token(&stream, AccessOperation::Read).await.map_err(ScanError::Controller)?;
        match parts.raw_client.request(&endpoint, request(token.expose())).await {
            Ok(reply) => return Ok(reply),
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                match error.kind() {
                    ErrorKind::TokenExpired => parts.tokens.expired(&stream, AccessOperation::Read, &token),
                    _ => parts.endpoints.wrong_host(segment, &endpoint),
                }
                tokio::time::sleep(BACKOFF * attempt).await;
                attempt += 1;
            }
            Err(error) => return Err(ScanError::Store(error)),
        }
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller(_) => f.write_str("reading: the controller did not help"),
            Self::Store(_) => f.write_str("reading: the segment store did not help"),
            Self::Corrupt { segment, offset, .. } => {
                write!(f, "reading: what stands in {segment} at {offset} is no event")
            }
        }
    }
}

impl std::error::Error for ScanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Controller(error) => error,
            Self::Store(error) => error,
            Self::Corrupt { source, .. } => source,
        })
    }
}

impl Classified for ScanError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Controller(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Corrupt { .. } => ErrorKind::Protocol,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome::NotApplied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: i64) -> SegmentRead {
        let segment = "s/t/0.#epoch.0".parse().unwrap();
        SegmentRead { segment, buffer: BytesMut::new(), offset: 0, end, is_sealed: false }
    }

    #[test]
    fn events_are_found_wherever_a_read_cuts_them() {
        let mut data = BytesMut::new();
        for payload in [&b"first"[..], b"", b"third"] {
            event::put(&mut data, payload).unwrap();
        }
        for cut in 0..data.len() {
            let mut segment = read(data.len() as i64);
            let mut found = VecDeque::new();
            segment.take(&data[..cut], &mut found).unwrap();
            segment.take(&data[cut..], &mut found).unwrap();
            let found: Vec<_> = found.iter().map(|scanned| (scanned.offset.0, &scanned.event[..])).collect();
            assert_eq!(found, [(0, &b"first"[..]), (13, b""), (21, b"third")], "cut at {cut}");
        }
    }

    #[test]
    fn what_comes_behind_the_end_is_left_alone_and_what_is_no_event_is_named() {
        let mut data = BytesMut::new();
        event::put(&mut data, b"first").unwrap();
        event::put(&mut data, b"late").unwrap();
        let mut found = VecDeque::new();
        read(13).take(&data, &mut found).unwrap();
        assert_eq!(found.len(), 1);
        let error = read(100).take(&[0, 0, 0, 9, 0, 0, 0, 0], &mut found).unwrap_err();
        assert_eq!(error.to_string(), "reading: what stands in s/t/0.#epoch.0 at 0 is no event");
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}
