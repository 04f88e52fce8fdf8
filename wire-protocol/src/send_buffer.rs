//! A buffer of frames to send.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Collects frames to send, as a list of byte slices for vectored writes.
///
/// Small fields are collected in blocks; a payload of [`SendBuffer::SHARE_MIN_LEN`] bytes or more
/// stays the caller's own [`Bytes`] between two blocks, so it is never copied. The buffer is a
/// [`Buf`]: pass it to a vectored write, then `advance` by the number of bytes written.
#[derive(Debug, Default)]
pub struct SendBuffer {
    /// Ready to be sent, in order.
    ready: VecDeque<Bytes>,
    /// Still growing; follows the ready ones.
    tail: BytesMut,
    len: usize,
}

impl SendBuffer {
    /// Payloads of at least this length are not copied: below it, copying is cheaper than another
    /// slice in the write.
    pub const SHARE_MIN_LEN: usize = 4096;

    /// Number of bytes that the growing block allocates at a time.
    const BLOCK_LEN: usize = 16 * 1024;

    /// Creates an empty buffer, which allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of bytes in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns a copy of the whole content.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for piece in &self.ready {
            all.extend_from_slice(piece);
        }
        all.extend_from_slice(&self.tail);
        all
    }

    /// Returns the number of separate slices in the buffer.
    #[must_use]
    pub fn slices(&self) -> usize {
        self.ready.len() + usize::from(!self.tail.is_empty())
    }

    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(Self::BLOCK_LEN));
        }
        self.tail.put_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn put_i32(&mut self, value: i32) {
        self.put_slice(&value.to_be_bytes());
    }

    /// Converts a length that was checked against the frame limit, far below `i32::MAX`.
    pub(crate) fn put_len(&mut self, len: usize) {
        self.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
    }

    pub(crate) fn put_zeros(&mut self, len: usize) {
        if self.tail.capacity() - self.tail.len() < len {
            self.tail.reserve(len.max(Self::BLOCK_LEN));
        }
        self.tail.put_bytes(0, len);
        self.len += len;
    }

    pub(crate) fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::SHARE_MIN_LEN {
            return self.put_slice(bytes);
        }
        if !self.tail.is_empty() {
            self.ready.push_back(self.tail.split().freeze());
        }
        self.ready.push_back(bytes.clone());
        self.len += bytes.len();
    }
}

impl Buf for SendBuffer {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.ready.front().map_or(&self.tail, |first| first)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let pieces = self.ready.iter().map(|piece| &piece[..]).chain(tail);
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len, "advanced by {count} over {} bytes", self.len);
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(first) = self.ready.front_mut() else {
                break;
            };
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.ready.pop_front();
        }
        self.tail.advance(left);
        if self.tail.is_empty() {
            // Makes the start of the block reusable.
            self.tail.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EncodeError, MAX_FRAME_LEN,
        commands::{AppendBlockEnd, KeepAlive},
    };

    fn append(data: Bytes) -> AppendBlockEnd {
        AppendBlockEnd {
            writer_id: uuid::Uuid::nil(),
            size_of_whole_events: 0,
            data,
            num_events: 1,
            last_event_number: 1,
            request_id: 1,
        }
    }

    #[test]
    fn a_large_payload_is_the_callers_own_memory() {
        let payload = Bytes::from(vec![7; 1 << 20]);
        let mut buffer = SendBuffer::new();
        buffer.push(&append(payload.clone())).unwrap();
        let shared = buffer.ready.iter().any(|piece| piece.as_ptr() == payload.as_ptr());
        assert!(shared, "the payload was copied");
        assert_eq!(buffer.slices(), 3);
    }

    #[test]
    fn advancing_byte_by_byte_returns_every_byte_once() {
        let mut buffer = SendBuffer::new();
        buffer.push(&KeepAlive {}).unwrap();
        buffer.push(&append(Bytes::from(vec![7; 5000]))).unwrap();
        buffer.push(&KeepAlive {}).unwrap();
        let whole = buffer.to_vec();
        for step in [1, 3, 4999] {
            let mut seen = Vec::new();
            let mut buffer = SendBuffer::new();
            buffer.push(&KeepAlive {}).unwrap();
            buffer.push(&append(Bytes::from(vec![7; 5000]))).unwrap();
            buffer.push(&KeepAlive {}).unwrap();
            while buffer.has_remaining() {
                let take = step.min(buffer.chunk().len());
                seen.extend_from_slice(&buffer.chunk()[..take]);
                buffer.advance(take);
            }
            assert_eq!(seen, whole);
        }
    }

    #[test]
    fn a_frame_over_the_limit_writes_nothing() {
        let mut buffer = SendBuffer::new();
        let refused = buffer.push(&append(Bytes::from(vec![0; MAX_FRAME_LEN]))).unwrap_err();
        assert!(matches!(refused, EncodeError::FrameTooLong { command: "AppendBlockEnd", .. }));
        assert_eq!(buffer.remaining(), 0);
        // 44 bytes of other fields and the header: the largest append that every server accepts.
        buffer.push(&append(Bytes::from(vec![0; MAX_FRAME_LEN - 52]))).unwrap();
        assert_eq!(buffer.remaining(), MAX_FRAME_LEN);
    }
}
